-- Runs that listed the enrollments and verified that the warehouse holds them: the one definition of a good run.
-- Runs that are unfinished, died or failed verification do not count, nor do runs dated more than an hour in the future by a fast clock,
-- until that time has come. Other failures of a run do not matter, such as a report that could not be written.
select
    run_id,
    command,
    started_at,
    finished_at,
    status,
    exit_code,
    verified,
    listed,
    loaded,
    missing,
    version,
    account_ids
from runs
where
    listed is not null
    and verified in ('exact', 'covered', 'recent', 'moving')
    and exit_code is not null
    and status <> 'running'
    and date_diff('second', current_timestamp, finished_at) <= 3600
