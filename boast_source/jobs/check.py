"""`boast check`: check everything a load depends on, and report each point as ok or how to fix it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boast_source import models
from boast_source.api import BoastClient, path_of
from boast_source.api.address import checked_url
from boast_source.config import Settings, account_ids_from, settings, unknown_keys
from boast_source.errors import BoastError, ConfigurationError
from boast_source.models.schema import relations
from boast_source.runs import notify
from boast_source.warehouse.pipeline import state_folder, warehouse_for

if TYPE_CHECKING:
    from collections.abc import Callable


PATIENCE = 30.0  # seconds to wait for a DuckDB file that another check has open


@dataclass(frozen=True)
class Point:
    """One check. `detail`: what was found, or how to fix it."""

    name: str
    ok: bool
    detail: str
    exit_code: int = 0

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "detail": self.detail}


@dataclass
class Checked:
    """The result of `boast check`."""

    points: list[Point]

    @property
    def exit_code(self) -> int:
        return max((point.exit_code for point in self.points), default=0)

    def as_json(self) -> dict[str, Any]:
        """Return what `check --json` prints."""
        status = "failed" if self.exit_code else "ok"
        return {"status": status, "checks": [point.as_json() for point in self.points]}


def check(destination: str | None, dataset: str | None) -> Checked:
    """Check configuration, credentials, lists, folders, destination, webhook; skip what depends on a failed point."""
    points: list[Point] = []
    found = _point(points, "configuration", _configuration, lambda s: f"base_url {s.base_url}")
    _point(points, "settings", _all_known, None)
    if found is not None:
        _point(points, "credentials", lambda: _with_client(found, points), None)
    _point(points, "folders", _writable, lambda where: where)
    _point(points, "destination", lambda: _reach(destination, dataset), lambda where: where)
    if _point(points, "webhook", notify.address, None):
        points.append(Point("webhook", ok=True, detail="the address is usable; nothing was sent"))
    return Checked(points)


def _configuration() -> Settings:
    found = settings()
    checked_url(found.base_url, "sources.boast.base_url")
    return found


def _all_known() -> None:
    if unknown := unknown_keys():
        raise ConfigurationError("; ".join(unknown), hint="docs/reference.md lists every setting.")


def _with_client(found: Settings, points: list[Point]) -> None:
    with BoastClient.from_config(found) as client:
        accounts = _point(
            points,
            "token and accounts",
            lambda: _accounts(client, found),
            lambda ids: f"{len(ids)}: {', '.join(ids[:5])}",
        )
        for account in accounts or []:
            _point(
                points,
                f"list of account {account}",
                lambda account=account: client.page(path_of("accounts", account, "sequence_enrollments"), 1),  # type: ignore[misc]
                lambda page: (
                    f"{len(page.records) if page.count is None else page.count} enrollments, {page.pages or 1} pages"
                ),
            )


def _accounts(client: BoastClient, found: Settings) -> list[str]:
    seen = [str(account["id"]) for account in client.accounts()]
    if not seen:
        raise BoastError(
            "The token sees no account", hint="Ask for API access to an account in Boast, then check again."
        )
    return list(account_ids_from(found.account_ids) or seen)


def _writable() -> str:
    """Return the folders of the run state and the scratch index, with their free space. Raises ConfigurationError."""
    said = []
    try:
        state = state_folder()
    except OSError as error:
        raise ConfigurationError(
            f"The state folder is unknown: {error.strerror}", hint="Correct .dlt/config.toml, then check again."
        ) from error
    for what, folder, setting in (
        ("state", state, "DLT_DATA_DIR"),
        ("scratch", Path(tempfile.gettempdir()), "TMPDIR"),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(b"boast")
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise ConfigurationError(
                f"The {what} folder {folder} cannot be written: {error.strerror}",
                hint=f"Free it, or choose another with {setting}.",
            ) from None
        said.append(f"{what} in {folder}, {free / 1e9:.1f} GB free")
    return "; ".join(said)


def _reach(destination: str | None, dataset: str | None) -> str:
    warehouse = warehouse_for(destination, dataset)
    if warehouse.file and not warehouse.file.exists():
        return f"{warehouse.place}: the first load makes the file"
    with warehouse.open(patience=PATIENCE):
        warehouse.ask_rights(list(relations()))
        if warehouse.has_sql:
            models.refuse_foreign(warehouse.client, relations())
        return f"{warehouse.place} answers, and may be written"


def _point(points: list[Point], name: str, attempt: Callable[[], Any], describe: Callable[[Any], str] | None) -> Any:
    try:
        result = attempt()
    except BoastError as error:
        if any(point.detail == str(error) for point in points):  # one bad file can fail several checks: report it once
            return None
        points.append(Point(name, ok=False, detail=str(error), exit_code=error.exit_code))
        return None
    if describe:
        points.append(Point(name, ok=True, detail=describe(result)))
    return result
