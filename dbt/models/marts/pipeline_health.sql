select * from {{ source('boast', 'pipeline_health') }}
