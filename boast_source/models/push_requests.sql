-- One row per pushed request: its latest state, the enrollment it is about, how often it was sent, and why.
-- `since`: when it came into this state; `first_seen`: when it first came into the ledger. Times are the warehouse's.
-- `attention`: whether it waits for an operator (the states of boast_source/push/model.py); so does a contact that was
-- enrolled more than once. What an operator paused, planned or accepted is in the ledger too, and is no request.
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
