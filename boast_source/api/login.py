"""The authorization-code flow: the user agrees in a browser, which is redirected to a local port.

Source: "OAuth 2, authorization code grant" of the API.
"""

from __future__ import annotations

import hmac
import queue
import secrets
import threading
import time
import webbrowser
from base64 import urlsafe_b64encode
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from boast_source.api.answers import masked
from boast_source.api.credentials import OAuthCredentials, resolve_oauth_credentials
from boast_source.api.token_endpoint import InvalidGrantError, TokenEndpoint
from boast_source.api.token_store import TokenStore
from boast_source.errors import AuthenticationError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CALLBACK = "/callback"
SCOPE = "read write"
_NOT_OURS = "This is not from the login that is waiting. Close this page and use the one that it opened last."
_PAGE = "<!doctype html><meta charset=utf-8><title>Boast</title><p>{}</p>"


def login(
    credentials: OAuthCredentials | None = None,
    *,
    port: int = 0,
    timeout: float = 300.0,
    open_browser: Callable[[str], object] = webbrowser.open,
    pasted: Iterable[str] = (),
) -> str:
    """Fetch the first tokens and store them; return where they are stored.

    `port`: the local port for the redirect, 0 for a free one; `http://127.0.0.1:PORT/callback` must be registered
    with the OAuth client. `timeout`: seconds to wait for the user. `open_browser` is called with the address.
    `pasted`: lines, one of which may be the address that the browser ended on, or its code.
    Raises AuthenticationError (denied, no answer in time) and ConfigurationError.
    """
    credentials = credentials or resolve_oauth_credentials()
    endpoint = TokenEndpoint(credentials)
    try:
        authorize = _authorize_url(endpoint.url)
        store = TokenStore(credentials.token_store, endpoint.client)
        with store.lock():
            store.probe()
        state = secrets.token_urlsafe(32)
        verifier = secrets.token_urlsafe(48)  # PKCE, RFC 7636: an intercepted code is of no use
        challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        with _answers(port, state) as (redirect_uri, answers):
            query = {
                "client_id": endpoint.client_id,
                "redirect_uri": redirect_uri,
                "scope": SCOPE,
                "response_type": "code",
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            }
            open_browser(f"{authorize}?{urlencode(query, quote_via=quote)}")
            threading.Thread(target=_read, args=(pasted, state, answers), daemon=True).start()
            try:
                answer = answers.get(timeout=timeout)
            except queue.Empty:
                raise _failed(f"Nobody agreed in the browser within {timeout:.0f} s", "Run it again") from None
        form = {
            "grant_type": "authorization_code",
            "code": _code(answer),
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        try:
            tokens = endpoint.ask(form, attempts=1, wait=time.sleep, first_wait=0.5)
        except InvalidGrantError:
            raise _failed(
                "The code is not accepted (invalid_grant)",
                f"Run it again; {redirect_uri} must be registered with the OAuth client exactly like this",
            ) from None
        with store.lock():
            store.write(tokens)
    finally:
        endpoint.close()
    return store.where


def _authorize_url(token_url: str) -> str:
    if not token_url.endswith("/token"):
        raise ConfigurationError(
            "sources.boast.credentials.token_url does not end in /token, so there is no telling where to log in",
            hint="Set it to the address of the token endpoint, like https://app.boast.io/oauth/token",
        )
    return token_url.removesuffix("/token") + "/authorize"


def _code(answer: dict[str, str]) -> str:
    if "error" in answer:
        error = masked(answer["error"], longest=60)
        what = "Access was denied in the browser" if error == "access_denied" else f"Boast answered {error}"
        raise _failed(what, "Run it again and agree, as a user who may access the account")
    if not answer.get("code"):
        raise _failed("The browser came back without a code", "Run it again")
    return answer["code"]


def _read(pasted: Iterable[str], state: str, answers: queue.Queue[dict[str, str]]) -> None:
    for line in filter(None, map(str.strip, pasted)):
        _, is_address, query = line.partition("?")
        answer = {name: values[0] for name, values in parse_qs(query).items()}
        if not is_address:
            answers.put({"code": line})
        elif hmac.compare_digest(answer.get("state", "").encode(), state.encode()):
            answers.put(answer)


@contextmanager
def _answers(port: int, state: str) -> Iterator[tuple[str, queue.Queue[dict[str, str]]]]:
    """Serve the callback; yield its address and a queue of the answers that carry this login's state.

    Any other request (a stranger's page, an old tab) is refused, and the login keeps waiting.
    """
    answers: queue.Queue[dict[str, str]] = queue.Queue()

    class Callback(BaseHTTPRequestHandler):
        timeout = 10  # browsers open connections that they never use

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer = {name: values[0] for name, values in parse_qs(parts.query).items()}
            same = hmac.compare_digest(answer.get("state", "").encode(), state.encode())
            ours = parts.path == CALLBACK and same
            page = _PAGE.format("Back to the terminal: you can close this page." if ours else _NOT_OURS).encode()
            self.send_response(200 if ours else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(page)
            if ours:
                answers.put(answer)

        def log_message(self, *args: object) -> None:
            """Log nothing: the request line holds the code."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *args: object) -> None:
            """Log nothing: a stranger's broken request is not worth a traceback, which may hold the code."""

    try:
        server = Server(("127.0.0.1", port), Callback)
    except (OSError, OverflowError):
        raise ConfigurationError(
            f"Port {port} is in use or not allowed", hint="Choose another one with --port, and register it"
        ) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{CALLBACK}", answers
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _failed(message: str, hint: str) -> AuthenticationError:
    return AuthenticationError(message, hint=hint, method="GET", path="/oauth/authorize")
