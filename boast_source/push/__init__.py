"""Reverse ETL: carry out the warehouse's pending enrollments and removals in Boast, each at most once."""
