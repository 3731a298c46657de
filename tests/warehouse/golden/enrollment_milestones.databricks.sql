WITH ended AS (
  SELECT
    id,
    status,
    updated_at
  FROM (
    SELECT
      id,
      status,
      updated_at,
      ROW_NUMBER() OVER (PARTITION BY id, status ORDER BY version) AS place
    FROM sequence_enrollments_history
    WHERE
      missing_since IS NULL AND status IN ('completed', 'removed')
  ) AS ranked
  WHERE
    place = 1
), answered AS (
  SELECT
    id,
    updated_at
  FROM (
    SELECT
      id,
      updated_at,
      ROW_NUMBER() OVER (PARTITION BY id ORDER BY version) AS place
    FROM sequence_enrollments_history
    WHERE
      missing_since IS NULL AND NOT response_id IS NULL
  ) AS ranked
  WHERE
    place = 1
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
    COALESCE(e.created_at, f.created_at, f.updated_at, f.observed_at) AS enrolled_at,
    CASE WHEN e.status = 'completed' THEN d.updated_at END AS completed_at,
    CASE WHEN NOT e.response_id IS NULL THEN COALESCE(r.created, w.updated_at) END AS responded_at,
    CASE WHEN e.status = 'removed' THEN d.updated_at END AS removed_at,
    s.name AS sequence_name,
    a.name AS account_name
  FROM sequence_enrollments AS e
  LEFT JOIN sequence_enrollments_history AS f
    ON f.id = e.id AND f.version = 1
  LEFT JOIN ended AS d
    ON d.id = e.id AND d.status = e.status
  LEFT JOIN answered AS w
    ON w.id = e.id
  LEFT JOIN responses AS r
    ON r.id = e.response_id
  LEFT JOIN sequences AS s
    ON s.id = e.sequence_id
  LEFT JOIN accounts AS a
    ON a.id = e.account_id
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
    THEN DATEDIFF(SECOND, created_at, completed_at) / 3600.0
  END AS hours_to_complete,
  CASE
    WHEN responded_at >= created_at
    THEN DATEDIFF(SECOND, created_at, responded_at) / 3600.0
  END AS hours_to_respond,
  removed_at,
  CASE
    WHEN removed_at >= created_at
    THEN DATEDIFF(SECOND, created_at, removed_at) / 3600.0
  END AS hours_to_remove,
  sequence_name,
  account_name
FROM moments
