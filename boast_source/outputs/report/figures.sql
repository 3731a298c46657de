-- What the report reads, from views and tables of the dataset (figures.py).

-- days --
-- Enrollments per day, over all accounts and sequences.
select day, sum(enrolled) as enrolled, sum(completed) as completed, sum(removed) as removed,
sum(active) as active from enrollment_daily group by day order by day

-- sequences --
-- Sequences with enrollments, the largest first.
select account_id, sequence_id, sequence_name, enrolled, active, completed, removed, other, responded,
missing, completion_rate, response_rate, median_hours_to_complete, median_hours_to_respond
from sequence_performance where enrolled > 0 order by enrolled desc, sequence_id

-- cohorts --
-- Enrollments by the month in which they began.
select month, sum(enrolled) as enrolled, sum(completed) as completed, sum(responded) as responded,
sum(completed_in_30_days) as completed_in_30_days, sum(responded_in_30_days) as responded_in_30_days,
min(case when had_30_days then 1 else 0 end) as had_30_days
from enrollment_cohorts group by month order by month

-- grown --
-- Per sequence, the enrollments of months whose 30 days are over.
select account_id, sequence_id, sum(enrolled) as enrolled, sum(responded_in_30_days) as responded_in_30_days
from enrollment_cohorts where had_30_days group by account_id, sequence_id

-- requests --
-- Push requests by state.
select state, count(*) as requests from push_requests group by state order by requests desc, state

-- waiting --
-- Push requests that need attention, by state and reason.
select state, coalesce(error_code, '') as code, count(*) as requests, min(since) as since
from push_requests where attention
group by 1, 2 order by requests desc, 1, 2

-- pushed --
-- Push requests by sequence, state and reason; `since`: a condition.
select sequence_id, state, coalesce(error_code, '') as code, count(*) as requests
from push_requests where {since} group by 1, 2, 3 order by 1, 2, 3

-- nights --
-- The last two good nightly runs, or this one and the last.
select run_id, started_at, finished_at from runs where command = 'nightly'
and (exit_code is null or exit_code in (0, 3)) order by started_at desc limit 2

-- after_listing --
-- Enrollments that the last good run made after its listing.
select count(*) as requests from push_requests
where state = 'enrolled' and run_id in (
    select run_id from good_runs where started_at = (select max(started_at) from good_runs))

-- health --
-- The row of the view.
select * from pipeline_health

-- runs --
-- The last runs.
select command, started_at, finished_at, status, exit_code, verified, listed, loaded, missing, sent
from runs order by finished_at desc, started_at desc limit 14

-- names --
-- Names of accounts or sequences.
select id, name from {table}
