select * from {{ source('boast', 'good_runs') }}
