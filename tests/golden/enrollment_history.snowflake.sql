SELECT
  observed_at AS valid_from,
  LEAD(observed_at) OVER (PARTITION BY id ORDER BY version) AS valid_to,
  LEAD(version) OVER (PARTITION BY id ORDER BY version) IS NULL AS is_current,
  h.*
FROM sequence_enrollments_history AS h
