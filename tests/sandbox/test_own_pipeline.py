"""The source in a dlt user's own pipeline: whatever dlt lets one do to it is right, or refused in one sentence."""

from __future__ import annotations

import gc
import re
import sys
from pathlib import Path

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from boast_source import BoastError, boast_source, by_row, create_views, models, verify
from boast_source.api import BoastClient
from boast_source.listing.listing import Listing
from boast_source.warehouse import warehouse_of

LIST, BOTH = "sequence_enrollments", ("sequence_enrollments", "sequence_enrollments_history")


@pytest.fixture
def server(sandbox, monkeypatch):
    server = sandbox(enrollments=20, accounts=2)
    for key, value in server.info["env"].items():
        monkeypatch.setenv(key, value)
    return server


@pytest.fixture
def mine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return dlt.pipeline("mine", destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "p"))


def ask(pipeline, sql):
    with pipeline.sql_client() as client:
        return client.execute_sql(sql)


def counts(pipeline):
    return [ask(pipeline, f"select count(*) from {table}")[0][0] for table in BOTH]


def test_two_sources_in_one_run_are_refused_before_anything_is_written(server, mine):
    sources = [boast_source(account_ids=[account]).with_resources(*BOTH) for account in server.account_ids]
    with pytest.raises(PipelineStepFailed, match="Two boast_source"):
        mine.run(sources)
    assert not mine.has_pending_data
    for source in sources:
        mine.run(source)
    assert counts(mine) == [20, 20]


def test_a_second_extract_before_the_load_is_refused(server, mine):
    source = boast_source().with_resources(*BOTH)
    mine.extract(source)
    with pytest.raises(PipelineStepFailed, match="earlier extract"):
        mine.extract(source)
    mine.normalize()
    with pytest.raises(PipelineStepFailed, match="earlier extract"):
        mine.extract(source)
    mine.load()
    mine.extract(source)
    mine.normalize()
    mine.load()
    assert counts(mine) == [20, 20]


@pytest.mark.parametrize("renamed", ["with_name", "table_name"])
def test_a_renamed_resource_is_refused(server, mine, renamed):
    resource = boast_source().sequence_enrollments
    if renamed == "with_name":
        resource = resource.with_name("enrollments")
    else:
        resource.apply_hints(table_name="enrollments")
    with pytest.raises(PipelineStepFailed, match="cannot be renamed"):
        mine.run(resource)


def test_file_formats_that_cannot_hold_our_rows_are_refused(server, mine):
    for options in ({"loader_file_format": "parquet"}, {"loader_file_format": "insert_values"}, {}):
        mine.run(boast_source().with_resources("accounts"), **options)
    for form, why in (("jsonl", "no JSONL file without rows"), ("model", "no rows into model files")):
        with pytest.raises(PipelineStepFailed, match=why):
            mine.run(boast_source().with_resources("accounts"), loader_file_format=form)
    assert not mine.has_pending_data


@pytest.mark.parametrize("hint", [{"primary_key": "contact_id"}, {"merge_key": "contact_id"}, {"primary_key": ""}])
def test_another_key_is_refused_before_anything_is_written(server, mine, hint):
    source = boast_source().with_resources(LIST)
    source.sequence_enrollments.apply_hints(**hint)
    with pytest.raises(PipelineStepFailed, match="The key of sequence_enrollments is id"):
        mine.run(source)
    assert not mine.has_pending_data


def test_a_pipeline_of_whose_name_dlt_makes_no_schema_is_refused(server, mine, tmp_path):
    for name, refused in (("boast-nightly", True), ("x" * 65, True), ("boast_nightly", False)):
        pipeline = dlt.pipeline(name, destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "names"))
        if refused:
            with pytest.raises(PipelineStepFailed, match="letters, digits and underscores"):
                pipeline.run(boast_source().with_resources("forms"))
        else:
            pipeline.run(boast_source().with_resources("forms"))


def test_a_filter_that_drops_a_whole_table_is_told_how(server, mine):
    source = boast_source().with_resources(*BOTH)
    source.sequence_enrollments.add_filter(lambda row: row["status"] == "active")
    with pytest.raises(PipelineStepFailed, match="by_row"):
        mine.run(source)
    source = boast_source().with_resources(LIST)
    source.sequence_enrollments.add_filter(lambda table: table.num_rows >= 0)
    mine.run(source)
    assert ask(mine, f"select count(*) from {LIST}") == [(20,)]


