select * from {{ source('boast', 'sequence_performance') }}
