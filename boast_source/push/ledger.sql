-- typed --
-- Fails if numbers or times are stored as text.
select event + 0, attempt + 0, http_status + 0
from {push_ledger} as every_event
where 1 = 0 and recorded_at < {clock}

-- unreadable --
-- Number of events that cannot be read.
select count(*)
from {everything} as every_event
where not ({readable})

-- damaged --
-- Requests and controls whose newest event may be unreadable, each as an event that holds it.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    group by request_key
),

damaged as (
    select distinct request_key as of_key
    from {everything} as every_event
    left join last_events as n on request_key = n.of_key
    where
        not ({readable})
        and request_key is not null
        and (event is null or n.newest is null or event > n.newest)
)

select
    request_key,
    coalesce(max(content_key), '') as content_key,
    '{run_id}' as run_id,
    coalesce(max(event), 0) + 1 as event,
    coalesce(max(attempt), 1) as attempt,
    max(account_id) as account_id,
    max(action) as action,
    max(contact_id) as contact_id,
    max(sequence_id) as sequence_id,
    max(enrollment_id) as enrollment_id,
    max(known_enrollment_ids) as known_enrollment_ids,
    'held' as state,
    cast(null as bigint) as http_status,
    'unreadable' as error_code,
    'its newest event in the ledger cannot be read' as error_detail
from {everything} as every_event
inner join damaged as d on request_key = d.of_key
group by request_key

-- newest --
-- The newest event of each request. For finished requests that were sent at most once, only the columns that identify
-- their row, because a ledger may hold a million of them; `{whole}` turns this off.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state not in ({controls})
    group by request_key
),

events as (
    select
        l.*,
        case
            when {whole} or l.state not in ({final}) or l.attempt > 1 or l.error_code = 'duplicate' then 1
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
    error_code,
    case when is_whole = 1 then error_detail end as error_detail,
    requested_at,
    case when is_whole = 1 then note end as note,
    case when is_whole = 1 then pending_table end as pending_table,
    recorded_at
from events

-- sent_since --
-- Requests that were enrolled, or dropped after being sent, since a moment.
select distinct content_key, request_key
from {push_ledger} as every_event
where attempt > 0 and state in ('enrolled', 'dropped') and recorded_at >= cast('{moment}' as timestamptz)

-- active_twice --
-- Requests sent once since a moment whose contact is active twice in the sequence. Either an existing enrollment was missing
-- from the listing, or a server or proxy turned one POST into two enrollments. By the API's clock, the other enrollment is
-- older, or was created within the time that the server may take for one request.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state not in ({controls})
    group by request_key
)

select distinct {events}
from {push_ledger} as l
inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
inner join {sequence_enrollments} as mine on lower(mine.id) = l.enrollment_id
inner join {sequence_enrollments} as other
    on
        other.account_id = mine.account_id
        and other.contact_id = mine.contact_id
        and other.sequence_id = mine.sequence_id
        and other.id <> mine.id
        and date_diff('second', mine.created_at, other.created_at) <= {seconds}
where
    mine.status = 'active' and mine.missing_since is null
    and other.status = 'active' and other.missing_since is null
    and l.attempt = 1 and l.state = 'enrolled' and l.action = 'enroll'
    and l.recorded_at >= cast('{moment}' as timestamptz)

-- removed_and_active --
-- Removals whose enrollment the API still lists as active (`is_same` 1), or whose contact is active in that sequence through
-- another enrollment.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state not in ({controls})
    group by request_key
),

removals as (
    select
        l.*,
        coalesce(l.account_id, lower(t.account_id)) as of_account,
        coalesce(l.contact_id, lower(t.contact_id)) as of_contact,
        coalesce(l.sequence_id, lower(t.sequence_id)) as of_sequence
    from {push_ledger} as l
    inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
    left join {sequence_enrollments} as t on lower(t.id) = l.enrollment_id
    where l.state = 'removed'
)

select
    {events},
    max(case when lower(e.id) = l.enrollment_id then 1 else 0 end) as is_same
