-- Compares a listing with the warehouse. Every statement runs in the scratch index, in the schema of one list. Statements are
-- listed in execution order. Each placeholder in braces is filled once, with a column list, an expression or file names.
-- The right side of a join is held in memory, or on disk beyond its bound, so the smaller one stands there.
--
-- `_hash` is the hash of a row's content (columns.py), stored as UUID: half the size of its text. It covers the id.

-- listed --
-- Every record delivered by any pass, as text, with `_account`, `_pass` and `_seq`.
create or replace view listed as from read_parquet({files})

-- facts --
-- For one pass: the row count and two hash sums, which are equal for equal contents in any order.
select
  count(*),
  sum(md5_number_lower(content)::hugeint),
  sum(md5_number_upper(content)::hugeint)
from (select concat_ws(chr(31), {content}) as content from read_parquet({files}))

-- unknown_fields --
-- (field, JSON types of its values) for each undocumented field, in a single scan.
select field, list(distinct json_type(value))
from (select unnest(json_keys(_extra)) as field, unnest(json_extract(_extra, '$.*')) as value from listed where _extra is not null)
group by field

-- fields --
-- The records plus the values of their undocumented fields, parsed from the JSON once for all columns.
create or replace view fields as select *, {values} from listed

-- misfits --
-- For each typed column: does any value not fit its type?
select {flags} from fields

-- typed --
-- The records, cast to their column types.
create or replace view typed as
select {columns}, _account as account_id, null::timestamptz as missing_since, _seq from fields

-- winners --
-- One record per id: the latest pass wins, then the later cursor, then the order of arrival.
create or replace table winners as
select t._seq from typed t join (select _seq, _pass as number from listed) l using (_seq)
qualify row_number() over (
  partition by t.id order by l.number desc, t.{cursor} desc nulls last, t.account_id, t._seq desc
) = 1

-- latest --
-- The newest delivered version of each id; `moment` is its cursor.
create or replace table latest as
select id, {hash}::uuid as _hash, account_id, {cursor} as moment, _seq from typed where {chosen}

-- stored --
-- The warehouse's rows. `whole`: the hash covers everything in the row.
create or replace table stored (id varchar, account_id varchar, missing_since timestamptz, whole boolean, _hash uuid)

-- digest --
-- What `stored` keeps of each row, wherever DuckDB can read the warehouse.
select id, account_id, missing_since, {whole} as whole, {hash} as _hash from ({rows})

-- differing --
-- Differences: `_seq` of a new or changed record, or `id` of a stored row that no pass delivered.
create or replace table differing as
select l._seq, case when l.id is null then s.id end as id
from latest l full join stored s on s.id = l.id
where l.id is null or s.id is null or l._hash <> s._hash

-- lacking --
-- Rows that are in the history but not in the table: the newest version of each id.
create or replace table lacking (id varchar, account_id varchar, missing_since timestamptz, _hash uuid)

-- lacking_of --
select id, account_id, try_cast(missing_since as timestamptz) as missing_since, try_cast(content_hash as uuid) as _hash
from incoming

-- not_lacking --
-- Listed records are loaded anyway.
delete from lacking
where not list_contains($accounts::varchar[], account_id) or id in (select id from latest union all select id from stored)

-- lacking_stored --
insert into stored select id, account_id, missing_since, false, _hash from lacking

-- lacking_differ --
insert into differing select null, id from lacking

-- shared_ids --
-- (id, account, other account) for each id that two accounts listed, or that the warehouse holds under another account.
-- Two accounts listing the same id is only checked when an id was delivered twice.
select id, min(_account), max(_account) from listed where {twice} group by id having min(_account) <> max(_account)
union
select l.id, l.account_id, s.account_id
from stored s join (from latest semi join differing using (_seq)) l on l.id = s.id
where s.missing_since is null and s.account_id <> l.account_id
order by all

-- one_for_one --
-- Is each stored row the only one of its id because it equals one listed record, and each record one row? Quickly told.
select not exists (from differing) and (select count(*) from stored) = (select count(*) from latest)

