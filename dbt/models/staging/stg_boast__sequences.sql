select
    id,
    collection_form_id,
    enrollment_form_id,
    name,
    status,
    created_at,
    updated_at,
    account_id
from {{ source('boast', 'sequences') }}
