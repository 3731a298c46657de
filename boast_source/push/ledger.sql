-- create --
-- One row per event of a request. Columns are only ever added: a ledger of an older version goes on.
create table if not exists {push_ledger} (
    request_key text, content_key text, run_id text, event bigint, attempt bigint, account_id text, action text,
    contact_id text, sequence_id text, enrollment_id text, known_enrollment_ids text, state text,
    http_status bigint, error_code text, error_detail text, recorded_at timestamptz
)

-- newest --
-- The newest event of each request. Of what is over and was sent at most once only what tells its row apart, since a
-- ledger may hold a million of those; `{whole}` makes an exception for all.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger}
    group by request_key
),

events as (
    select
        l.*,
        case
            when {whole} or l.state not in ({final}) or l.attempt > 1 then 1
            when l.attempt > 0 and l.state in ('withdrawn', 'dropped') then 1
            else 0
        end as is_whole
    from {push_ledger} as l
    inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
)

select
    request_key,
    content_key,
    case when is_whole = 1 then run_id end as run_id,
    event,
    attempt,
    case when is_whole = 1 then account_id end as account_id,
    case when is_whole = 1 then action end as action,
    case when is_whole = 1 then contact_id end as contact_id,
    case when is_whole = 1 then sequence_id end as sequence_id,
    enrollment_id,
    case when is_whole = 1 then known_enrollment_ids end as known_enrollment_ids,
    state,
    case when is_whole = 1 then http_status end as http_status,
    case when is_whole = 1 then error_code end as error_code,
    case when is_whole = 1 then error_detail end as error_detail,
    recorded_at
from events

-- sent_since --
-- What was enrolled, or given up after it was sent, at or after a moment.
select distinct content_key, request_key
from {push_ledger}
where attempt > 0 and state in ('enrolled', 'dropped') and recorded_at >= cast('{moment}' as timestamptz)

-- active_twice --
-- Requests that were sent once, at or after a moment, and enrolled somebody who was active in that sequence already,
-- hidden from the listing; both still go on. The API's own clock says which came first.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger}
    group by request_key
)

select distinct {columns}
from {push_ledger} as l
inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
inner join {sequence_enrollments} as mine on lower(mine.id) = l.enrollment_id
inner join {sequence_enrollments} as other
    on
        other.account_id = mine.account_id
        and other.contact_id = mine.contact_id
        and other.sequence_id = mine.sequence_id
        and other.created_at < mine.created_at
where
    mine.status = 'active' and mine.missing_since is null
    and other.status = 'active' and other.missing_since is null
    and l.attempt = 1 and l.state = 'enrolled' and l.action = 'enroll'
    and l.recorded_at >= cast('{moment}' as timestamptz)

-- accounts --
-- The accounts that it knows.
select distinct account_id
from {push_ledger}
where account_id is not null
order by 1

-- count --
select count(*)
from {push_ledger}

-- sent_in_runs --
-- How many requests the run records count as sent.
select coalesce(sum(sent), 0)
from {runs}

-- now --
-- The warehouse's clock.
select {clock}
