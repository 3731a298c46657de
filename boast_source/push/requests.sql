-- macros --
-- Shared by the queries below: trimmed lower-case text (without zero-width characters), the test for an id, and the 16-byte
-- fingerprint of a request and its content.
create or replace macro blanks() as ' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(8203) || chr(65279);
create or replace macro clean(x) as
    case
        when x is null then null
        when length(x) = 36 then lower(x)  -- an id: has no blanks
        else nullif(lower(trim(x, blanks())), '')
    end;
create or replace macro is_id(x) as regexp_matches(x, '{uuid}');
create or replace macro fingerprint(key, content) as md5_number(key || '|' || content);
-- Normalize a time to UTC.
create or replace macro moment(x) as
    strftime(timezone('UTC', try_cast(x as timestamptz)), '%Y-%m-%dT%H:%M:%S.%fZ');
-- Is this a valid ordering value: a time, a number or null?
create or replace macro is_order(x) as x is null or moment(x) is not null or try_cast(x as double) is not null;
-- Normalize a key of any column type: whole numbers without trailing zeros, times in UTC, dates.
create or replace macro canonical(x) as
    case
        when unicode(x) not between 45 and 57 then x  -- starts with neither a digit nor a minus sign
        when not (contains(x, '.') or contains(x, '-') or contains(x, '+')) then x
        when regexp_matches(x, '^-?[0-9]+[.]0*$') then regexp_replace(x, '[.]0*$', '')
        when regexp_matches(x, '^-?[0-9]([.][0-9]+)?[eE][+-]?[0-9][0-9]?$')
            then coalesce(try_cast(try_cast(x as double) as hugeint)::varchar, x)
        when regexp_matches(x, '^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]([ T][0-9:.]+ ?(Z|[+-][0-9:]+)?)?$')
            then coalesce(regexp_replace(regexp_replace(moment(x), '[.]?0*Z$', 'Z'), 'T00:00:00Z$', ''), x)
        else x
    end;
-- Normalize a phone number to E.164, without separators.
create or replace macro phone(x) as
    nullif(regexp_replace(regexp_replace(x, '[^0-9+]', '', 'g'), '^00', '+'), '');
-- The key for a trimmed text.
create or replace macro key_of(x) as
    case
        when length(x) = 36 and is_id(lower(x)) then lower(x)
        else nullif(canonical(x), '')
    end

-- newest_table --
-- The newest event of each request. `canonical_key`: the normalized key, used to match rows. `over`: the fingerprint of a
-- final request, used to recognize rows that are done.
create or replace table newest ({columns}, canonical_key varchar, over uhugeint)

-- newest_rows --
select
    {typed},
    case when action is not null or state = 'invalid' then content_key end as content_key,
    canonical(request_key) as canonical_key,
    case
        when state in ({final}) and not (state = 'withdrawn' and error_code in ('absent', 'unasked'))
            then fingerprint(canonical(request_key), content_key)
    end as over
from incoming

-- forget --
delete from newest
where list_contains($keys::varchar[], request_key)

-- asked_table --
-- Rows of the pending table that are new, still open, or differ from the ledger.
create or replace table asked (
    request_key varchar, content_key varchar, account_id varchar, action varchar, contact_id varchar,
    sequence_id varchar, enrollment_id varchar, fault varchar, requested_at varchar, is_mine boolean, several varchar,
    by_person boolean
)

-- by_id --
-- Rows that name contacts and sequences by id.
select *, null::varchar as unknown, null::varchar as several, false as by_person
from completed

