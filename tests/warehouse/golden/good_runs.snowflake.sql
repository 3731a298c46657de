SELECT
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
FROM runs
WHERE
  NOT listed IS NULL
  AND verified IN ('exact', 'covered', 'recent', 'moving')
  AND NOT exit_code IS NULL
  AND status <> 'running'
  AND DATEDIFF(SECOND, CURRENT_TIMESTAMP(), finished_at) <= 3600