@pytest.mark.parametrize("way", ["add_filter", "add_map"])
def test_a_filter_by_row_keeps_the_rows_that_it_says(server, mine, way):
    source = boast_source().with_resources(LIST)
    getattr(source.sequence_enrollments, way)(by_row(lambda row: row["account_id"] == server.account_ids[0]))
    mine.run(source)
    kept = [key for key, record in server.truth().items() if record["account_id"] == server.account_ids[0]]
    assert 0 < len(kept) < 20
    assert {key for (key,) in ask(mine, f"select id from {LIST}")} == set(kept)


def test_a_function_by_row_may_have_defaults_as_closures_in_loops_do(server, mine):
    source = boast_source().with_resources(LIST)
    for column in ("contact_id", "response_id"):
        source.sequence_enrollments.add_map(by_row(lambda row, column=column: row | {column: "***"}))
    source.sequence_enrollments.add_filter(by_row(lambda row, meta=None: meta is None))
    mine.run(source)
    assert ask(mine, f"select distinct contact_id, response_id from {LIST}") == [("***", "***")]


def test_views_over_a_column_that_a_map_has_dropped_from_the_first_run_on_say_what_to_do(server, mine):
    source = boast_source().with_resources(*BOTH)
    for name in BOTH:
        source.resources[name].add_map(lambda table: table.drop_columns(["status"]))
    mine.run(source)
    with pytest.raises(BoastError, match=r'"status".*mask a column instead of dropping it'):
        create_views(mine)


def test_a_map_by_row_changes_adds_and_drops_columns(server, mine):
    def masked(row):
        row["contact_id"] = "***"
        row["length"] = len(row["id"])
        del row["response_id"]
        return row if row["account_id"] == server.account_ids[0] else None

    source = boast_source().with_resources(LIST)
    source.sequence_enrollments.add_map(by_row(masked))
    mine.run(source)
    assert ask(mine, f"select distinct contact_id, length from {LIST}") == [("***", 36)]
    assert mine.default_schema.tables[LIST]["columns"]["updated_at"]["data_type"] == "timestamp"


@pytest.mark.parametrize("naming", ["snake_case", "sql_ci_v1", "sql_cs_v1", "duck_case", "direct"])
def test_naming_conventions_that_leave_our_names_alone_work(server, mine, monkeypatch, naming):
    monkeypatch.setenv("SCHEMA__NAMING", naming)
    key = next(iter(server.truth()))
    fields = {"userName": "a", "Kebab-Case": 1, "a__b": 2}
    server.control("POST", "mutate", {"edits": [{"id": key, "set": fields}]})
    for written in (20, 0):
        mine.run(boast_source().with_resources(*BOTH))
        assert mine.last_trace.last_normalize_info.row_counts.get(LIST, 0) == written
    assert ask(mine, f"select user_name, kebab_case, a_b from {LIST} where id = '{key}'") == [("a", 1, 2)]


@pytest.mark.parametrize(
    ("change", "way"), [("name.upper()", "renames sequence_enrollments"), ("name", "shortens names to 40")]
)
def test_a_naming_convention_that_changes_our_names_is_refused(server, mine, tmp_path, monkeypatch, change, way):
    (tmp_path / "odd_naming.py").write_text(
        "from dlt.common.normalizers.naming.snake_case import NamingConvention as Snake\n"
        "class NamingConvention(Snake):\n"
        "    def __init__(self, max_length=None):\n"
        f"        super().__init__({40 if change == 'name' else None})\n"
        "    def normalize_identifier(self, identifier):\n"
        "        name = super().normalize_identifier(identifier)\n"
        f"        return {change}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd_naming", raising=False)
    monkeypatch.setenv("SCHEMA__NAMING", "odd_naming")
    with pytest.raises(PipelineStepFailed, match=way):
        mine.run(boast_source().with_resources(*BOTH))
    assert not mine.has_pending_data


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])  # in place of the last two dlt would write CSV
def test_csv_files_that_lose_empty_texts_are_refused(server, postgres, tmp_path, monkeypatch, form):
    for key, value in postgres.env.items():
        monkeypatch.setenv(key, value)
    mine = dlt.pipeline("mine", destination="postgres", dataset_name="d", pipelines_dir=str(tmp_path / "p"))
    with pytest.raises(PipelineStepFailed, match="empty texts"):
        mine.run(boast_source().with_resources("contacts").contacts.apply_hints(file_format=form))


