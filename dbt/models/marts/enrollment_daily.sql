select * from {{ source('boast', 'enrollment_daily') }}
