WITH numbered AS (
  SELECT
    *,
    ROW_NUMBER() OVER (PARTITION BY request_key ORDER BY event DESC) AS place,
    MIN(recorded_at) OVER (PARTITION BY request_key) AS first_seen
  FROM push_ledger
  WHERE
    NOT state IN ('paused', 'resumed', 'accepted', 'planned')
)
SELECT
  request_key,
  state,
  action,
  account_id,
  contact_id,
  sequence_id,
  enrollment_id,
  attempt AS attempts,
  COALESCE(error_detail, error_code) AS reason,
  error_code,
  http_status,
  first_seen,
  recorded_at AS since,
  run_id,
  CASE
    WHEN state IN ('claimed', 'unknown', 'refused', 'invalid', 'held')
    THEN TRUE
    WHEN state = 'enrolled' AND error_code = 'duplicate'
    THEN TRUE
    ELSE FALSE
  END AS attention
FROM numbered
WHERE
  place = 1
