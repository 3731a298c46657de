select * from {{ source('boast', 'enrollment_milestones') }}
