select
    id,
    name,
    status,
    created_at,
    updated_at,
    account_id
from {{ source('boast', 'forms') }}