-- repeated_ids --
-- Surplus rows in the warehouse: those beyond one per id.
select count(*) - count(distinct id) from stored

-- repeated_vanished --
-- Ids that these accounts hold more than once and that the API no longer has.
select id from stored
where missing_since is not null and list_contains($accounts::varchar[], account_id)
group by id having count(*) > 1

-- take_repeated --
-- Replace the rows of repeated ids with the listed record.
insert into differing
select l._seq, null from latest l where l.id in (select id from stored group by id having count(*) > 1)

-- undelivered --
-- (account, id) of stored rows of these accounts that no pass delivered and that are not marked missing.
select distinct account_id, id from stored
where missing_since is null and list_contains($accounts::varchar[], account_id)
  and id in (select id from differing where _seq is null)
order by all

-- standing --
-- (id, stored with the same content?) for each listed record that is stored and not marked missing.
select l.id, l._hash = s._hash
from latest l join stored s using (id)
where s.missing_since is null and s.account_id = $account

-- held --
-- The warehouse's rows, with their cursor as `moment`.
create or replace table held (id varchar, account_id varchar, missing_since timestamptz, moment timestamptz)

-- held_of --
-- The columns of `held`, read from the warehouse.
select
  id, account_id, try_cast({missing} as timestamptz) as missing_since, try_cast({cursor} as timestamptz) as moment
from incoming

-- held_above --
-- The account's rows whose cursor is later than a moment.
select id from held where missing_since is null and account_id = $account and moment > $moment::timestamptz

-- undelivered_by --
-- The account's rows that one pass did not deliver.
select id from held
where missing_since is null and account_id = $account
  and id not in (select id from {listed} where _account = $account and _pass = $number)
limit $most

-- rest --
-- The account's rows except the given ids, with the cursor in microseconds.
create or replace table rest as
select id, epoch_us(moment) as moment from held
where missing_since is null and account_id = $account and not list_contains($without::varchar[], id)

-- rest_between --
-- Their ids within a cursor range, (low, high].
select id from rest where coalesce(moment > $low, true) and coalesce(moment <= $high, true)

-- silent --
-- Number of the account's rows whose content changed although their cursor did not.
select count(*)
from stored s join (select l.* from latest l join held h using (id) where l.moment = h.moment) l using (id)
where l.account_id = $account and l._hash <> s._hash and s.missing_since is null

-- changed_before --
-- Up to 10,000 changed records whose cursor is not later than a moment (null: any cursor).
select l.id
from stored s join (from latest semi join differing using (_seq)) l on l.id = s.id
where l.account_id = $account and l._hash <> s._hash and coalesce(l.moment <= $moment::timestamptz, true)
limit 10000

-- other_accounts --
-- Accounts that have stored rows but were not listed.
select distinct account_id from stored
where missing_since is null and account_id is not null and not list_contains($accounts::varchar[], account_id)
order by all

-- stored_counts --
-- Stored rows per account, without those marked missing.
select account_id, count(*) from stored where missing_since is null group by all

-- listed_counts --
-- Distinct delivered records per account.
select account_id, count(*) from latest group by all

-- gone --
-- Stored ids that the API no longer has.
create or replace table gone (id varchar)

-- marked --
-- Gone ids that the history has as missing: since when. A run over a range, or a crash, may have kept that from the table.
create or replace table marked (id varchar, missing_since timestamptz)

-- marked_of --
select id, try_cast(missing_since as timestamptz) as missing_since from incoming semi join gone using (id)

-- concerned --
-- Of the stored rows, from here on only those that differ or are gone are needed.
create or replace table stored as
with
ids as (
  from gone
  union all
  select id from differing where id is not null
  union all
  select id from latest semi join differing using (_seq)
)
from stored semi join ids using (id)

-- changed --
-- Records to load: those that differ, or all.
create or replace view changed as select _seq, account_id from latest where {within} and {which}

