"""Boast's lists as dlt resources. The code is the package boast-source: install it from the clone of this folder."""

from boast_source import boast_source, create_views, dataset, verify

__all__ = ["boast_source", "create_views", "dataset", "verify"]
