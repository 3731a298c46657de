-- A listing against the warehouse. All statements run in the scratch index, in the schema of one list; they are named
-- in the order in which they run. A placeholder in braces is filled once: a list of columns, an expression, files.
--
-- `_hash` is that of a row's content (columns.py), as UUID, which takes half the room of its text.

-- listed --
-- Every record that any pass delivered, as text, with `_account`, `_pass` and `_seq`.
create or replace view listed as from read_parquet({files})

-- facts --
-- Of one pass: rows, and two sums of hashes that are equal for equal contents in any order.
select
  count(*),
  sum(md5_number_lower(content)::hugeint),
  sum(md5_number_upper(content)::hugeint)
from (select concat_ws(chr(31), {content}) as content from read_parquet({files}))

-- unknown_fields --
-- (field, JSON types of its values) of the fields that are not documented, in one pass however many there are.
select field, list(distinct json_type(value))
from (select unnest(json_keys(_extra)) as field, unnest(json_extract(_extra, '$.*')) as value from listed where _extra is not null)
group by field

-- fields --
-- The records with the values of their undocumented fields, which are read off the JSON once for all columns.
create or replace view fields as select *, {values} from listed

-- misfits --
-- For each typed column whether there is a value that its kind cannot hold.
select {flags} from fields

-- typed --
-- The records in the kinds of their columns.
create or replace view typed as
select {columns}, _account as account_id, null::timestamptz as missing_since, _seq from fields

-- winners --
-- Of the records of an id: the latest pass wins, then the later cursor, then arrival.
create or replace table winners as
select t._seq from typed t join (select _seq, _pass as number from listed) l using (_seq)
qualify row_number() over (
  partition by t.id order by l.number desc, t.{cursor} desc nulls last, t.account_id, t._seq desc
) = 1

-- latest --
-- The newest version of each id that was delivered; `moment` is its cursor.
create or replace table latest as
select id, {hash}::uuid as _hash, account_id, {cursor} as moment, _seq from typed where {chosen}

-- stored --
-- The warehouse's rows; `whole`: the hash covers all that the row holds.
create or replace table stored (id varchar, account_id varchar, missing_since timestamptz, whole boolean, _hash uuid)

-- digest --
-- What `stored` keeps of rows, wherever a DuckDB holds them.
select id, account_id, missing_since, {whole} as whole, {hash} as _hash from ({rows})

-- differing --
-- What is not the same on both sides: `_seq` of a record that is new or changed, `id` of a row that no pass delivered.
create or replace table differing as
select l._seq, case when l.id is null then s.id end as id
from latest l full join stored s on s.id = l.id
where l.id is null or s.id is null or l._hash <> s._hash

-- lacking --
-- Rows that the history has and the table has not: the newest version of each id.
create or replace table lacking (id varchar, account_id varchar, missing_since timestamptz, _hash uuid)

-- lacking_of --
select id, account_id, try_cast(missing_since as timestamptz) as missing_since, try_cast(content_hash as uuid) as _hash
from incoming

-- not_lacking --
-- What was listed comes by itself.
delete from lacking
where not list_contains($accounts::varchar[], account_id) or id in (select id from latest union all select id from stored)

-- lacking_stored --
insert into stored select id, account_id, missing_since, false, _hash from lacking

-- lacking_differ --
insert into differing select null, id from lacking

-- shared_ids --
-- (id, account, another account) of ids that two accounts listed, or that the warehouse holds as another's. The first
-- are known only where an id came twice.
select id, min(_account), max(_account) from listed where {twice} group by id having min(_account) <> max(_account)
union
select l.id, l.account_id, s.account_id
from differing d join latest l on l._seq = d._seq join stored s on s.id = l.id
where s.missing_since is null and s.account_id <> l.account_id
order by all

-- repeated_ids --
-- How many rows the warehouse holds beyond one per id.
select count(*) - count(distinct id) from stored

-- repeated_vanished --
-- The ids of rows of these accounts that stand more than once and that the API no longer has.
select id from stored
where missing_since is not null and list_contains($accounts::varchar[], account_id)
group by id having count(*) > 1

-- take_repeated --
-- The rows of ids that the warehouse holds more than once, to be replaced by what was listed.
insert into differing
select l._seq, null from latest l where l.id in (select id from stored group by id having count(*) > 1)

-- undelivered --
-- (account, id) of the rows of some accounts that no pass delivered and that are not marked missing.
select distinct account_id, id from stored
where missing_since is null and list_contains($accounts::varchar[], account_id)
  and id in (select id from differing where _seq is null)
order by all

-- standing --
-- (id, whether it is stored with the same content) of the records that are stored and not marked missing.
select l.id, l._hash = s._hash
from latest l join stored s using (id)
where s.missing_since is null and s.account_id = $account

-- held --
-- Rows of the warehouse with their cursor as `moment`.
create or replace table held (id varchar, account_id varchar, missing_since timestamptz, moment timestamptz)

-- held_of --
-- What `held` keeps of them.
select
  id, account_id, try_cast({missing} as timestamptz) as missing_since, try_cast({cursor} as timestamptz) as moment
from incoming

-- held_above --
-- The rows of an account whose cursor is later than a moment.
select id from held where missing_since is null and account_id = $account and moment > $moment::timestamptz

-- undelivered_by --
-- The rows of an account that one pass did not deliver.
select id from held
where missing_since is null and account_id = $account
  and id not in (select id from {listed} where _account = $account and _pass = $number)
limit $most

-- rest --
-- The rows of an account but some, their cursor in microseconds.
create or replace table rest as
select id, epoch_us(moment) as moment from held
where missing_since is null and account_id = $account and not list_contains($without::varchar[], id)

