WITH enrollments AS (
  SELECT
    *
  FROM enrollment_milestones
), present AS (
  SELECT
    *,
    ROW_NUMBER() OVER (
      PARTITION BY account_id, sequence_id
      ORDER BY CASE WHEN hours_to_complete IS NULL THEN 1 ELSE 0 END, hours_to_complete
    ) AS place_complete,
    COUNT(hours_to_complete) OVER (PARTITION BY account_id, sequence_id) AS count_complete,
    ROW_NUMBER() OVER (
      PARTITION BY account_id, sequence_id
      ORDER BY CASE WHEN hours_to_respond IS NULL THEN 1 ELSE 0 END, hours_to_respond
    ) AS place_respond,
    COUNT(hours_to_respond) OVER (PARTITION BY account_id, sequence_id) AS count_respond
  FROM enrollments
  WHERE
    missing_since IS NULL
), figures AS (
  SELECT
    account_id,
    sequence_id,
    COUNT(*) AS enrolled,
    CAST(SUM(CASE WHEN status = 'active' THEN 1 ELSE 0 END) AS BIGINT) AS active,
    CAST(SUM(CASE WHEN status = 'completed' THEN 1 ELSE 0 END) AS BIGINT) AS completed,
    CAST(SUM(CASE WHEN status = 'removed' THEN 1 ELSE 0 END) AS BIGINT) AS removed,
    CAST(SUM(CASE WHEN status IN ('active', 'completed', 'removed') THEN 0 ELSE 1 END) AS BIGINT) AS other,
    CAST(SUM(CASE WHEN NOT response_id IS NULL THEN 1 ELSE 0 END) AS BIGINT) AS responded,
    AVG(
      CASE
        WHEN place_complete * 2 BETWEEN count_complete AND count_complete + 2
        THEN hours_to_complete
      END
    ) AS median_hours_to_complete,
    AVG(
      CASE
        WHEN place_respond * 2 BETWEEN count_respond AND count_respond + 2
        THEN hours_to_respond
      END
    ) AS median_hours_to_respond,
    MIN(enrolled_at) AS first_enrolled_at,
    MAX(enrolled_at) AS last_enrolled_at
  FROM present
  GROUP BY
    account_id,
    sequence_id
), all_sequences AS (
  SELECT
    account_id,
    sequence_id,
    CAST(SUM(CASE WHEN missing_since IS NULL THEN 0 ELSE 1 END) AS BIGINT) AS missing
  FROM enrollments
  GROUP BY
    account_id,
    sequence_id
)
SELECT
  e.account_id,
  e.sequence_id,
  s.name AS sequence_name,
  COALESCE(f.enrolled, 0) AS enrolled,
  COALESCE(f.active, 0) AS active,
  COALESCE(f.completed, 0) AS completed,
  COALESCE(f.removed, 0) AS removed,
  COALESCE(f.other, 0) AS other,
  COALESCE(f.responded, 0) AS responded,
  e.missing,
  f.completed * 1.0 / f.enrolled AS completion_rate,
  f.removed * 1.0 / f.enrolled AS removal_rate,
  f.responded * 1.0 / f.enrolled AS response_rate,
  f.median_hours_to_complete,
  f.median_hours_to_respond,
  f.first_enrolled_at,
  f.last_enrolled_at,
  a.name AS account_name
FROM all_sequences AS e
LEFT JOIN figures AS f
  ON f.account_id IS NOT DISTINCT FROM e.account_id
  AND f.sequence_id IS NOT DISTINCT FROM e.sequence_id
LEFT JOIN sequences AS s
  ON s.id = e.sequence_id
LEFT JOIN accounts AS a
  ON a.id = e.account_id
