select * from {{ source('boast', 'push_requests') }}
