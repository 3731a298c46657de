"""The errors of the connector, sorted by what the caller should do.

BoastError                      one line for a reader: what happened, then the next step
├── ConfigurationError          a setting is missing or wrong: fix it (exit code 2)
│   └── PendingError            the pending table is missing or cannot be read: a nightly run continues without it
├── LockedError                 another run holds the lock: wait for it (exit code 4)
├── StoppedError                a signal stopped the command early: the next run does the rest (exit code 3)
├── DestinationError            the warehouse cannot be reached, read or written: check the warehouse
└── ApiError                    a request to Boast failed: the attributes say how
    ├── AuthenticationError     the token is not accepted and a refresh did not help: log in again
    ├── ForbiddenError          403: the token may not do this
    ├── NotFoundError           404: no such record, account or list
    ├── RefusedError            any other clear 4xx: the request itself is wrong
    ├── UnavailableError        no clear answer, even after retries: try again later
    ├── UnreadableError         a 2xx answer that is truncated, not JSON or not as documented
    └── PagingError             a list that never ends or repeats itself
"""

from __future__ import annotations

from typing import Any, ClassVar


def one_line(value: object) -> str:
    """Return text on one line without control characters, so that outside text cannot steer a terminal."""
    text = " ".join(str(value).split())
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


class BoastError(Exception):
    """Base of all errors. `str(error)` is one line: what happened, then the next step.

    Neither part ever holds a token, a secret or personal data. `summary` is what a command with --json prints
    instead of its result, if it got far enough to have one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str) -> None:
        self.summary: dict[str, Any] | None = None
        self.message = one_line(message).rstrip(".")
        self.hint = one_line(hint)
        super().__init__(f"{self.message}{'' if self.message.endswith('?') else '.'} {self.hint}")


class ConfigurationError(BoastError):
    """A setting is missing or wrong."""

    exit_code: ClassVar[int] = 2


class PendingError(ConfigurationError):
    """The pending table or view is missing or cannot be read."""


class LockedError(BoastError):
    """Another run holds the lock."""

    exit_code: ClassVar[int] = 4


class StoppedError(BoastError):
    """A signal stopped the command before it was done."""

    exit_code: ClassVar[int] = 3

    def __init__(self) -> None:
        super().__init__("Stopped before it was done", hint="The next run does the rest.")


class DestinationError(BoastError):
    """The warehouse cannot be reached, read or written."""


class ApiError(BoastError):
    """A request to Boast failed.

    `status` is the HTTP status (None when no answer came), `code` and `detail` come from the errors body
    (`detail` with e-mail addresses and numbers masked), `path` is relative to the base URL and has no query,
    `attempts` counts the requests sent. `may_have_acted` is False only when it is known that the server
    did not act on the request, True when it may have.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        method: str,
        path: str,
        status: int | None = None,
        code: str | None = None,
        detail: str | None = None,
        attempts: int = 1,
        may_have_acted: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.detail = detail
        self.attempts = attempts
        self.may_have_acted = may_have_acted


class AuthenticationError(ApiError):
    """The token is not accepted and a refresh did not help."""


class ForbiddenError(ApiError):
    """403: the token may not do this."""


class NotFoundError(ApiError):
    """404: no such record, account or list."""


class RefusedError(ApiError):
    """A clear 4xx: the request itself is wrong, so sending it again changes nothing."""


class UnavailableError(ApiError):
    """No clear answer, even after retries: timeout, reset, 408, 409, 425, 429, 5xx."""


class UnreadableError(ApiError):
    """A 2xx answer that is truncated, not JSON or not of the documented shape."""


class PagingError(ApiError):
    """A list that never ends or repeats itself."""
