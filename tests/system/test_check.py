"""`boast check` names the cause of each mistake a newcomer makes, and the next step."""

from __future__ import annotations

import pytest

from tests.support.http_server import page, serving


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("[sources.boast]\na = 1\n[sources.boast]\nb = 2\n", 'Key "boast" already exists'),
        ("[sources.boast\n", "at line 1 col 14"),
    ],
)
def test_a_file_of_settings_that_is_no_toml_is_named_once_with_the_place(workplace, broken, said):
    (workplace.folder / ".dlt").mkdir()
    (workplace.folder / ".dlt" / "config.toml").write_text(broken)
    done = workplace.boast("check")
    assert done.code == 2
    (told,) = [line for line in done.out.splitlines() if "no valid TOML" in line]
    assert ".dlt/config.toml is no valid TOML: " in told
    assert said in told


def test_a_destination_that_dlt_does_not_have_is_said_so(workplace):
    done = workplace.boast("check", "--destination", "postgre")
    assert "FAIL destination: dlt has no destination postgre; did you mean postgres? docs/warehouses.md" in done.out


def test_an_address_that_no_token_is_sent_to_is_no_ok(workplace):
    done = workplace.boast("check", SOURCES__BOAST__BASE_URL="ftp://boast.example/v1")
    assert "FAIL configuration: sources.boast.base_url is no valid http(s) address" in done.out
    assert "ok   configuration" not in done.out


def test_a_fault_with_a_key_that_no_rule_has_is_refused_with_those_it_may_have(workplace):
    done = workplace.boast("sandbox", "--port", "0", "--fault", '{"kind": "status", "methods": "POST"}')
    assert done.code == 2
    assert "a fault has no methods; it may have after, body," in " ".join(done.err.split())


@pytest.mark.parametrize(("destination", "shown"), [("postgres", True), ("snowflake", False)])
def test_an_address_of_postgres_is_the_example_for_postgres_only(workplace, destination, shown):
    done = workplace.boast("check", "--destination", destination)
    assert f"Set destination.{destination}.credentials" in done.out
    assert ("postgresql://" in done.out) == shown


def test_an_address_without_a_password_is_told_that_it_lacks_one(workplace):
    address = {"DESTINATION__POSTGRES__CREDENTIALS": "postgresql://me@localhost/shop"}
    done = workplace.boast("check", "--destination", "postgres", **address)
    assert "FAIL destination: The settings of the destination postgres lack password. Set " in done.out


def test_another_destination_than_before_is_no_warning(workplace):
    workplace.boast("check")
    assert workplace.boast("check", "--destination", "postgres").err == ""


def test_an_account_that_cannot_be_asked_for_is_one_that_fails_and_the_others_are_checked(workplace):
    def answer(request):
        return page({"id": ".."}, {"id": "A"}) if request.target.count("/") == 1 else page({"id": "e"})

    with serving(answer) as server:
        env = {"SOURCES__BOAST__BASE_URL": server.url, "SOURCES__BOAST__CREDENTIALS__ACCESS_TOKEN": "t"}
        done = workplace.boast("check", **env)
    assert "FAIL list of account ..: The id '..' cannot be part of an address" in done.out
    assert "ok   list of account A: 1 enrollments" in done.out
