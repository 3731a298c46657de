"""The two ways to log in, as dlt specifications: a fixed token, or OAuth.

Keys `sources.boast.credentials.*`, from the environment, `.dlt/config.toml` or `.dlt/secrets.toml`.
"""

from __future__ import annotations

from typing import Any, Union

import dlt
from dlt.common.configuration import configspec
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import BaseConfiguration, CredentialsConfiguration
from dlt.common.typing import TSecretStrValue  # noqa: TC002 (dlt reads the annotations at run time)

from boast_source.api.address import DEFAULT_TOKEN_URL
from boast_source.errors import ConfigurationError

SECTIONS = ("sources", "boast")
OAUTH_KEYS = ("client_id", "client_secret", "refresh_token")


@configspec
class AccessTokenCredentials(CredentialsConfiguration):
    """A fixed bearer token."""

    access_token: TSecretStrValue = None  # type: ignore[assignment]

    def parse_native_representation(self, native_value: Any) -> None:
        """A plain text is the token: `boast_source(credentials="...")`."""
        if isinstance(native_value, str):
            self.access_token = native_value
        else:
            super().parse_native_representation(native_value)

    def on_resolved(self) -> None:
        """An empty value is an absent one: schedulers set a secret that they do not have to the empty string."""
        _require(self, "access_token")

    def __repr__(self) -> str:
        return "AccessTokenCredentials(access_token=…)"

    __str__ = __repr__


@configspec
class OAuthCredentials(CredentialsConfiguration):
    """An OAuth client. `refresh_token` is only the seed: what `token_store` holds is newer.

    `token_store`: an fsspec URL or a path; None: a file in the user's configuration folder.
    """

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]
    refresh_token: TSecretStrValue | None = None
    token_url: str = DEFAULT_TOKEN_URL
    token_store: str | None = None

    def on_resolved(self) -> None:
        """An empty value is an absent one."""
        _require(self, "client_id", "client_secret")
        self.refresh_token = (self.refresh_token or "").strip() or None
        self.token_store = self.token_store or None
        self.token_url = self.token_url or DEFAULT_TOKEN_URL

    def __repr__(self) -> str:
        return f"OAuthCredentials(client_id={self.client_id!r}, client_secret=…, refresh_token=…)"

    __str__ = __repr__


def _require(spec: CredentialsConfiguration, *names: str) -> None:
    """Raises ConfigFieldMissingException, which lets dlt try the other way to log in."""
    if absent := [name for name in names if not (getattr(spec, name) or "").strip()]:
        raise ConfigFieldMissingException(spec, {name: [] for name in absent})


BoastCredentials = Union[AccessTokenCredentials, OAuthCredentials]  # noqa: UP007 (dlt resolves a typing.Union)


@configspec
class _Holder(BaseConfiguration):
    credentials: BoastCredentials = None  # type: ignore[assignment]


@configspec
class _OAuthHolder(BaseConfiguration):
    credentials: OAuthCredentials = None  # type: ignore[assignment]


def resolve_credentials() -> BoastCredentials:
    """The credentials from dlt's configuration. Raises ConfigurationError that names what is missing and where."""
    try:
        return resolve_configuration(_Holder(), sections=SECTIONS).credentials
    except ConfigFieldMissingException:
        raise _missing() from None


def resolve_oauth_credentials() -> OAuthCredentials:
    """The OAuth client, also where a fixed token is configured beside it. Raises ConfigurationError."""
    try:
        return resolve_configuration(_OAuthHolder(), sections=SECTIONS).credentials
    except ConfigFieldMissingException:
        raise _missing() from None


def _missing() -> ConfigurationError:
    where = ".dlt/secrets.toml under [sources.boast.credentials], or in the environment as"
    given = {key for key in OAUTH_KEYS if _given(key)}
    if not given:
        return ConfigurationError(
            "No credentials for Boast: sources.boast.credentials is empty",
            hint=f"Put access_token, or client_id and client_secret, into {where}"
            " SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN and so on; then `boast login`",
        )
    absent = [key for key in ("client_id", "client_secret") if key not in given]
    return ConfigurationError(
        f"Half of the OAuth credentials is missing: {' and '.join(absent)} in sources.boast.credentials",
        hint=f"Put {' and '.join(absent)} into {where}"
        f" {' and '.join('SOURCES__BOAST__CREDENTIALS__' + key.upper() for key in absent)}",
    )


def _given(key: str) -> bool:
    name = ".".join((*SECTIONS, "credentials", key))
    found: object = dlt.secrets.get(name)
    return found is not None and bool(str(found).strip())
