WITH firsts AS (
  SELECT
    id,
    MIN(CASE WHEN version = 1 THEN COALESCE(created_at, updated_at, observed_at) END) AS began,
    MIN(CASE WHEN missing_since IS NULL AND status = 'completed' THEN updated_at END) AS completed_at,
    MIN(CASE WHEN missing_since IS NULL AND NOT response_id IS NULL THEN updated_at END) AS responded_at
  FROM sequence_enrollments_history
  GROUP BY
    id
), moments AS (
  SELECT
    e.id,
    e.account_id,
    e.contact_id,
    e.sequence_id,
    e.response_id,
    e.status,
    e.missing_since,
    e.created_at,
    e.updated_at,
    COALESCE(e.created_at, f.began) AS enrolled_at,
    CASE WHEN e.status = 'completed' THEN f.completed_at END AS completed_at,
    CASE WHEN NOT e.response_id IS NULL THEN COALESCE(r.created, f.responded_at) END AS responded_at
  FROM sequence_enrollments AS e
  LEFT JOIN firsts AS f
    ON f.id = e.id
  LEFT JOIN responses AS r
    ON r.id = e.response_id
)
SELECT
  id,
  account_id,
  contact_id,
  sequence_id,
  response_id,
  status,
  missing_since,
  updated_at,
  enrolled_at,
  completed_at,
  responded_at,
  CASE
    WHEN completed_at >= created_at
    THEN TIMESTAMP_DIFF(completed_at, created_at, SECOND) / 3600.0
  END AS hours_to_complete,
  CASE
    WHEN responded_at >= created_at
    THEN TIMESTAMP_DIFF(responded_at, created_at, SECOND) / 3600.0
  END AS hours_to_respond
FROM moments
