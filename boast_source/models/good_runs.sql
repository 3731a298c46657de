-- The runs that listed the enrollments and verified that the warehouse holds what was listed: the one definition of a good run.
-- A run that is still going on, that died, or whose verification failed is none; nor is, until then, one that a clock which ran ahead
-- recorded more than an hour in the future. What else of a run failed does not matter: a report that cannot be written, say.
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