-- rest_between --
-- The ids of those in a range of the cursor, (low, high].
select id from rest where coalesce(moment > $low, true) and coalesce(moment <= $high, true)

-- silent --
-- How many rows of an account were delivered with another content and the same cursor as they are stored.
select count(*)
from latest l join held h using (id) join stored s using (id)
where l.account_id = $account and l.moment = h.moment and l._hash <> s._hash and s.missing_since is null

-- changed_before --
-- Records that are stored otherwise, although their cursor is not newer than some moment (null: any), at most so many.
select l.id
from latest l join differing d using (_seq) join stored s on s.id = l.id
where l.account_id = $account and l._hash <> s._hash and coalesce(l.moment <= $moment::timestamptz, true)
limit 10000

-- other_accounts --
-- Accounts that have stored rows and are none of those listed.
select distinct account_id from stored
where missing_since is null and account_id is not null and not list_contains($accounts::varchar[], account_id)
order by all

-- stored_counts --
-- By account the stored rows that are not marked missing.
select account_id, count(*) from stored where missing_since is null group by all

-- listed_counts --
-- By account the distinct records that were delivered.
select account_id, count(*) from latest group by all

-- gone --
-- Stored ids that the API no longer has.
create or replace table gone (id varchar)

-- changed --
-- The records to load: those that differ, or all.
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
-- Stored rows as they are, in their kinds, of the ids that need them.
create or replace table {table} ({definitions}, _hash varchar)

-- rows --
-- The records to load, of a slice of the order of arrival: a join of all at once would spill whole rows.
select {columns} from (from typed where {slice}) semi join (from changed where {slice}) using (_seq)

-- hashed_rows --
-- The same, each with the hash of what was listed.
select {columns}, as_hex(_hash) as content_hash, false as _stored
from (from typed where {slice}) t
semi join (from changed where {slice}) using (_seq)
join (select _seq, _hash from latest where {slice}) l using (_seq)

-- gone_rows --
-- The rows that are gone, with `missing_since` set.
select {columns}
from (select * replace (coalesce(missing_since, seen_at()) as missing_since) from whole semi join gone using (id))
where {which}

-- newest --
-- Of the history the newest version of each id.
create or replace table newest (id varchar, version bigint, version_key varchar, content_hash uuid, missing boolean)

-- newest_of --
-- What `newest` keeps of the history's rows.
select id, version, version_key, try_cast(content_hash as uuid) as content_hash, missing_since is not null as missing
from incoming

-- unwritten --
-- The records whose version the history does not hold as its newest, with the newest one.
create or replace table unwritten as
select l._seq, n.version as before, n.version_key as before_key
from latest l left join newest n on n.id = l.id
where {within} and n.content_hash is distinct from l._hash

-- unkept --
-- Stored versions that this run replaces and that are not the history's newest: a crash kept them out.
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
-- Versions of these ids further back in the history.
create or replace table kept (id varchar, _hash uuid)

-- kept_of --
select id, try_cast(content_hash as uuid) as _hash from incoming semi join unkept using (id)

-- forget_kept --
delete from unkept where (id, _hash) in (from kept)

-- lost --
-- Rows that no pass delivered and that the history does not hold as they are: a crash, too.
create or replace table lost as
with
ids as (select id from differing where _seq is null),
rows as (from stored semi join ids using (id)),
versions as (from newest semi join ids using (id))
select r.id, r._hash
from rows r left join versions n on n.id = r.id
where n.id is null or (r.id not in (from gone) and n.missing <> (r.missing_since is not null))

-- any_version --
-- Whether there is a version that the history does not hold yet.
select exists (from unwritten) or exists (from gone) or exists (from unkept) or exists (from lost)

-- whole_once --
-- One row of an id is enough.
delete from {table} where rowid not in (select min(rowid) from {table} group by id)

-- wanted --
-- The ids that `whole` is to hold.
select id from gone union select id from unkept union select id from lost

-- parting --
-- Of the ids that are gone those whose last version the history holds.
select id from gone where id not in (select id from unkept union all select id from lost)

-- versions --
-- The listed versions that the history does not hold yet, each chained to the one before, of a slice of the order of
-- arrival. `version_key` hashes id, content and the version before, so a repeated load adds nothing, and a content that
-- comes back is a version of its own.
select
  {columns},
  md5(concat_ws('|', id, as_hex(_hash), coalesce(before_key, ''), 1)) as version_key,
  coalesce(before, 0) + 1 as version,
  as_hex(_hash) as content_hash,
  seen_at() as observed_at
from (
  from (from typed where {slice}) t
  join (from unwritten where {slice}) u using (_seq)
  join (select _seq, _hash from latest where {slice}) l using (_seq)
)
anti join unkept using (id)

-- several_versions --
-- The same for ids that may have more than one: what was stored and is replaced, then what was listed, then that it is
-- gone.
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
-- That rows are gone, as versions after the last ones that the history holds.
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
-- What the comparison after the load needs of all this, into a file.
copy (
  select id, _hash, account_id, false as gone from latest where {within}
  union all select id, null, account_id, true from stored semi join gone using (id)
) to {file} (format parquet, compression lz4_raw)

-- dropped --
-- Records that were handed on, and that a user's functions or contracts let not through.
create table if not exists dropped (resource varchar, id varchar)

-- unequal --
-- By account the delivered records that the warehouse does not hold in their last seen version, and rows not marked
-- as missing that are gone.
select l.account_id, count(*)
from read_parquet({file}) l left join stored s using (id)
where (not l.gone and (s.id is null or s._hash <> l._hash) or l.gone and s.id is not null and s.missing_since is null)
  and l.id not in (select id from main.dropped where resource = $resource)
group by all
