-- One row per pushed request: its latest state, the enrollment it concerns, how often it was sent, and why.
-- `since`: when it entered this state. `first_seen`: when it entered the ledger. Both by the warehouse's clock.
-- `attention`: it needs an operator (the states of boast_source/push/model.py, and contacts enrolled more than once). Pauses, plans and
-- accepted losses are in the ledger too, but are not requests.
with numbered as (
    select
        *,
        row_number() over (partition by request_key order by event desc) as place,
        min(recorded_at) over (partition by request_key) as first_seen
    from push_ledger
    where state not in ('paused', 'resumed', 'accepted', 'planned')
)

select
    request_key,
    state,
    action,
    account_id,
    contact_id,
    sequence_id,
    enrollment_id,
    attempt as attempts,
    coalesce(error_detail, error_code) as reason,
    error_code,
    http_status,
    first_seen,
    recorded_at as since,
    run_id,
    case
        when state in ('claimed', 'unknown', 'refused', 'invalid', 'held') then true
        when state = 'enrolled' and error_code = 'duplicate' then true
        else false
    end as attention
from numbered
where place = 1