-- changed_counts --
-- (account, records to load, rows that are gone).
select account_id, count(*) filter (not gone), count(*) filter (gone)
from (
  select account_id, false as gone from changed
  union all
  select account_id, true from stored semi join gone using (id) where missing_since is null
)
group by all

-- whole --
-- Complete stored rows in their column types, for the ids that need them.
create or replace table {table} ({definitions}, _hash varchar)

-- rows --
-- Records to load from one slice of arrival order. Joining all at once would spill whole rows to disk.
select {columns} from (from typed where {slice}) semi join (from changed where {slice}) using (_seq)

-- hashed_rows --
-- The same, with the hash of each listed record.
select {columns}, as_hex(_hash) as content_hash, false as _stored
from (from typed where {slice}) t
semi join (from changed where {slice}) using (_seq)
join (select _seq, _hash from latest where {slice}) l using (_seq)

-- gone_rows --
-- Rows that are gone, with `missing_since` set.
select {columns}
from (
  select w.* replace (coalesce(w.missing_since, m.missing_since, seen_at()) as missing_since)
  from (from whole semi join gone using (id)) w left join marked m on m.id = w.id
)
where {which}

-- newest --
-- The newest version of each id in the history.
create or replace table newest (id varchar, version bigint, version_key varchar, content_hash uuid, missing boolean)

-- newest_of --
-- The columns of `newest`, read from the history.
select id, version, version_key, try_cast(content_hash as uuid) as content_hash, missing_since is not null as missing
from incoming

-- sum --
-- The number of rows and the sum of their hashes: equal for equal rows in any order.
select count(*), coalesce(sum(hash(id, _hash::uuid, missing_since is not null)::hugeint), 0) from {rows}

-- newest_rows --
-- The history's newest versions, for `sum`.
(
  select id, try_cast(content_hash as uuid) as _hash, missing_since
  from (select *, row_number() over (partition by id order by version desc) as place from {table})
  where place = 1
)

-- loaded_sum --
-- What the load adds to the `sum` of the stored rows, if no row is gone.
with
loaded as (select id, _hash from latest semi join changed using (_seq)),
rows as (
  select -1 as times, id, _hash, missing_since is not null as missing from stored semi join loaded using (id)
  union all
  select 1, id, _hash, false from loaded
)
select coalesce(sum(times), 0), coalesce(sum(times * hash(id, _hash, missing)::hugeint), 0) from rows

-- differing_ids --
-- Ids that differ, if they are few: one too many tells that they are not.
select id from differing where id is not null
union
select id from latest semi join differing using (_seq)
union
from gone
limit {most} + 1

-- unwritten --
-- Records whose version is not the newest one in the history.
create or replace table unwritten as
select _seq from latest l anti join newest n on n.content_hash = l._hash
where {within} and {which}

-- linked --
-- The newest version in the history of each of these records, if there is one.
create or replace table linked as
select l._seq, n.version as before, n.version_key as before_key
from newest n
join (from latest semi join (from unwritten where (select exists (from newest))) using (_seq)) l on l.id = n.id

-- unkept --
-- Stored versions that this run replaces and that are not the newest in the history because a crash kept them out.
create or replace table unkept as
with
ids as (
  select id from latest where _seq in (select _seq from differing where _seq is not null) and {within}
  union all
  from gone
),
replaced as (select id, _hash from stored semi join ids using (id) where whole),
newest_of_them as (select id, content_hash as _hash from newest semi join replaced using (id))
from replaced anti join newest_of_them using (id, _hash)

-- kept --
-- Older versions of these ids in the history.
create or replace table kept (id varchar, _hash uuid)

-- kept_of --
select id, try_cast(content_hash as uuid) as _hash from incoming semi join unkept using (id)

-- forget_kept --
delete from unkept where (id, _hash) in (from kept)

-- lost --
-- Rows that no pass delivered and that the history does not hold as stored: another result of a crash.
create or replace table lost as
with
ids as (select id from differing where _seq is null),
rows as (from stored semi join ids using (id)),
versions as (from newest semi join ids using (id))
select r.id, r._hash
from rows r left join versions n on n.id = r.id
where n.id is null or (r.id not in (from gone) and n.missing <> (r.missing_since is not null))

