"""The tests need SQLAlchemy for other things; a user has none, and dlt then takes other roads, which start faster."""

raise ImportError(__doc__)
