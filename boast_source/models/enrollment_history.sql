-- Every version of every enrollment that was ever seen, with the time in which it was the newest one seen.
-- What was known at a moment m: where valid_from <= m and (valid_to > m or valid_to is null).
-- Two versions of one run (seen, and gone before the run was over) have the same valid_from; the first is valid for no time.
-- No version begins later than one that came after it, though a clock that ran ahead may have seen it first.
select
    min(observed_at) over (partition by id order by version rows between current row and unbounded following) as valid_from,
    min(observed_at) over (partition by id order by version rows between 1 following and unbounded following) as valid_to,
    lead(version) over (partition by id order by version) is null as is_current,
    h.*
from sequence_enrollments_history as h
