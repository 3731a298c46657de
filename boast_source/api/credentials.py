"""The two ways to log in, as dlt specifications: a fixed token, or OAuth.

Keys `sources.boast.credentials.*`, from the environment, `.dlt/config.toml` or `.dlt/secrets.toml`.
"""

from __future__ import annotations

from typing import Any

import dlt
from dlt import TSecretStrValue
from dlt.sources.config import with_config
from dlt.sources.credentials import CredentialsConfiguration, configspec

from boast_source.api.address import DEFAULT_TOKEN_URL
from boast_source.errors import ConfigurationError

SECTIONS = ("sources", "boast")
OAUTH_KEYS = ("client_id", "client_secret", "refresh_token")


class _Spec(CredentialsConfiguration):
    """Treats empty values as absent: schedulers set a secret that they do not have to the empty string."""

    @classmethod
    def is_field_resolved(cls, value: Any, hint: Any) -> bool:
        blank = isinstance(value, str) and not value.strip()
        return super().is_field_resolved(None if blank else value, hint)


@configspec
class AccessTokenCredentials(_Spec):
    """A fixed bearer token."""

    access_token: TSecretStrValue = None  # type: ignore[assignment]

    def parse_native_representation(self, native_value: Any) -> None:
        """Take a plain string as the token: `boast_source(credentials="...")`."""
        if isinstance(native_value, str):
            self.access_token = native_value
        else:
            super().parse_native_representation(native_value)

    def __repr__(self) -> str:
        return "AccessTokenCredentials(access_token=…)"

    __str__ = __repr__


@configspec
class OAuthCredentials(_Spec):
    """An OAuth client. `refresh_token` is only the seed: rotated tokens are kept in `token_store`.

    `token_store`: an fsspec URL or a path; None: a file in the user's configuration folder.
    """

    client_id: str = None  # type: ignore[assignment]
    client_secret: TSecretStrValue = None  # type: ignore[assignment]
    refresh_token: TSecretStrValue | None = None
    token_url: str = DEFAULT_TOKEN_URL
    token_store: str | None = None

    def on_resolved(self) -> None:
        """Treat empty values as absent."""
        self.refresh_token = (self.refresh_token or "").strip() or None
        self.token_store = self.token_store or None
        self.token_url = self.token_url or DEFAULT_TOKEN_URL

    def __repr__(self) -> str:
        return f"OAuthCredentials(client_id={self.client_id!r}, client_secret=…, refresh_token=…)"

    __str__ = __repr__


BoastCredentials = AccessTokenCredentials | OAuthCredentials


@with_config(sections=SECTIONS)
def _credentials(credentials: BoastCredentials = dlt.secrets.value) -> BoastCredentials:
    return credentials


@with_config(sections=SECTIONS)
def _oauth(credentials: OAuthCredentials = dlt.secrets.value) -> OAuthCredentials:
    return credentials


def resolve_credentials() -> BoastCredentials:
    """Read the credentials from dlt's configuration. Raises ConfigurationError that names what is missing and where."""
    try:
        return _credentials()
    except KeyError:  # dlt's error for a missing value is one
        raise _missing() from None


def resolve_oauth_credentials() -> OAuthCredentials:
    """Read the OAuth client, even if a fixed token is configured, too. Raises ConfigurationError."""
    try:
        return _oauth()
    except KeyError:
        raise _missing() from None


def usable(secret: str, key: str) -> str:
    """Return `secret`, stripped. Raises ConfigurationError, without showing it, if no header can hold it."""
    secret = secret.strip()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"{key} is empty or not a token", hint="Copy the token again, without quotes")
    return secret


def _missing() -> ConfigurationError:
    where = ".dlt/secrets.toml under [sources.boast.credentials], or in the environment as"
    given = {key for key in OAUTH_KEYS if _given(key)}
    if not given:
        return ConfigurationError(
            "No credentials for Boast: sources.boast.credentials is empty",
            hint="Run `boast init`, which asks for them; or set SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN, or"
            " access_token under [sources.boast.credentials] in .dlt/secrets.toml (with OAuth client_id and"
            " client_secret, then run `boast login`).",
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
