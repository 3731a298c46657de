"""The embedded Boast API: the documented API over real HTTP on loopback, with faults on demand.

It imports nothing from the rest of the package but the line that installs it. Serving needs the extra `sandbox`
(aiohttp).
"""

from __future__ import annotations

from boast_source.sandbox.options import SandboxOptions

__all__ = ["SandboxOptions"]
