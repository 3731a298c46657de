"""Every fault, on reads: the load succeeds, or ends with cause and next step; the table is never wrong."""

from __future__ import annotations

import dlt
import pytest

from boast_source.api import BoastClient, RetryPolicy
from boast_source.errors import BoastError
from boast_source.listing.report import Options
from boast_source.load.load import load
from boast_source.warehouse import warehouse_of

QUICK = RetryPolicy(attempts=4, first_wait=0.01, longest_wait=0.05)
PASSING = [
    {"kind": "status", "status": 429, "retry_after": 0.1},
    {"kind": "status", "status": 429},
    {"kind": "status", "status": 429, "retry_after": "date:1"},
    {"kind": "status", "status": 503, "retry_after": 0.1},
    {"kind": "status", "status": 503, "body": "html"},
    {"kind": "status", "status": 500, "body": "none"},
    {"kind": "status", "status": 502, "body": "html"},
    {"kind": "error_before_write"},
    {"kind": "error_after_write"},
    {"kind": "drop"},
    {"kind": "drop_after_write", "seconds": 0.05},
    {"kind": "hold", "seconds": 0.05},
    {"kind": "hold_then_act", "seconds": 0.05},
    {"kind": "cut_body"},
    {"kind": "not_json"},
    {"kind": "wrong_shape"},
    {"kind": "wrong_shape", "data": {"id": "x"}},
    {"kind": "wrong_shape", "data": [1, 2]},
    {"kind": "wrong_shape", "data": [{"status": "active"}]},
    {"kind": "latency", "seconds": 0.05},
]


def names(rule):
    return "-".join(str(value) for value in rule.values())


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Load the sandbox's enrollments in this process; returns the reports and the table."""
    monkeypatch.chdir(tmp_path)

    def run(server, **more):
        pipeline = dlt.pipeline("boast", destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "p"))
        with BoastClient(server.access_token, base_url=server.base_url, retries=QUICK, **more) as client:
            done = load(warehouse_of(pipeline), client, Options(keep_going=True), resources=["sequence_enrollments"])
        return done, pipeline

    return run


def table(pipeline):
    with pipeline.sql_client() as client:
        return dict(client.execute_sql("select id, status from sequence_enrollments"))


def truth(server):
    return {key: record["status"] for key, record in server.truth().items()}


@pytest.mark.parametrize("rule", PASSING, ids=names)
def test_a_passing_fault_costs_a_retry_and_no_row(sandbox, run, rule):
    server = sandbox(enrollments=120)
    server.control("POST", "faults", rule | {"every": 3, "after": 1, "times": 2, "path": "sequence_enrollments"})
    done, pipeline = run(server)
    assert (done.exit_code, done.verified) == (0, "covered")
    assert table(pipeline) == truth(server)
    retries = sum(report.tally.retries for report in done.reports)
    assert retries == (0 if rule["kind"] in {"latency", "hold_then_act"} else 2)


def test_a_lasting_fault_ends_with_cause_and_next_step_and_the_table_as_it_was(sandbox, run):
    server = sandbox(enrollments=60)
    _, pipeline = run(server)
    before = table(pipeline)
    server.control("POST", "mutate", {"update": 20, "insert": 5})
    for rule in (rule for rule in PASSING if rule["kind"] not in {"latency", "hold_then_act"}):
        server.control("POST", "faults", rule | {"path": "sequence_enrollments"})
        done, pipeline = run(server)
        assert done.exit_code == 1, rule
        (error,) = done.errors
        assert "/sequence_enrollments" in error, rule
        assert error.count(". ") >= 1, rule  # what happened, then what to do
        assert table(pipeline) == before, rule
        server.control("DELETE", "faults")
    done, pipeline = run(server)
    assert (done.exit_code, table(pipeline)) == (0, truth(server))


def test_a_held_connection_is_given_up_after_the_request_timeout(sandbox, run):
    server = sandbox(enrollments=60)
    server.control("POST", "faults", {"kind": "hold", "seconds": 3600, "times": 1, "path": "sequence_enrollments"})
    done, pipeline = run(server, request_timeout=0.5)
    assert done.exit_code == 0
    assert table(pipeline) == truth(server)


def test_a_trickling_answer_is_given_up_after_the_request_timeout(sandbox, run):
    server = sandbox(enrollments=60)
    rule = {"kind": "trickle", "seconds": 1, "times": 1, "path": "sequence_enrollments"}
    server.control("POST", "faults", rule)
    done, pipeline = run(server, request_timeout=1)
    assert done.exit_code == 0
    assert table(pipeline) == truth(server)


def test_a_rate_limit_slows_all_workers_down_together(sandbox, run):
    server = sandbox(enrollments=400)
    rule = {"kind": "rate_limit", "per_second": 15, "retry_after": 0.3, "path": "sequence_enrollments"}
    server.control("POST", "faults", rule)
    done, pipeline = run(server)
    assert done.exit_code == 0
    assert table(pipeline) == truth(server)


def test_a_revoked_fixed_token_says_so_and_changes_nothing(sandbox, run):
    server = sandbox(enrollments=60)
    server.control("POST", "faults", {"kind": "token_revoked", "after": 2, "times": 1})
    with pytest.raises(BoastError, match=r"401.*boast login"):
        run(server)


@pytest.mark.parametrize("past_end", ["empty", "404", "last"])
@pytest.mark.parametrize("order", ["created_asc", "updated_desc"])
def test_rows_that_vanish_while_the_list_is_read_hide_no_other(sandbox, run, past_end, order):
    server = sandbox(enrollments=150, page_size=10, past_end=past_end, order=order)
    before = set(server.truth())
    server.control("POST", "drift", {"delete": 3, "every_pages": 3, "times": 6})
    done, pipeline = run(server)
    assert done.exit_code == 0
    assert before & set(server.truth()) <= set(table(pipeline))


@pytest.mark.parametrize("options", [{"meta": False}, {"items_of_page": True}, {"page_size": 7}, {"page_size": 1000}])
def test_every_way_of_paging_gives_the_whole_list(sandbox, run, options):
    server = sandbox(enrollments=100, **options)
    done, pipeline = run(server)
    assert done.verified == "covered"
    assert table(pipeline) == truth(server)
