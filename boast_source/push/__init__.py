"""The reverse-ETL step: pending enrollments from the warehouse, made true in Boast, each at most once."""
