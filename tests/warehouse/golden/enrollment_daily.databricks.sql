WITH versions AS (
  SELECT
    id,
    COALESCE(account_id, '') AS account_id,
    COALESCE(sequence_id, '') AS sequence_id,
    version,
    missing_since,
    observed_at,
    updated_at,
    COALESCE(created_at, updated_at, observed_at) AS began,
    CASE WHEN NOT missing_since IS NULL THEN 'missing' ELSE COALESCE(status, 'none') END AS state
  FROM sequence_enrollments_history
), chained AS (
  SELECT
    *,
    LAG(state) OVER (PARTITION BY id ORDER BY version) AS state_before,
    LAG(sequence_id) OVER (PARTITION BY id ORDER BY version) AS sequence_before,
    LAG(account_id) OVER (PARTITION BY id ORDER BY version) AS account_before
  FROM versions
), steps AS (
  SELECT
    id,
    version,
    account_id,
    sequence_id,
    state,
    began,
    state_before IS NULL AS is_first,
    COALESCE(state_before, 'active') AS before,
    COALESCE(account_before, account_id) AS account_before,
    COALESCE(sequence_before, sequence_id) AS sequence_before,
    CASE
      WHEN state_before IS NULL AND COALESCE(missing_since, updated_at, observed_at) < began
      THEN began
      WHEN NOT missing_since IS NULL
      THEN missing_since
      WHEN state_before = 'missing' OR updated_at IS NULL
      THEN observed_at
      ELSE updated_at
    END AS happened
  FROM chained
  WHERE
    state_before IS NULL
    OR state <> state_before
    OR account_id <> account_before
    OR sequence_id <> sequence_before
), ordered AS (
  SELECT
    *,
    MAX(happened) OVER (PARTITION BY id ORDER BY version rows BETWEEN UNBOUNDED preceding AND CURRENT ROW) AS moment
  FROM steps
), events AS (
  SELECT
    began AS moment,
    account_id,
    sequence_id,
    1 AS enrolled,
    0 AS completed,
    0 AS removed,
    1 AS active
  FROM ordered
  WHERE
    is_first
  UNION ALL
  SELECT
    moment,
    account_before AS account_id,
    sequence_before AS sequence_id,
    0 AS enrolled,
    0 AS completed,
    0 AS removed,
    -1 AS active
  FROM ordered
  WHERE
    before = 'active' AND (
      NOT is_first OR state <> 'active'
    )
  UNION ALL
  SELECT
    moment,
    account_id,
    sequence_id,
    0 AS enrolled,
    CASE
      WHEN state = 'completed' AND NOT before IN ('completed', 'missing')
      THEN 1
      ELSE 0
    END AS completed,
    CASE
      WHEN state = 'removed' AND NOT before IN ('removed', 'missing')
      THEN 1
      ELSE 0
    END AS removed,
    CASE WHEN state = 'active' THEN 1 ELSE 0 END AS active
  FROM ordered
  WHERE
    NOT is_first OR state <> 'active'
), today AS (
  SELECT
    CAST(FROM_UTC_TIMESTAMP(CURRENT_TIMESTAMP(), 'UTC') AS DATE) AS today
), changes AS (
  SELECT
    LEAST(CAST(FROM_UTC_TIMESTAMP(e.moment, 'UTC') AS DATE), t.today) AS day,
    e.account_id,
    e.sequence_id,
    CAST(SUM(e.enrolled) AS BIGINT) AS enrolled,
    CAST(SUM(e.completed) AS BIGINT) AS completed,
    CAST(SUM(e.removed) AS BIGINT) AS removed,
    CAST(SUM(e.active) AS BIGINT) AS net
  FROM events AS e
  INNER JOIN today AS t
    ON 1 = 1
  GROUP BY
    1,
    2,
    3
), digits AS (
  SELECT
    0 AS digit
  UNION ALL
  SELECT
    1
  UNION ALL
  SELECT
    2
  UNION ALL
  SELECT
    3
  UNION ALL
  SELECT
    4
  UNION ALL
  SELECT
    5
  UNION ALL
  SELECT
    6
  UNION ALL
  SELECT
    7
  UNION ALL
  SELECT
    8
  UNION ALL
  SELECT
    9
), numbers AS (
  SELECT
    ones.digit + 10 * tens.digit + 100 * hundreds.digit + 1000 * thousands.digit AS number
  FROM digits AS ones
  INNER JOIN digits AS tens
    ON 1 = 1
  INNER JOIN digits AS hundreds
    ON 1 = 1
  INNER JOIN digits AS thousands
    ON 1 = 1
), days AS (
  SELECT
    day
  FROM changes
  UNION
  SELECT
    CAST(t.today AS DATE) - n.number AS day
  FROM today AS t
  INNER JOIN numbers AS n
    ON 1 = 1
), firsts AS (
  SELECT
    account_id,
    sequence_id,
    MIN(day) AS first_day
  FROM changes
  GROUP BY
    account_id,
    sequence_id
), places AS (
  SELECT
    f.account_id,
    f.sequence_id,
    f.first_day,
    s.name AS sequence_name,
    a.name AS account_name
  FROM firsts AS f
  LEFT JOIN sequences AS s
    ON s.id = f.sequence_id
  LEFT JOIN accounts AS a
    ON a.id = f.account_id
)
SELECT
  d.day,
  p.account_id,
  p.sequence_id,
  COALESCE(c.enrolled, 0) AS enrolled,
  COALESCE(c.completed, 0) AS completed,
  COALESCE(c.removed, 0) AS removed,
  COALESCE(c.net - c.enrolled + c.completed + c.removed, 0) AS other_changes,
  CAST(SUM(COALESCE(c.net, 0)) OVER (
    PARTITION BY p.account_id, p.sequence_id
    ORDER BY d.day
    rows BETWEEN UNBOUNDED preceding AND CURRENT ROW
  ) AS BIGINT) AS active,
  p.sequence_name,
  p.account_name
FROM places AS p
INNER JOIN days AS d
  ON d.day >= p.first_day
LEFT JOIN changes AS c
  ON c.day = d.day AND c.account_id = p.account_id AND c.sequence_id = p.sequence_id