-- by_person --
-- Rows that name contacts by address and sequences by name, within the account. `unknown`: no match, or a contradiction.
-- `several`: more than one match. An id in the row takes precedence.
select
    c.* replace (
        coalesce(c.contact_id, case when len(coalesce(e.ids, p.ids)) = 1 then coalesce(e.ids, p.ids)[1] end)
            as contact_id,
        coalesce(c.sequence_id, case when len(s.ids) = 1 then s.ids[1] end) as sequence_id
    ),
    case
        when not list_contains(e.ids, c.contact_id) or not list_contains(p.ids, c.contact_id)
            or not list_has_any(e.ids, p.ids) then 'contact_id, email and mobile_phone are not of one contact'
        when not list_contains(s.ids, c.sequence_id) then 'sequence_id and sequence_name are not of one sequence'
        when c.contact_id is null and coalesce(c.email, c.mobile_phone) is not null and e.ids is null and p.ids is null
            then 'no such contact yet'
        when c.sequence_id is null and c.sequence_name is not null and s.ids is null then 'no such sequence yet'
    end as unknown,
    case
        when c.contact_id is null and len(coalesce(e.ids, p.ids)) > 1
            then 'contacts ' || array_to_string(coalesce(e.ids, p.ids), ', ')
        when c.sequence_id is null and len(s.ids) > 1 then 'sequences ' || array_to_string(s.ids, ', ')
    end as several,
    (c.contact_id is null or c.sequence_id is null) and coalesce(c.email, c.mobile_phone, c.sequence_name) is not null
        as by_person
from completed as c
left join people as e on e.kind = 'email' and e.account_id = c.account_id and e.name = c.email
left join people as p on p.kind = 'phone' and p.account_id = c.account_id and p.name = c.mobile_phone
left join people as s on s.kind = 'sequence' and s.account_id = c.account_id and s.name = c.sequence_name

-- names_table --
-- Addresses of contacts and names of sequences.
create or replace table names (kind varchar, id varchar, account_id varchar, name varchar)

-- contact_names --
select
    unnest(['email', 'phone']) as kind,
    lower(id) as id,
    lower(account_id) as account_id,
    unnest([nullif(lower(trim(email, blanks())), ''), phone(mobile_phone)]) as name
from incoming

-- sequence_names --
select 'sequence' as kind, lower(id) as id, lower(account_id) as account_id, lower(trim(name, blanks())) as name
from incoming
where name is not null

-- people --
create or replace table people as
select kind, account_id, name, list(distinct id order by id) as ids
from names
where id not in (select unnest($gone::varchar[]))
group by kind, account_id, name

-- asked_rows --
-- The key of a request is its request_id, or else its content_key: the hash of its content.
with cleaned as (
    select
        key_of(request_id) as given,
        clean(account_id) as account_id,
        clean(contact_id) as contact_id,
        clean(sequence_id) as sequence_id,
        clean(action) as action,
        clean(enrollment_id) as enrollment_id,
        nullif(lower(trim(email, blanks())), '') as email,
        phone(mobile_phone) as mobile_phone,
        nullif(lower(trim(sequence_name, blanks())), '') as sequence_name,
        nullif(trim(requested_at, blanks()), '') as requested_at
    -- trim once, because a macro evaluates its argument at every use
    from (select trim(request_id, blanks()) as request_id, * exclude (request_id) from incoming) as trimmed
),

completed as (
    select
        * exclude (account_id, action, enrollment_id),
        coalesce(account_id, (select min(id) from accounts having count(*) = 1)) as account_id,
        coalesce(action, 'enroll') as action,
        case when action = 'remove' then enrollment_id end as enrollment_id
    from cleaned
),

resolved as (
    {resolved}
),

keyed as (
    select
        *,
        md5(concat_ws(
            '|', coalesce(account_id, ''), coalesce(contact_id, ''), coalesce(sequence_id, ''), action,
            coalesce(enrollment_id, '')
        )) as content_key
    from resolved
)

