WITH ended AS (
  SELECT
    *,
    ROW_NUMBER() OVER (ORDER BY finished_at DESC, started_at DESC) AS place,
    ROW_NUMBER() OVER (
      PARTITION BY CASE WHEN command = 'load' THEN 1 ELSE 0 END
      ORDER BY finished_at DESC, started_at DESC
    ) AS place_of_kind
  FROM runs
  WHERE
    DATEDIFF(SECOND, CURRENT_TIMESTAMP(), finished_at) <= 3600
    AND NOT command IN ('report', 'prepare')
), last_run AS (
  SELECT
    run_id,
    command,
    status,
    exit_code,
    finished_at,
    error
  FROM (
    SELECT
      *,
      ROW_NUMBER() OVER (ORDER BY CASE WHEN error IS NULL THEN 1 ELSE 0 END, place) AS choice
    FROM ended
    WHERE
      place = 1
      OR (
        command <> 'load'
        AND place_of_kind = 1
        AND DATEDIFF(SECOND, finished_at, CURRENT_TIMESTAMP()) <= 604800
      )
  ) AS ranked
  WHERE
    choice = 1
), last_success AS (
  SELECT
    finished_at,
    verified,
    listed
  FROM (
    SELECT
      *,
      ROW_NUMBER() OVER (ORDER BY finished_at DESC, started_at DESC) AS place
    FROM good_runs
  ) AS ranked
  WHERE
    place = 1
), lists AS (
  SELECT
    account_ids,
    MAX(finished_at) AS listed_at
  FROM good_runs
  WHERE
    DATEDIFF(SECOND, finished_at, CURRENT_TIMESTAMP()) <= 2592000
  GROUP BY
    account_ids
), accounts_listed AS (
  SELECT
    known.account_id,
    MAX(lists.listed_at) AS listed_at
  FROM (
    SELECT DISTINCT
      account_id
    FROM sequence_enrollments
    WHERE
      NOT account_id IS NULL
  ) AS known
  INNER JOIN lists
    ON lists.account_ids IS NULL
    OR LOCATE(
      CONCAT(',', COALESCE(known.account_id, ''), ','),
      CONCAT(',', COALESCE(lists.account_ids, ''), ',')
    ) > 0
  GROUP BY
    known.account_id
), oldest AS (
  SELECT
    MIN(listed_at) AS listed_at
  FROM accounts_listed
), stored AS (
  SELECT
    CAST(SUM(CASE WHEN missing_since IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS stored,
    CAST(SUM(CASE WHEN NOT missing_since IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS missing
  FROM sequence_enrollments
), waiting AS (
  SELECT
    CAST(COALESCE(SUM(CASE WHEN state = 'held' THEN 1 ELSE 0 END), 0) AS BIGINT) AS held,
    CAST(COALESCE(SUM(CASE WHEN state = 'refused' THEN 1 ELSE 0 END), 0) AS BIGINT) AS refused,
    CAST(COALESCE(SUM(CASE WHEN state IN ('unknown', 'claimed') THEN 1 ELSE 0 END), 0) AS BIGINT) AS unknown,
    CAST(COUNT(*) AS BIGINT) AS waiting
  FROM push_requests
  WHERE
    attention
)
SELECT
  COALESCE(o.listed_at, ls.finished_at) AS last_success_at,
  DATEDIFF(SECOND, COALESCE(o.listed_at, ls.finished_at), CURRENT_TIMESTAMP()) / 3600.0 AS hours_since_success,
  ls.verified,
  ls.listed,
  COALESCE(st.stored, 0) AS stored,
  COALESCE(st.missing, 0) AS missing,
  lr.run_id AS last_run_id,
  lr.command AS last_command,
  lr.status AS last_status,
  lr.exit_code AS last_exit_code,
  lr.finished_at AS last_finished_at,
  lr.error AS last_error,
  w.held,
  w.refused,
  w.unknown,
  w.waiting
FROM waiting AS w
INNER JOIN stored AS st
  ON 1 = 1
INNER JOIN oldest AS o
  ON 1 = 1
LEFT JOIN last_run AS lr
  ON 1 = 1
LEFT JOIN last_success AS ls
  ON 1 = 1
