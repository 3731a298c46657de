"""Incremental listings by the command, in every kind of warehouse: what is known of a list is kept there."""

from __future__ import annotations

import pytest

KINDS = ["duckdb", "postgres", "filesystem"]


@pytest.fixture(params=KINDS)
def job(request, workplace):
    """A workplace, and `job.load(...)`: its summary of the only account."""
    if request.param == "postgres":
        workplace.env |= request.getfixturevalue("postgres").env
    if request.param == "filesystem":
        pytest.importorskip("deltalake")
        workplace.env["DESTINATION__FILESYSTEM__BUCKET_URL"] = (workplace.folder / "lake").as_uri()

    def load(*arguments, **env):
        done = workplace.boast("load", "--destination", request.param, "--json", *arguments, **env)
        assert done.code == 0, done.err
        (account,) = done.json["accounts"]
        return account

    workplace.load = load
    return workplace


def test_the_command_reads_what_is_new_and_another_machine_does_too(sandbox, job):
    server = sandbox(enrollments=600, order="updated_desc")
    job.use(server)
    first = job.load("--resources", "sequence_enrollments")
    assert (first["verified"], first["loaded"], first["pages"]) == ("covered", 600, 31)
    server.control("POST", "mutate", {"update": 3, "insert": 2})
    (gone,) = server.control("POST", "mutate", {"insert": 1})["created"]
    second = job.load()
    assert (second["verified"], second["loaded"], second["listed"]) == ("recent", 6, 603)
    assert second["pages"] <= 3
    assert second["whole"]["forms"] == "not read in full yet"
    server.control("POST", "mutate", {"delete_ids": [gone]})
    elsewhere = job.load("--resources", "sequence_enrollments", DLT_DATA_DIR=str(job.folder / "elsewhere"))
    assert (elsewhere["verified"], elsewhere["missing"], elsewhere["listed"]) == ("recent", 1, 602)
    assert job.load("--full", "--resources", "sequence_enrollments")["verified"] == "covered"
    assert job.load("--full-refresh", "--resources", "sequence_enrollments")["loaded"] == 602
    again = job.load("--incremental", "--resources", "sequence_enrollments")
    assert (again["verified"], again["loaded"]) == ("recent", 0)


def test_incremental_is_refused_beside_what_needs_the_whole_list(sandbox, workplace):
    workplace.use(sandbox(enrollments=10))
    for option in (["--full"], ["--prove"], ["--full-refresh"], ["--since", "2026-01-01"]):
        done = workplace.boast("load", "--incremental", *option)
        assert done.code == 2, done.err
        assert "--incremental cannot be combined" in done.err


def test_settings_say_when_a_full_listing_is_due_and_the_terminal_says_what_was_read_in_full(sandbox, workplace):
    workplace.use(sandbox(enrollments=600, order="updated_asc"))
    assert workplace.boast("load").code == 0
    done = workplace.boast("load")
    assert "Verified: recent" in done.out
    assert "Read in full: contacts, responses (order by cursor not observed)." in done.out
    due = workplace.boast("load", SOURCES__BOAST__FULL_EVERY="0")
    assert "Verified: covered" in due.out
    assert workplace.boast("load", SOURCES__BOAST__INCREMENTAL_OVERLAP="soon").code == 2
    assert "(covered)" in workplace.boast("status").out
    assert workplace.boast("load").code == 0
    assert "(recent)" in workplace.boast("status").out
    assert [row[0] for row in workplace.sql("select verified from boast_data.good_runs order by finished_at")] == [
        "covered",
        "recent",
        "covered",
        "recent",
    ]
