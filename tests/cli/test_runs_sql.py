"""`runs sql`: every table of the lab, nothing outside it, and one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from labcli.bench.registry.lab import make_runs
from runs.paths import LabHome
from runs.registry.sql import METRICS_SCHEMA, ask, schema_columns
from tests.cli.conftest import Labcli

NUM_RUNS, NUM_STEPS = 2, 4


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> LabHome:
    """A lab that every test of this file reads and none changes."""
    home = LabHome(tmp_path_factory.mktemp("lab") / "home")
    make_runs(home, NUM_RUNS, num_steps=NUM_STEPS)
    return home


@pytest.fixture
def lab(made: LabHome, monkeypatch: pytest.MonkeyPatch) -> LabHome:
    monkeypatch.setenv("LABCLI_HOME", str(made.root))
    return made


def rows(labcli: Labcli, statement: str) -> list[dict[str, object]]:
    result = labcli("runs", "sql", statement, "--json")
    assert result.code == 0, result.err
    return list(json.loads(result.out))


def test_every_documented_column_can_be_selected(lab: LabHome) -> None:
    by_table: dict[str, list[str]] = {}
    for column in schema_columns():
        by_table.setdefault(column.table, []).append(column.column)
    assert list(by_table) == ["runs", "stages", "summaries", "metrics", "sketches"]
    for table, names in by_table.items():
        assert list(ask(lab, f"SELECT * FROM {table}").columns) == names


def test_schema_is_shown_with_the_meaning_of_each_column(labcli: Labcli) -> None:
    shown = labcli("runs", "sql", "--schema").out
    assert "CREATE TABLE runs" in shown and "-- ULID" in shown and "marks" not in shown
    columns = json.loads(labcli("runs", "sql", "--schema", "--json").out)
    assert {"table": "runs", "column": "plan_hash", "meaning": "equal plans, equal hash"} in columns


def test_metrics_join_the_parquet_files_of_all_runs(labcli: Labcli, lab: LabHome) -> None:
    statement = (
        "SELECT run_id, stage, count(*) AS n, max(tokens) AS tokens FROM metrics "
        "WHERE key = 'loss' AND stage = 'base' GROUP BY ALL ORDER BY run_id"
    )
    found = rows(labcli, statement)
    assert [(row["n"], row["tokens"]) for row in found] == [(NUM_STEPS, 524_288.0 * NUM_STEPS)] * 2
    ids = [row["run_id"] for row in rows(labcli, "SELECT run_id FROM runs ORDER BY 1")]
    assert [row["run_id"] for row in found] == ids


def test_metrics_and_sketches_of_an_empty_lab_are_empty(labcli: Labcli, home: LabHome) -> None:
    assert rows(labcli, "SELECT key FROM metrics") == []
    assert rows(labcli, "SELECT key FROM sketches") == []


def test_metrics_file_removed_by_hand_does_not_fail_the_others(
    labcli: Labcli, home: LabHome
) -> None:
    make_runs(home, NUM_RUNS, num_steps=NUM_STEPS)
    rows(labcli, "SELECT 1 AS a")
    next(home.runs_dir.glob("*/metrics/base.parquet")).unlink()
    (row,) = rows(labcli, "SELECT count(DISTINCT run_id) AS n FROM metrics WHERE stage = 'base'")
    assert row["n"] == NUM_RUNS - 1


def test_forms_are_those_of_every_listing(labcli: Labcli, lab: LabHome) -> None:
    statement = (
        "SELECT stage, position AS place FROM stages WHERE position < 2 ORDER BY ALL LIMIT 1"
    )
    assert labcli("runs", "sql", statement, "--csv").out == "stage,place\ndata,0\n"
    assert labcli("runs", "sql", statement, "--jsonl").out == '{"stage":"data","place":0}\n'
    assert labcli("runs", "sql", statement).out == "STAGE  PLACE\ndata   0\n"


def test_more_rows_than_the_limit_are_said_to_be_there(labcli: Labcli, lab: LabHome) -> None:
    result = labcli("runs", "sql", "SELECT 1 AS a FROM range(5)", "--limit", "2", "--csv")
    assert result.out.splitlines() == ["a", "1", "1"]
    assert "the first 2 rows; for all of them: --limit 0" in result.err
    every = labcli("runs", "sql", "SELECT 1 AS a FROM range(5)", "--limit", "0", "--csv")
    assert (len(every.out.splitlines()), every.err) == (6, "")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("SELECT nonesuch FROM runs", ["nonesuch", "line 1, column 8", "closest"]),
        ("SELECT 1\nFROM runs\nWHERE foo = 2", ["line 3, column 7 (foo)"]),
        (f"SELECT '{'x' * 300}' AS a, nope FROM runs", ["column 317 (nope)"]),
        ("SELEC 1", ["syntax error", "line 1, column 1"]),
        ("SELECT now()", ["now()::TIMESTAMP"]),
        ("SELECT 1; SELECT 2", ["one SQL statement, not 2"]),
        ("/* nothing */", ["one SQL statement, not 0"]),
        ("SELECT list(i) FROM range(300000000) t(i)", ["512MB of memory"]),
    ],
)
def test_mistake_is_one_line_that_says_where(
    labcli: Labcli, lab: LabHome, statement: str, words: list[str]
) -> None:
    result = labcli("runs", "sql", statement)
    assert result.code in (1, 2) and result.out == ""
    (line,) = result.err.splitlines()
    assert all(word in line for word in words), line


def test_query_that_takes_too_long_is_given_up(labcli: Labcli, lab: LabHome) -> None:
    endless = "SELECT * FROM range(10000000000) a, range(10) ORDER BY 1 DESC LIMIT 1"
    result = labcli("runs", "sql", endless, "--timeout", "0.3")
    assert result.code == 1
    assert "took longer than 0.3 s" in result.err


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO '{outside}/stolen'",
        "COPY (SELECT 1) TO '{runs}/stolen'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{runs}/stolen'",
        "explain (format json) COPY (SELECT 1) TO '{runs}/stolen'",
        "/* x */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{runs}/stolen'",
        "ATTACH '{outside}/stolen'",
        "EXPORT DATABASE '{outside}/stolen'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "SELECT * FROM read_csv('{outside}/secret.csv')",
        "SELECT * FROM read_text('{runs}/../../secret')",
        "SELECT * FROM '{outside}/secret.csv'",
        "SELECT * FROM glob('{outside}/*')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM read_csv('https://example.org/x.csv')",
        "WITH a AS (INSERT INTO runs SELECT * FROM runs RETURNING 1) SELECT * FROM a",
        "DELETE FROM runs",
        "CREATE TABLE stolen AS SELECT 1",
        "SELECT * FROM home",
    ],
)
def test_hostile_statement_reads_and_writes_nothing(
    labcli: Labcli, lab: LabHome, tmp_path: Path, statement: str
) -> None:
    (tmp_path / "secret.csv").write_text("secret")
    (lab.root.parent / "secret").write_text("secret")
    result = labcli("runs", "sql", statement.format(outside=tmp_path, runs=lab.runs_dir))
    assert result.code != 0
    assert result.out == "" and "Traceback" not in result.err
    assert len(result.err.splitlines()) == 1
    assert [*tmp_path.rglob("*stolen*"), *lab.root.rglob("*stolen*")] == []


def test_metrics_view_names_only_what_the_files_hold() -> None:
    text = METRICS_SCHEMA.read_text(encoding="utf-8")
    assert [statement.type for statement in duckdb.extract_statements(text)] == [
        duckdb.StatementType.CREATE
    ]