from removals as l
inner join {sequence_enrollments} as e
    on lower(e.account_id) = l.of_account and lower(e.contact_id) = l.of_contact
    and lower(e.sequence_id) = l.of_sequence
where e.status = 'active' and e.missing_since is null
group by {events}

-- removals --
-- Removal requests that are not withdrawn, with the time of their first event.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state not in ({controls})
    group by request_key
),

first_events as (
    select request_key as of_key, min(recorded_at) as first_at
    from {push_ledger} as every_event
    where action = 'remove'
    group by request_key
)

select
    l.request_key, l.state, l.account_id, l.contact_id, l.sequence_id, l.enrollment_id, l.requested_at, f.first_at
from {push_ledger} as l
inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
inner join first_events as f on l.request_key = f.of_key
where l.action = 'remove' and l.state not in ('withdrawn', 'invalid')

-- enrolled_and_unlisted --
-- Enrollments that the API confirmed but that no listing has shown: the first listing afterwards reported them missing.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state not in ({controls})
    group by request_key
)

select {events}
from {push_ledger} as l
inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
inner join {sequence_enrollments} as e on lower(e.id) = l.enrollment_id
where
    l.state = 'enrolled' and l.error_code is null and l.attempt > 0 and e.missing_since is not null
    and not exists (
        select 1
        from {runs} as r
        where r.verified <> 'failed' and r.started_at > l.recorded_at and r.finished_at < e.missing_since
    )

-- attempts --
-- Outcome of each attempt without a clear answer, for requests with at least this many attempts.
select request_key, attempt, http_status, error_code
from {push_ledger} as every_event
where
    state = 'unknown'
    and request_key in (select request_key from {push_ledger} as every_event where attempt >= {most})
order by request_key, event

-- limited --
-- For requests answered with 429: the number of runs in which other requests succeeded, which rules out a rate limit.
select request_key, count(distinct run_id)
from {push_ledger} as every_event
where
    state = 'deferred' and http_status = 429
    and run_id in (select run_id from {push_ledger} as every_event where state in ('enrolled', 'removed') and attempt > 0)
group by request_key

-- accounts --
-- Accounts in the ledger, and accounts with enrollments.
select account_id
from {push_ledger} as every_event
where account_id is not null and state not in ({controls})
union
select account_id
from {sequence_enrollments} as every_enrollment
where account_id is not null

-- waiting --
-- Number of requests in each state that needs an operator.
with last_events as (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state not in ({controls})
    group by request_key
),

standings as (
    select
        case when l.state = 'enrolled' and l.error_code = 'duplicate' then 'duplicate' else l.state end as standing
    from {push_ledger} as l
    inner join last_events as n on l.request_key = n.of_key and l.event = n.newest
)

select standing, count(*)
from standings
where standing in ({attention})
group by standing

-- plan --
-- The plan with this key: what it would send.
select note
from {push_ledger} as every_event
where state = 'planned' and request_key = '{key}'

-- controls --
-- The newest event of each control: what is paused, and which lost events were accepted.
select {events}
from {push_ledger} as l
inner join (
    select request_key as of_key, max(event) as newest
    from {push_ledger} as every_event
    where state in ({controls}) and state <> 'planned'
    group by request_key
) as n on l.request_key = n.of_key and l.event = n.newest

-- sends --
-- Number of sent requests in the ledger.
select count(*)
from {push_ledger} as every_event
where attempt > 0

-- sends_of_runs --
-- Number of sent requests in the run records.
select coalesce(sum(sent), 0)
from {runs} as every_run

-- lost_sends --
-- Number of sent requests that the run records count and the ledger lacks, added up over the runs.
with known as (
    select run_id, count(*) as sent
    from {push_ledger} as every_event
    where state in ('enrolled', 'removed')
    group by run_id
)

select coalesce(sum(r.sent - coalesce(k.sent, 0)), 0)
from {runs} as r
left join known as k on r.run_id = k.run_id
where r.sent > coalesce(k.sent, 0)

-- newest_enrollment --
-- The latest time known from the API's own clock.
select max(created_at)
from {sequence_enrollments} as every_enrollment

-- now --
-- The warehouse's clock.
select {clock}
