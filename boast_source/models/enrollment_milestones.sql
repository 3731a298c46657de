-- One row per enrollment in its current state, with its key times and durations: the basis of the other figures.
-- `enrolled_at`: `created_at`, or the first `updated_at`. `completed_at`, `removed_at`: the `updated_at` of the version in which that status
-- first appeared, if it still applies. `responded_at`: the response's `created` if responses are loaded, or else the `updated_at` of the
-- version in which a response first appeared. Hours count from `created_at`; they are null if the end precedes the start.
with ended as (
    select id, status, updated_at
    from (
        select id, status, updated_at, row_number() over (partition by id, status order by version) as place
        from sequence_enrollments_history
        where missing_since is null and status in ('completed', 'removed')
    ) as ranked
    where place = 1
),

answered as (
    select id, updated_at
    from (
        select id, updated_at, row_number() over (partition by id order by version) as place
        from sequence_enrollments_history
        where missing_since is null and response_id is not null
    ) as ranked
    where place = 1
),

moments as (
    select
        e.id,
        e.account_id,
        e.contact_id,
        e.sequence_id,
        e.response_id,
        e.status,
        e.missing_since,
        e.created_at,
        e.updated_at,
        coalesce(e.created_at, f.created_at, f.updated_at, f.observed_at) as enrolled_at,
        case when e.status = 'completed' then d.updated_at end as completed_at,
        case when e.response_id is not null then coalesce(r.created, w.updated_at) end as responded_at,
        case when e.status = 'removed' then d.updated_at end as removed_at,
        s.name as sequence_name,
        a.name as account_name
    from sequence_enrollments as e
    left join sequence_enrollments_history as f on f.id = e.id and f.version = 1
    left join ended as d on d.id = e.id and d.status = e.status
    left join answered as w on w.id = e.id
    left join responses as r on r.id = e.response_id
    left join sequences as s on s.id = e.sequence_id
    left join accounts as a on a.id = e.account_id
)

select
    id,
    account_id,
    contact_id,
    sequence_id,
    response_id,
    status,
    missing_since,
    updated_at,
    enrolled_at,
    completed_at,
    responded_at,
    case when completed_at >= created_at then date_diff('second', created_at, completed_at) / 3600.0 end as hours_to_complete,
    case when responded_at >= created_at then date_diff('second', created_at, responded_at) / 3600.0 end as hours_to_respond,
    removed_at,
    case when removed_at >= created_at then date_diff('second', created_at, removed_at) / 3600.0 end as hours_to_remove,
    sequence_name,
    account_name
from moments
