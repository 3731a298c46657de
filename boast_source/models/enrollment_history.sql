-- Every version of every enrollment that was ever seen, with the time in which it was the newest one seen.
-- What was known at a moment m: where valid_from <= m and (valid_to > m or valid_to is null).
-- Two versions of one run (seen, and gone before the run was over) have the same valid_from; the first is valid for no time.
select
    observed_at as valid_from,
    lead(observed_at) over (partition by id order by version) as valid_to,
    lead(version) over (partition by id order by version) is null as is_current,
    h.*
from sequence_enrollments_history as h
