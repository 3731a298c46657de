-- macros --
-- What the queries below have in common: a text trimmed (of zero-width characters too) and in lower case, whether a
-- text is an id, a request and what it says in 16 bytes.
create or replace macro blanks() as ' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(8203) || chr(65279);
create or replace macro clean(x) as
    case
        when x is null then null
        when length(x) = 36 then lower(x)  -- an id, which has no blanks
        else nullif(lower(trim(x, blanks())), '')
    end;
create or replace macro is_id(x) as regexp_matches(x, '{uuid}');
create or replace macro fingerprint(key, content) as md5_number(key || '|' || content)

-- newest_table --
-- The newest event of each request. `over`: of what is final, its fingerprint, by which a row is known to be done.
create or replace table newest ({columns}, over uhugeint)

-- newest_rows --
select
    {typed},
    case when action is not null then content_key end as content_key,
    case when state in ({final}) then fingerprint(request_key, content_key) end as over
from incoming

-- asked_table --
-- The rows of the pending table that are new, open, or say something else than the ledger.
create or replace table asked (
    request_key varchar, content_key varchar, account_id varchar, action varchar, contact_id varchar,
    sequence_id varchar, enrollment_id varchar, fault varchar, requested_at varchar
)

-- asked_rows --
-- A request's key is its request_id, else the hash of what it says, which is its content_key in any case.
with cleaned as (
    select
        case when length(request_id) = 36 then request_id else trim(request_id, blanks()) end as given,
        clean(account_id) as account_id,
        clean(contact_id) as contact_id,
        clean(sequence_id) as sequence_id,
        clean(action) as action,
        clean(enrollment_id) as enrollment_id,
        requested_at
    from incoming
),

completed as (
    select
        case when is_id(lower(given)) then lower(given) else nullif(given, '') end as given,
        coalesce(account_id, (select min(id) from accounts having count(*) = 1)) as account_id,
        coalesce(action, 'enroll') as action,
        contact_id,
        sequence_id,
        case when action = 'remove' then enrollment_id end as enrollment_id,
        requested_at
    from cleaned
),

keyed as (
    select
        *,
        md5(concat_ws(
            '|', coalesce(account_id, ''), coalesce(contact_id, ''), coalesce(sequence_id, ''), action,
            coalesce(enrollment_id, '')
        )) as content_key
    from completed
)

select
    coalesce(given, content_key) as request_key,
    content_key,
    account_id,
    action,
    contact_id,
    sequence_id,
    enrollment_id,
    requested_at,
    case
        when action not in ('enroll', 'remove') then 'action is neither enroll nor remove'
        when action = 'enroll' and contact_id is null then 'contact_id is missing'
        when action = 'enroll' and sequence_id is null then 'sequence_id is missing'
        when action = 'remove' and enrollment_id is null and (contact_id is null or sequence_id is null)
            then 'remove needs enrollment_id, or contact_id and sequence_id'
        when not is_id(contact_id) then 'contact_id is not an id'
        when not is_id(sequence_id) then 'sequence_id is not an id'
        when not is_id(enrollment_id) then 'enrollment_id is not an id'
        when account_id is null and (action = 'enroll' or enrollment_id is null)
            then 'account_id is missing, and there are several accounts'
        when account_id not in (select id from accounts) then 'account_id is none of the accounts that the token sees'
    end as fault
from keyed
where fingerprint(coalesce(given, content_key), content_key) not in (select over from newest where over is not null)

-- select --
-- One row per key, in the order to be sent. What is no id may be anything, a person's address too: it goes no further.
with grouped as (
    select
        *,
        count(*) over (partition by request_key) as rows,
        row_number() over (partition by request_key order by requested_at, content_key) as place
    from asked
),

contents as (
    select request_key, count(distinct content_key) > 1 as conflict
    from asked
    group by request_key
)

select
    request_key,
    content_key,
    account_id,
    action,
    case when is_id(contact_id) then contact_id end as contact_id,
    case when is_id(sequence_id) then sequence_id end as sequence_id,
    case when is_id(enrollment_id) then enrollment_id end as enrollment_id,
    fault,
    rows,
    conflict
from grouped
inner join contents using (request_key)
where place = 1
order by
    try_cast(requested_at as timestamptz) nulls last,
    try_cast(requested_at as double) nulls last,
    requested_at nulls last,
    action = 'remove' desc,
    request_key

-- any_to_decide --
-- Whether a row may lead to a sending: it is new, open or changed, and is not held already. Accounts that are not
-- known yet make no row final.
select exists (
    from asked as a
    left join newest as n using (request_key)
    where
        (a.fault is null or starts_with(a.fault, 'account_id'))
        and (n.state is distinct from 'held' or n.content_key is distinct from a.content_key)
)

-- open --
-- Requests of which nobody knows whether the server acted.
select {events}
from newest
where attempt > 0 and state in ({open})

-- open_unasked --
select {events}
from newest
where attempt > 0 and state in ({open}) and request_key not in (select request_key from asked)

-- latest_of_asked --
select {events}
from newest
where request_key in (select request_key from asked)

-- given_up --
-- Enrollments whose first attempt was given up, by a repetition or for good: a late one may yet show up.
select {events}
from newest
where
    action = 'enroll'
    and ((attempt > 1 and state = 'enrolled') or (attempt > 0 and state in ('withdrawn', 'dropped')))
    and recorded_at >= $since

-- attributed --
-- Of these enrollments, those that a request has made, with its key.
select enrollment_id, min(request_key)
from newest
where attempt > 0 and state = 'enrolled' and list_contains($ids::varchar[], enrollment_id)
group by enrollment_id

-- with_states_or_keys --
select {events}
from newest
where list_contains($states::varchar[], state) or list_contains($keys::varchar[], request_key)

-- sent_table --
create or replace table sent (content_key varchar, request_key varchar)

-- sent_rows --
select content_key, request_key
from incoming
semi join asked using (content_key)

-- repeats --
-- Asked requests that say what another request said that was sent lately.
select distinct a.request_key
from asked as a
inner join sent as s using (content_key)
where a.request_key <> s.request_key and a.action = 'enroll'
