"""What people see of a successful run: the report and the published copy."""
