select
    id,
    contact_id,
    sequence_id,
    response_id,
    status,
    created_at,
    updated_at,
    account_id,
    missing_since
from {{ source('boast', 'sequence_enrollments') }}
