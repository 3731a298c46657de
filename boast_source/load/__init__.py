"""The dlt source, and a load over it."""
