"""Outputs of a successful run: the HTML report and the published copy."""
