"""Ways to log in: one object each, which knows the current token and how to renew it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from boast_source.errors import ConfigurationError


@dataclass(frozen=True, repr=False)
class Renewal:
    """A token to go on with; `fresh` when this call fetched it, False when somebody else had."""

    token: str
    fresh: bool


class Auth(Protocol):
    """Safe for any number of threads."""

    def token(self) -> str:
        """The token to send. Raises AuthenticationError, UnavailableError, ConfigurationError."""
        ...

    def renew(self, failed: str, *, fresh: bool = False) -> Renewal | None:
        """Another token than `failed`, which was answered 401; None when there is no other.

        `fresh`: the failed token had only just been fetched, so that fetching once more would not help.
        Raises like `token`.
        """
        ...

    def close(self) -> None: ...


class StaticToken:
    """A fixed bearer token: what fails stays failed."""

    def __init__(self, token: str) -> None:
        self._token = usable(token, "sources.boast.credentials.access_token")

    def token(self) -> str:
        return self._token

    def renew(self, failed: str, *, fresh: bool = False) -> Renewal | None:  # noqa: ARG002 (the protocol's)
        return None

    def close(self) -> None:
        pass


def usable(secret: str, key: str) -> str:
    """`secret` without surrounding blanks. Raises ConfigurationError, without showing it, if no header can hold it."""
    secret = secret.strip()
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"{key} is empty or not a token", hint="Copy the token again, without quotes")
    return secret
