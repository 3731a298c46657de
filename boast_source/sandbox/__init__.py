"""The embedded Boast API: the documented API over real HTTP on loopback, with faults on demand.

Imports nothing of the rest of the package. Needs the extra `sandbox` (aiohttp) once it serves.
"""

from __future__ import annotations

from boast_source.sandbox.options import SandboxOptions

__all__ = ["SandboxOptions"]
