"""A plain HTTP client of the sandbox, for the sandbox's tests: no retry, no redirect, no connector code."""

from __future__ import annotations

from contextlib import contextmanager

import urllib3

POST, DELETE = "POST sequence_enrollments", "DELETE sequence_enrollments"  # the counters' names of the writes


class Client:
    def __init__(self, info, pool):
        self.info, self.pool = info, pool
        self.token = info["access_token"]
        self.account = info["account_ids"][0]

    def ask(self, method, path, *, account=None, token=None, **given):
        """Send a request below an account. `path`: for example `contacts?page=2`."""
        return self.raw(method, f"/accounts/{account or self.account}/{path}", token=token, **given)

    def raw(self, method, path, *, token=None, headers=None, **given):
        """Send a request below the base URL."""
        sent = {"Authorization": f"Bearer {token or self.token}"} if headers is None else headers
        return self.pool.request(
            method, self.info["base_url"] + path, headers=sent, retries=False, redirect=False, timeout=10, **given
        )

    def enroll(self, contact_id, sequence_id, **given):
        body = {"contact_id": contact_id, "sequence_id": sequence_id}
        return self.ask("POST", "sequence_enrollments", json=body, headers=self.json_headers(), **given)

    def json_headers(self):
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    def page(self, number=1, noun="sequence_enrollments"):
        return self.ask("GET", f"{noun}?page={number}").json()

    def every(self, noun="sequence_enrollments"):
        """Return all records of a list, page by page."""
        pages = self.page(1, noun)["meta"]["pagination"]["pages"]
        return [record for number in range(1, pages + 1) for record in self.page(number, noun)["data"]]

    def oauth(self, **form):
        given = {"client_id": self.info["client_id"], "client_secret": self.info["client_secret"]} | form
        return self.pool.request("POST", self.info["token_url"], fields=given, encode_multipart=False, retries=False)

    def refresh(self, token):
        return self.oauth(grant_type="refresh_token", refresh_token=token)

    def status(self, token):
        """Return the status of a small read with this token."""
        return self.raw("GET", "/accounts", token=token).status


@contextmanager
def client_of(server):
    info = server if isinstance(server, dict) else server.info
    with urllib3.PoolManager(maxsize=16) as pool:
        yield Client(info, pool)