def test_empty_texts_stay_what_they_are_on_dlts_own_postgres(server, postgres, tmp_path, monkeypatch):
    for key, value in postgres.env.items():
        monkeypatch.setenv(key, value)
    mine = dlt.pipeline("mine", destination="postgres", dataset_name="d", pipelines_dir=str(tmp_path / "p"))
    empty, null = list(server.truth())[:2]
    edits = [{"id": key, "set": {"status": value, "note": value}} for key, value in ((empty, ""), (null, None))]
    server.control("POST", "mutate", {"edits": edits})
    for written in (20, 0):
        mine.run(boast_source())
        assert mine.last_trace.last_normalize_info.row_counts.get(LIST, 0) == written
    for key, value in ((empty, ""), (null, None)):
        assert ask(mine, f"select status, note from {LIST} where id = '{key}'") == [(value, value)]


def test_the_views_and_the_verification_are_there_for_any_pipeline(server, mine):
    with pytest.raises(BoastError, match="no listing"):
        verify(mine)
    mine.run(boast_source())
    assert verify(mine).verified == "covered"
    assert "enrollment_history" in create_views(mine)
    assert ask(mine, "select count(*) from enrollment_history where is_current") == [(20,)]
    ask(mine, f"delete from {LIST} where id = (select min(id) from {LIST})")
    damaged = verify(mine)
    assert (damaged.verified, damaged.exit_code) == ("failed", 3)


def test_a_table_of_which_the_user_keeps_the_keys_alone_is_still_ours(server, mine):
    source = boast_source()
    source.contacts.add_map(lambda rows: rows.select(["id", "account_id"]))
    mine.run(source)
    assert len(ask(mine, "select column_name from information_schema.columns where table_name = 'contacts'")) < 8
    assert "enrollment_history" in create_views(mine)
    mine.run(boast_source())
    with warehouse_of(mine).open(patience=1) as warehouse:
        models.refuse_foreign(warehouse.client)


def test_vanished_enrollments_that_a_limit_cuts_off_are_no_verified_ones(server, mine):
    mine.run(boast_source().with_resources(*BOTH))
    server.control("POST", "mutate", {"update": 1, "delete": 1})
    mine.run(boast_source().with_resources(*BOTH).add_limit(1))
    assert ask(mine, f"select count(missing_since) from {LIST}") == [(0,)]
    assert [verify(mine).verified for _ in range(2)] == ["failed", "failed"]
    mine.run(boast_source().with_resources(*BOTH))
    assert ask(mine, f"select count(missing_since) from {LIST}") == [(1,)]
    assert verify(mine).verified == "covered"


def test_a_transformer_of_the_users_writes_as_it_says(server, mine):
    source = boast_source().with_resources("contacts")

    @dlt.transformer(data_from=source.contacts, write_disposition="replace")
    def domains(contacts):
        yield [{"domain": (email or "").partition("@")[2]} for email in contacts["email"].to_pylist()]

    source.resources.add(domains)
    mine.run(source)
    count, columns = (ask(mine, f"select count(*) from {part}")[0][0] for part in ("domains", "contacts"))
    assert count == columns > 0
    assert {name for name in mine.default_schema.tables["domains"]["columns"] if not name.startswith("_")} == {"domain"}


def test_a_transformer_beside_its_source_is_told_where_it_belongs(server, mine):
    mine.run(boast_source().with_resources("contacts"))
    source = boast_source().with_resources("contacts")
    ids = dlt.transformer(lambda contacts: [{"id": contacts["id"].to_pylist()}], data_from=source.contacts, name="ids")
    with pytest.raises(PipelineStepFailed, match=r"source\.resources\.add"):
        mine.run([source, ids])
    assert not mine.has_pending_data


def test_a_process_that_runs_for_months_keeps_the_last_listing_alone(server, tmp_path, monkeypatch):
    def alive():
        gc.collect()
        things = gc.get_objects()
        return [sum(isinstance(thing, kind) for thing in things) for kind in (dlt.Pipeline, Listing, BoastClient)]

    monkeypatch.chdir(tmp_path)
    before = alive()
    for _ in range(4):  # as a scheduler that lives on calls a function
        mine = dlt.pipeline("mine", destination="duckdb", dataset_name="d", pipelines_dir=str(tmp_path / "p"))
        mine.run(boast_source())
    assert verify(mine).verified == "covered"
    assert all(now - then <= 1 for now, then in zip(alive(), before, strict=True))


def test_the_examples_of_the_page_run(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "state"))
    page = (Path(__file__).parents[2] / "docs" / "dlt.md").read_text(encoding="utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, flags=re.DOTALL | re.MULTILINE)
    for example in examples:
        exec(compile(example, "docs/dlt.md", "exec"), {})
    assert len(examples) == 3
    assert "covered 0" in capsys.readouterr().out
