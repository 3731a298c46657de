select * from {{ source('boast', 'enrollment_cohorts') }}