-- any_version --
-- Does the history lack any version?
select exists (from unwritten) or exists (from gone) or exists (from unkept) or exists (from lost)

-- whole_once --
-- Keep one row per id.
delete from {table} where rowid not in (select min(rowid) from {table} group by id)

-- wanted --
-- Ids whose complete rows are needed in `whole`.
select id from gone union select id from unkept union select id from lost

-- parting --
-- Gone ids whose last version is in the history.
select id from gone where id not in (select id from unkept union all select id from lost)

-- versions --
-- Listed versions that the history lacks, for one slice of arrival order, each linked to the version before it.
-- `version_key` hashes the id, the content and the previous version: repeating a load adds nothing, and content that
-- comes back is a version of its own.
select
  {columns},
  md5(concat_ws('|', id, as_hex(_hash), coalesce(before_key, ''), 1)) as version_key,
  coalesce(before, 0) + 1 as version,
  as_hex(_hash) as content_hash,
  seen_at() as observed_at
from (
  from (from typed where {slice}) t
  semi join (from unwritten where {slice}) using (_seq)
  left join (from linked where {slice}) using (_seq)
  join (select _seq, _hash from latest where {slice}) l using (_seq)
)
anti join unkept using (id)

-- several_versions --
-- The same for ids that may need several versions: the replaced row, then the listed record, then the disappearance.
with
hashed as (
  select t.*, as_hex(l._hash) as _hash
  from typed t join (select _seq, _hash from latest semi join unkept using (id) where {within}) l using (_seq)
),
seen as (
  select *, 0 as step from whole semi join unkept using (id)
  union all by name
  select *, 1 as step from hashed
  union all by name
  select *, 1 as step from whole semi join lost using (id)
  union all by name
  select * replace ({hash} as _hash), 2 as step
  from (
    select * replace (seen_at() as missing_since)
    from whole semi join gone using (id) anti join parted using (id)
    where id not in (select id from newest where missing)
  )
),
newest_of_them as (from newest semi join (select id from seen) using (id)),
fresh as (
  select r.*, n.version as before, n.version_key as before_key
  from seen r left join newest_of_them n using (id)
  qualify r._hash is distinct from
    coalesce(lag(r._hash) over (partition by id order by step), as_hex(n.content_hash))
),
numbered as (
  select
    *,
    coalesce(before, 0) + row_number() over (partition by id order by step) as version,
    row_number() over (partition by id order by step) as place
  from fresh
)
select
  {columns},
  md5(concat_ws('|', id, _hash, coalesce(before_key, ''), place)) as version_key,
  version,
  _hash as content_hash,
  seen_at() as observed_at
from numbered

-- gone_versions --
-- Disappearances, as versions that follow the last one in the history.
select
  {columns},
  md5(concat_ws('|', id, {hash}, n.version_key, 1)) as version_key,
  n.version + 1 as version,
  {hash} as content_hash,
  seen_at() as observed_at,
  true as _stored
from (select * replace (seen_at() as missing_since) from parted) join newest n using (id)
where not n.missing

-- seen --
-- Save what the check after the load needs to a file.
copy (
  select id, _hash, account_id, false as gone from latest where {within}
  union all select id, null, account_id, true from stored semi join gone using (id)
) to {file} (format parquet, compression lz4_raw)

-- dropped --
-- Records that were passed on but rejected by the user's functions or contracts.
create table if not exists dropped (resource varchar, id varchar)

-- unequal --
-- Per account: delivered records that the warehouse does not hold as last seen, and gone rows that are not marked missing.
select l.account_id, count(*)
from read_parquet({file}) l left join stored s using (id)
where (not l.gone and (s.id is null or s._hash <> l._hash) or l.gone and s.id is not null and s.missing_since is null)
  and l.id not in (select id from main.dropped where resource = $resource)
group by all
