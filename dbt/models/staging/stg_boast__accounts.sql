select
    id,
    name,
    created_at,
    updated_at,
    account_id
from {{ source('boast', 'accounts') }}
