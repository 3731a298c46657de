-- Every version of every enrollment, with the period in which it was the newest one seen.
-- What was known at a moment m: where valid_from <= m and (valid_to > m or valid_to is null).
-- If a run sees a version and then finds it gone, both have the same valid_from, and the first has an empty period.
-- A version never starts later than its successor, even if a fast clock recorded it.
select
    min(observed_at) over (partition by id order by version rows between current row and unbounded following) as valid_from,
    min(observed_at) over (partition by id order by version rows between 1 following and unbounded following) as valid_to,
    lead(version) over (partition by id order by version) is null as is_current,
    h.*
from sequence_enrollments_history as h
