WITH versions AS (
  SELECT
    id,
    COALESCE(account_id, '') AS account_id,
    COALESCE(sequence_id, '') AS sequence_id,
    version,
    created_at,
    updated_at,
    missing_since,
    observed_at,
    CASE WHEN NOT missing_since IS NULL THEN 'missing' ELSE COALESCE(status, 'none') END AS state
  FROM sequence_enrollments_history
), chained AS (
  SELECT
    *,
    LAG(state) OVER (PARTITION BY id ORDER BY version) AS before,
    LAG(sequence_id) OVER (PARTITION BY id ORDER BY version) AS sequence_before,
    LAG(account_id) OVER (PARTITION BY id ORDER BY version) AS account_before
  FROM versions
), steps AS (
  SELECT
    *,
    COALESCE(created_at, updated_at, observed_at) AS began,
    CASE
      WHEN NOT missing_since IS NULL
      THEN missing_since
      WHEN before = 'missing' OR updated_at IS NULL
      THEN observed_at
      WHEN updated_at < created_at
      THEN created_at
      ELSE updated_at
    END AS happened
  FROM chained
), events AS (
  SELECT
    began AS moment,
    account_id,
    sequence_id,
    1 AS enrolled,
    0 AS completed,
    0 AS removed,
    1 AS active
  FROM steps
  WHERE
    before IS NULL
  UNION ALL
  SELECT
    happened AS moment,
    account_id,
    sequence_id,
    0 AS enrolled,
    CASE
      WHEN state = 'completed' AND COALESCE(before, 'active') <> 'missing'
      THEN 1
      ELSE 0
    END AS completed,
    CASE
      WHEN state = 'removed' AND COALESCE(before, 'active') <> 'missing'
      THEN 1
      ELSE 0
    END AS removed,
    CASE WHEN state = 'active' THEN 1 ELSE 0 END - CASE WHEN COALESCE(before, 'active') = 'active' THEN 1 ELSE 0 END AS active
  FROM steps
  WHERE
    state <> COALESCE(before, 'active')
  UNION ALL
  SELECT
    happened AS moment,
    account_before AS account_id,
    sequence_before AS sequence_id,
    0,
    0,
    0,
    -1
  FROM steps
  WHERE
    NOT before IS NULL
    AND state = 'active'
    AND before = 'active'
    AND (
      sequence_id <> sequence_before OR account_id <> account_before
    )
  UNION ALL
  SELECT
    happened AS moment,
    account_id,
    sequence_id,
    0,
    0,
    0,
    1
  FROM steps
  WHERE
    NOT before IS NULL
    AND state = 'active'
    AND before = 'active'
    AND (
      sequence_id <> sequence_before OR account_id <> account_before
    )
), changes AS (
  SELECT
    CAST(FROM_UTC_TIMESTAMP(moment, 'UTC') AS DATE) AS day,
    account_id,
    sequence_id,
    CAST(SUM(enrolled) AS BIGINT) AS enrolled,
    CAST(SUM(completed) AS BIGINT) AS completed,
    CAST(SUM(removed) AS BIGINT) AS removed,
    CAST(SUM(active) AS BIGINT) AS net
  FROM events
  GROUP BY
    1,
    2,
    3
), days AS (
  SELECT DISTINCT
    day
  FROM changes
), firsts AS (
  SELECT
    account_id,
    sequence_id,
    MIN(day) AS first_day
  FROM changes
  GROUP BY
    account_id,
    sequence_id
)
SELECT
  d.day,
  f.account_id,
  f.sequence_id,
  COALESCE(c.enrolled, 0) AS enrolled,
  COALESCE(c.completed, 0) AS completed,
  COALESCE(c.removed, 0) AS removed,
  COALESCE(c.net - c.enrolled + c.completed + c.removed, 0) AS other_changes,
  CAST(SUM(COALESCE(c.net, 0)) OVER (
    PARTITION BY f.account_id, f.sequence_id
    ORDER BY d.day
    rows BETWEEN UNBOUNDED preceding AND CURRENT ROW
  ) AS BIGINT) AS active
FROM firsts AS f
INNER JOIN days AS d
  ON d.day >= f.first_day
LEFT JOIN changes AS c
  ON c.day = d.day AND c.account_id = f.account_id AND c.sequence_id = f.sequence_id
