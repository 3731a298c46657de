WITH enrollments AS (
  SELECT
    *
  FROM enrollment_milestones
), lists AS (
  SELECT
    account_ids,
    MAX(CAST(FROM_UTC_TIMESTAMP(finished_at, 'UTC') AS DATE)) AS day
  FROM good_runs
  GROUP BY
    account_ids
), newest AS (
  SELECT
    account_id,
    MAX(
      CASE
        WHEN updated_at <= CURRENT_TIMESTAMP()
        THEN CAST(FROM_UTC_TIMESTAMP(updated_at, 'UTC') AS DATE)
      END
    ) AS changed
  FROM enrollments
  GROUP BY
    account_id
), known AS (
  SELECT
    n.account_id,
    n.changed,
    MAX(l.day) AS listed
  FROM newest AS n
  LEFT JOIN lists AS l
    ON l.account_ids IS NULL
    OR LOCATE(
      CONCAT(',', COALESCE(n.account_id, ''), ','),
      CONCAT(',', COALESCE(l.account_ids, ''), ',')
    ) > 0
  GROUP BY
    n.account_id,
    n.changed
), latest AS (
  SELECT
    (
      SELECT
        MAX(changed)
      FROM newest
    ) AS changed,
    (
      SELECT
        MAX(day)
      FROM lists
    ) AS listed
), cohorts AS (
  SELECT
    CAST(DATE_TRUNC('MONTH', FROM_UTC_TIMESTAMP(enrolled_at, 'UTC')) AS DATE) AS month,
    account_id,
    sequence_id,
    COUNT(*) AS enrolled,
    CAST(SUM(CASE WHEN status = 'active' THEN 1 ELSE 0 END) AS BIGINT) AS active,
    CAST(SUM(CASE WHEN status = 'completed' THEN 1 ELSE 0 END) AS BIGINT) AS completed,
    CAST(SUM(CASE WHEN status = 'removed' THEN 1 ELSE 0 END) AS BIGINT) AS removed,
    CAST(SUM(CASE WHEN status IN ('active', 'completed', 'removed') THEN 0 ELSE 1 END) AS BIGINT) AS other,
    CAST(SUM(CASE WHEN NOT response_id IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS responded,
    CAST(SUM(CASE WHEN hours_to_complete <= 720 THEN 1 ELSE 0 END) AS BIGINT) AS completed_in_30_days,
    CAST(SUM(CASE WHEN hours_to_respond <= 720 THEN 1 ELSE 0 END) AS BIGINT) AS responded_in_30_days
  FROM enrollments
  WHERE
    missing_since IS NULL
  GROUP BY
    1,
    2,
    3
)
SELECT
  c.month,
  c.account_id,
  c.sequence_id,
  s.name AS sequence_name,
  c.enrolled,
  c.active,
  c.completed,
  c.removed,
  c.other,
  c.responded,
  c.completed * 1.0 / c.enrolled AS completion_rate,
  c.responded * 1.0 / c.enrolled AS response_rate,
  c.completed_in_30_days,
  c.responded_in_30_days,
  c.completed_in_30_days * 1.0 / c.enrolled AS completion_rate_30_days,
  c.responded_in_30_days * 1.0 / c.enrolled AS response_rate_30_days,
  COALESCE(
    DATEDIFF(DAY, c.month, k.changed) >= 61
    OR DATEDIFF(DAY, c.month, t.changed) - CASE WHEN t.listed IS NULL THEN 0 ELSE DATEDIFF(DAY, k.listed, t.listed) END >= 61,
    FALSE
  ) AS had_30_days,
  a.name AS account_name
FROM cohorts AS c
INNER JOIN known AS k
  ON k.account_id IS NOT DISTINCT FROM c.account_id
INNER JOIN latest AS t
  ON 1 = 1
LEFT JOIN sequences AS s
  ON s.id = c.sequence_id
LEFT JOIN accounts AS a
  ON a.id = c.account_id