select
    coalesce(given, content_key) as request_key,
    content_key,
    account_id,
    action,
    contact_id,
    sequence_id,
    enrollment_id,
    coalesce(moment(requested_at), requested_at) as requested_at,
    case
        when action not in ('enroll', 'remove') then 'action is neither enroll nor remove'
        when several is not null then null
        when account_id is null and by_person then 'account_id is missing, and there are several accounts'
        when unknown is not null then unknown
        when action = 'enroll' and contact_id is null then 'contact_id is missing'
        when action = 'enroll' and sequence_id is null then 'sequence_id is missing'
        when action = 'remove' and enrollment_id is null and (contact_id is null or sequence_id is null)
            then 'remove needs enrollment_id, or contact_id and sequence_id'
        when not is_id(contact_id) then 'contact_id is not an id'
        when not is_id(sequence_id) then 'sequence_id is not an id'
        when not is_id(enrollment_id) then 'enrollment_id is not an id'
        when account_id is null and (action = 'enroll' or enrollment_id is null)
            then 'account_id is missing, and there are several accounts'
        when account_id not in (select id from accounts where is_mine)
            then 'account_id is none of the accounts that the token sees'
        when not is_order(requested_at) then 'requested_at is neither a moment nor a number'
    end as fault,
    case
        when account_id is null then true
        when {only_mine} then account_id in (select id from accounts where is_mine)
        else account_id not in (select id from accounts where not is_mine)
    end as is_mine,
    several,
    by_person
from keyed
where {which}
    and (given is null or given not in (select canonical_key from newest where error_code = 'all_dropped'))

-- not_done --
fingerprint(coalesce(given, content_key), content_key) not in (select over from newest where over is not null)
    and not ({done_by_person})

-- done_by_person --
-- Rows that name a person: once carried out or dropped, a request is done, even if the contact's address has changed since.
-- A removal by address is checked again, because the address may belong to someone else by now.
by_person and given is not null
and given in (select canonical_key from newest where over is not null and (attempt > 0 or state = 'dropped'))
and (
    action = 'enroll' or contact_id is null or sequence_id is null
    or given in (select canonical_key from newest where state = 'dropped')
)

-- twins --
-- Rows of finished requests that also appear with other content: the rows contradict each other, or the content changed.
given in (select request_key from changed) and not (
    {not_done}
)

-- changed --
-- Keys of finished requests for which a row has other content.
create or replace temp table changed as
select distinct request_key
from asked
where request_key in (select canonical_key from newest where over is not null)

-- select --
-- One row per key, in sending order; a repeated key takes the place of its last row. Values that are not a valid id, action or
-- time may contain anything, even personal data, and are dropped here.
with grouped as (
    select
        *,
        count(*) over (partition by request_key) as rows,
        row_number() over (
            partition by request_key
            order by
                try_cast(requested_at as timestamptz) desc nulls first,
                try_cast(requested_at as double) desc nulls first,
                requested_at desc nulls first,
                content_key
        ) as place
    from asked
    where is_mine
),

contents as (
    select request_key, count(distinct content_key) > 1 as conflict
    from asked
    where is_mine
    group by request_key
)

select
    coalesce(n.request_key, g.request_key) as request_key,
    g.content_key,
    case when g.fault is null or is_id(g.account_id) then g.account_id end as account_id,
    case when g.action in ('enroll', 'remove') then g.action end as action,
    case when is_id(g.contact_id) then g.contact_id end as contact_id,
    case when is_id(g.sequence_id) then g.sequence_id end as sequence_id,
    case when is_id(g.enrollment_id) then g.enrollment_id end as enrollment_id,
    g.fault,
    g.rows,
    c.conflict,
    true as asked,
    case when is_order(g.requested_at) then g.requested_at end as requested_at,
    g.several,
    g.by_person
from grouped as g
inner join contents as c using (request_key)
left join spellings as n on n.canonical_key = g.request_key
where g.place = 1
order by
    try_cast(g.requested_at as timestamptz) nulls last,
    try_cast(g.requested_at as double) nulls last,
    g.requested_at nulls last,
    g.action = 'remove' desc,
    g.request_key

-- spellings --
-- For each canonical key, the ledger's request that a row refers to. Among several spellings, the one that was sent wins.
create or replace temp view spellings as
select canonical_key, arg_max(request_key, (attempt > 0, event, request_key)) as request_key
from newest
where canonical_key in (select request_key from asked)
group by canonical_key

