-- One row per enrollment, as it is now, with the moments that matter and how long they took: what the figures are made of.
-- `enrolled_at`: `created_at`, else the first `updated_at`. `completed_at`: the `updated_at` with which `completed` was first
-- seen; `responded_at`: the response's `created` where responses are loaded, else the `updated_at` with which the response was
-- first seen. Hours count from `created_at`, for those that are completed or have a response now; null where the clocks
-- contradict each other.
with firsts as (
    select
        id,
        min(case when version = 1 then coalesce(created_at, updated_at, observed_at) end) as began,
        min(case when missing_since is null and status = 'completed' then updated_at end) as completed_at,
        min(case when missing_since is null and response_id is not null then updated_at end) as responded_at
    from sequence_enrollments_history
    group by id
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
        coalesce(e.created_at, f.began) as enrolled_at,
        case when e.status = 'completed' then f.completed_at end as completed_at,
        case when e.response_id is not null then coalesce(r.created, f.responded_at) end as responded_at
    from sequence_enrollments as e
    left join firsts as f on f.id = e.id
    left join responses as r on r.id = e.response_id
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
    case when responded_at >= created_at then date_diff('second', created_at, responded_at) / 3600.0 end as hours_to_respond
from moments
