"""No token, secret or personal data in any log, error, trace or state; the data itself is in the warehouse alone."""

from __future__ import annotations

import pytest

from boast_source.sandbox.world import Refused


def traces_of(folder, words):
    """Files below the folder that hold one of the words, the warehouse and the token store left out."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in {"tokens.json", "boast.duckdb"}:
            content = path.read_bytes()
            found += [(path.relative_to(folder), word) for word in words if word.encode() in content]
    return found


@pytest.mark.parametrize("fault", [None, {"kind": "status", "status": 422, "path": "responses"}])
def test_no_secret_reaches_a_log_an_error_or_a_file(sandbox, workplace, fault):
    server = sandbox(enrollments=40, token_lifetime=2)
    workplace.use_oauth(server)
    if fault:
        server.control("POST", "faults", fault)
    done = workplace.boast("load", "--debug")
    assert done.code == (3 if fault else 0), done.err
    secrets = [server.info["client_secret"], server.info["refresh_token"]]
    for grant in server.api.tokens.by_refresh.values():
        secrets += [grant.access, grant.refresh]
    people = [person["email"] for person in server.api.world.rows(0, "contacts", 0, 20)]
    people += [
        person["mobile_phone"] for person in server.api.world.rows(0, "contacts", 0, 20) if person["mobile_phone"]
    ]
    assert not [word for word in secrets + people if word in done.out + done.err]
    assert traces_of(workplace.folder, secrets) == []
    assert traces_of(workplace.folder, people) == []


def test_an_error_masks_personal_data_that_the_api_puts_into_it(sandbox, workplace):
    server = sandbox(enrollments=10)
    workplace.use(server)

    def refuse():
        raise Refused(422, "invalid", "jane.doe@example.com (+1 555 123 4567) cannot be shown")

    server.api.world.accounts = refuse
    done = workplace.boast("load")
    assert done.code == 1
    assert "cannot be shown" in done.err
    assert "jane.doe" not in done.err
    assert "123 4567" not in done.err
