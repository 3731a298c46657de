"""`python -m boast_source.sandbox` is `boast sandbox`."""

from boast_source.sandbox.command import sandbox

sandbox()
