SELECT
  MIN(observed_at) OVER (PARTITION BY id ORDER BY version rows BETWEEN CURRENT ROW AND UNBOUNDED following) AS valid_from,
  MIN(observed_at) OVER (PARTITION BY id ORDER BY version rows BETWEEN 1 following AND UNBOUNDED following) AS valid_to,
  LEAD(version) OVER (PARTITION BY id ORDER BY version) IS NULL AS is_current,
  h.*
FROM sequence_enrollments_history AS h