-- any_to_decide --
-- Could any row lead to a send? It is new, open or changed, and not already held. Unknown accounts do not make a row final.
select exists (
    from asked as a
    left join newest as n on n.canonical_key = a.request_key
    where
        a.is_mine
        and (a.fault is null or starts_with(a.fault, 'account_id') or starts_with(a.fault, 'no such')
            or contains(a.fault, ' not of one '))
        and n.state is distinct from 'held'
)

-- open --
-- Requests for which it is unknown whether the server acted.
select {events}
from newest
where attempt > 0 and state in ({open})

-- open_unasked --
select {events}
from newest
where
    attempt > 0 and state in ({open})
    and request_key not in (select request_key from spellings)
    and account_id in (select id from accounts where is_mine)

-- unsent_unasked --
-- Unsent requests that no row asks for any more. A deferred request may have been sent before, but that attempt is known to
-- have done nothing.
select {events}
from newest
where
    (state = 'deferred' or (attempt = 0 and state in ('invalid', 'released')))
    and canonical_key not in (select request_key from asked)
    and (account_id is null or account_id in (select id from accounts where is_mine))

-- latest_of_asked --
select {events}
from newest
where request_key in (select request_key from spellings)

-- given_up --
-- Enrollments whose first attempt was abandoned or repeated: it may still take effect late.
select {events}
from newest
where
    action = 'enroll'
    and ((attempt > 1 and state = 'enrolled') or (attempt > 0 and state in ('withdrawn', 'dropped', 'held')))
    and recorded_at >= $since
    and account_id in (select id from accounts where is_mine)

-- duplicates --
-- Requests whose contact was found enrolled more than once.
select {events}
from newest
where
    state = 'enrolled' and error_code = 'duplicate'
    and account_id in (select id from accounts where is_mine)

-- origins --
-- For each of these enrollments, the last request that created or removed it.
select
    enrollment_id,
    arg_max(request_key, recorded_at) as request_key,
    arg_max(state, recorded_at) as state,
    arg_max(requested_at, recorded_at) as requested_at,
    bool_or(state = 'enrolled') as made
from newest
where
    attempt > 0 and (state in ('enrolled', 'removed') or action = 'remove')
    and list_contains($ids::varchar[], enrollment_id)
group by enrollment_id

-- removals_table --
create or replace table removals (
    request_key varchar, state varchar, requested_at varchar, first_at timestamptz, account_id varchar,
    contact_id varchar, sequence_id varchar
)

-- removal_rows --
-- Removals of this run's contacts. A removal by enrollment id belongs to that enrollment's contact.
select
    i.request_key,
    i.state,
    i.requested_at,
    cast(i.first_at as timestamptz) as first_at,
    coalesce(k.account_id, i.account_id) as account_id,
    coalesce(k.contact_id, i.contact_id) as contact_id,
    coalesce(k.sequence_id, i.sequence_id) as sequence_id
from incoming as i
left join known as k on k.id = i.enrollment_id
where coalesce(k.contact_id, i.contact_id) in (select id from wanted)

-- with_states --
select {events}
from newest
where
    list_contains(
        $states::varchar[], case when state = 'enrolled' and error_code = 'duplicate' then 'duplicate' else state end
    )

-- with_keys --
-- The newest event of each given key, in any spelling.
select k.given, {events}
from (select unnest($keys::varchar[]) as given) as k
inner join newest as n on n.canonical_key = key_of(trim(k.given, blanks()))

-- named --
-- The pending request with this key, in any spelling.
select coalesce(n.request_key, a.request_key)
from asked as a
left join spellings as n on n.canonical_key = a.request_key
where a.is_mine and a.request_key = key_of(trim($key, blanks()))
limit 1

-- sent_table --
create or replace table sent (content_key varchar, request_key varchar)

-- sent_rows --
select content_key, request_key
from incoming
semi join asked using (content_key)

-- repeats --
-- Pending requests with the same content as a recently sent one.
select distinct coalesce(n.request_key, a.request_key)
from asked as a
inner join sent as s using (content_key)
left join spellings as n on n.canonical_key = a.request_key
where a.request_key <> canonical(s.request_key) and a.action = 'enroll'
