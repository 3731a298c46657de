select * from {{ source('boast', 'enrollment_history') }}
