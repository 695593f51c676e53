"""The SQL tool on hostile queries: an error or a bounded result, and nothing has changed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from configs.errors import DataError
from envs.simulated.sql import KILL_S, QUERY_S, SqlTasks, SqlTool, sql_tool
from envs.simulated.statements import sealed_database
from envs.tool_demonstrations import ToolDemonstrations, play
from envs.tools import CallError, gold_episode
from envs.types import Message, ToolCall
from rewards.numeric import NumericVerifier
from rollout.types import StopReason, Trajectory

GOLD = "THE-GOLD-TEXT"

HOSTILE = (
    "SELECT count(*) FROM fin a, fin b, fin c, fin d, fin e, fin f",
    "SELECT * FROM fin a, fin b, fin c ORDER BY a.revenue + b.revenue * c.revenue",
    "SELECT sum(a.revenue) OVER (ORDER BY a.revenue) FROM fin a, fin b, fin c",
    "SELECT (SELECT gold FROM answers) FROM fin",
    "SELECT * FROM fin NATURAL JOIN answers",
    "SELECT 1 WHERE EXISTS (SELECT 1 FROM answers WHERE gold LIKE 'T%')",
    "WITH answers AS (SELECT 1 AS gold), x AS (SELECT * FROM main.answers) SELECT * FROM x",
    "SELECT * FROM pragma_database_list",
    "SELECT count(*) FROM pragma_database_list",
    "SELECT count(*) FROM Answers",
    "SELECT count(*) FROM main.answers",
    "WITH c AS (SELECT 1) SELECT count(*) FROM c, answers",
    "SELECT 1 FROM sqlite_master",
    "SELECT count(*) FROM SQLITE_schema",
    "SELECT count(*) FROM sqlite_temp_master",
    "SELECT count(*) FROM json_each('[1]')",
    "SELECT count(*) FROM dbstat",
    "SELECT * FROM dbstat",
    "SELECT group_concat(company) FROM fin",
    "SELECT randomblob(1000000000)",
    "SELECT sqlite_version()",
    "SELECT writefile('/tmp/assay-sql', 'x')",
    "SELECT edit('x')",
    "UPDATE fin SET revenue = 0 RETURNING *",
    "REPLACE INTO fin VALUES (1, 'x', 1, 1)",
    "CREATE VIEW v AS SELECT 1",
    "ALTER TABLE fin RENAME TO g",
    "REINDEX",
    "VACUUM",
    "BEGIN IMMEDIATE",
    "PRAGMA query_only=OFF",
    "PRAGMA trusted_schema=ON",
    "PRAGMA writable_schema=ON",
    "EXPLAIN QUERY PLAN SELECT * FROM answers",
    "EXPLAIN QUERY PLAN SELECT 1",
    "EXPLAIN SELECT 1",
    "/* x */ explain SELECT company FROM fin",
    "\ufeff;EXPLAIN SELECT 1",
    "SELECT hex(company) FROM fin",
    "SELECT random()",
    "SELECT changes()",
    "SELECT CURRENT_TIMESTAMP",
    "SELECT date('now')",
    "SELECT date('n' || 'OW')",
    "SELECT date(x'6e6f77')",
    "SELECT date()",
    "SELECT strftime('%Y')",
    "SELECT strftime()",
    "SELECT datetime('subsec')",
    "SELECT datetime('2020-01-01', 'localtime')",
    "SELECT datetime('2020-01-01', x'757463')",
    "SELECT char(1, 2, 3, 4, 5, 6, 7, 8, 9)",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM "a\nb"',
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
    "WITH RECURSIVE c(x) AS (SELECT gold FROM answers UNION ALL SELECT x FROM c) SELECT x FROM c",
    "WITH RECURSIVE c(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM c) SELECT length(x) FROM c "
    "ORDER BY x",
    "SELECT \x00",
    "SELECT '\ud800'",
    "SELECT " + "(" * 2000,
    "SELECT " + "+".join("1" * 2000),
    "SELECT ?",
    "",
    ";",
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sql") / "a db?mode=rwc.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE fin (id INTEGER, company TEXT, year INTEGER, revenue INTEGER);"
        f"CREATE TABLE answers (gold TEXT); INSERT INTO answers VALUES ('{GOLD}');"
    )
    rows = [(number, f"Company {number % 40}", 2000 + number % 9, number) for number in range(360)]
    connection.executemany("INSERT INTO fin VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


@pytest.fixture(scope="module")
def tool(database: Path) -> Iterator[SqlTool]:
    tool = SqlTool(str(database), ("fin",))
    yield tool
    tool.close()


def test_a_date_that_is_no_text_has_an_error_of_its_own(tool: SqlTool) -> None:
    with pytest.raises(ValueError, match="one argument"):
        tool.query("SELECT trim(' a ', ' ')")
    with pytest.raises(ValueError, match="the query cannot be answered"):
        tool.query("SELECT date(CAST(x'ff' AS TEXT))")


def outcome(tool: SqlTool, sql: str) -> str:
    """The result, or the name of the error."""
    started = time.monotonic()
    try:
        return tool.query(sql)
    except (ValueError, TimeoutError) as error:
        assert "/" not in str(error), "an error must not show a path"  # noqa: PT017
        assert str(error).isprintable()  # noqa: PT017
        return type(error).__name__
    finally:
        assert time.monotonic() - started < KILL_S + 3


def digest(database: Path) -> tuple[str, list[str]]:
    data = hashlib.sha256(database.read_bytes()).hexdigest()
    return data, sorted(os.listdir(database.parent))


def test_hostile_queries_get_an_error(tool: SqlTool, database: Path) -> None:
    before = digest(database)
    for sql in HOSTILE:
        result = outcome(tool, sql)
        assert result.endswith("Error"), f"{sql[:60]}: {result[:200]}"
    assert digest(database) == before
    assert not Path("/tmp/assay-sql").exists()
    assert tool.query("SELECT count(*) FROM fin") == "360"


def test_what_takes_long_of_little_says_what_to_do(tool: SqlTool) -> None:
    assert tool.query("SELECT trim('  a ')") == "a"
    for name in ("trim", "ltrim", "rtrim"):
        with pytest.raises(ValueError, match=r"one argument|not authorized"):
            tool.query(f"SELECT {name}(company, 'abc') FROM fin")


HARMLESS = {
    "SELECT char(27) || '[2J'": " [2J",
    "SELECT char(60, 115, 99, 114, 105, 112, 116, 62)": "<script>",
    "SELECT char(8238) || 'x'": " x",
    "SELECT char(0, 55296, 1114112)": " \ufffd\ufffd\ufffd\ufffd",
    "SELECT typeof(1) || typeof(x'00') || typeof(NULL)": "integerblobnull",
    "SELECT quote('it''s')": "'it''s'",
    "SELECT unicode('é')": "233",
    "SELECT ltrim('  a ') || rtrim('  b ') || '|'": "a   b|",
    "SELECT instr('abc', 'c')": "3",
    "SELECT 'abc' GLOB 'a[b-c]?'": "1",
    "SELECT date('2020-01-31', '+1 day')": "2020-02-01",
    "SELECT strftime('%Y is now', '2020-01-31 10:00')": "2020 is now",
    "SELECT julianday('2020-01-01') - julianday('2019-01-01')": "365",
    "SELECT datetime(1577836800, 'unixepoch')": "2020-01-01 00:00:00",
    "SELECT date(NULL)": "NULL",
    "WITH c AS (SELECT DISTINCT company FROM fin) SELECT count(*) FROM c": "40",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3) SELECT x FROM c": (
        "x\n1\n2\n3"
    ),
}


def test_harmless_functions_and_recursion_run(tool: SqlTool) -> None:
    for sql, result in HARMLESS.items():
        assert tool.query(sql) == result, sql
    endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c"
    assert tool.query(endless).endswith("\n50\n[only the first 50 rows]")


SLOW_BIT = (
    "WITH RECURSIVE s(t, n) AS (SELECT 'aaaaaaaaaaaaaaaa', 1 UNION ALL SELECT t || t, n + 1 "
    "FROM s WHERE n < 13) SELECT {} FROM s WHERE n = 13"
)


@pytest.mark.parametrize(
    ("bit", "result"),
    [
        ("t GLOB '" + "*a" * 24 + "b'", "0"),
        ("t GLOB '*" + "[^b]" * 11 + "b'", "0"),
        ("t LIKE '%a" + "_" * 46 + "b'", "0"),
        ("length(quote(t))", "65538"),
        ("length(strftime(t, '2020-01-01'))", "65536"),
        ("instr(t, substr(t, 1, 32000) || 'b')", "0"),
        (
            "length(strftime(t || substr(t, 1, 34460) || '%J%J', '2020-01-01'))",
            "cannot be answered",
        ),
        ("quote(t || char(39) || t)", "too big"),
    ],
)
def test_functions_on_long_text_are_quick_or_refused(tool: SqlTool, bit: str, result: str) -> None:
    started = time.monotonic()
    try:
        assert tool.query(SLOW_BIT.format(bit)) == result
    except ValueError as error:
        assert re.search(result, str(error))  # noqa: PT017
    assert time.monotonic() - started < QUERY_S


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT revenu FROM fin", "no such column: revenu"),
        ("SELECT * FROM nope", "no such table: nope"),
        ("SELECT * FROM '/etc/passwd'", "no such table"),
        ("SELECT * FRM fin", 'near "FRM": syntax error'),
        ("SELECT 1 FROM fin WHERE % 2", 'near "%": syntax error'),
        ("```sql\nSELECT 1\n```", "syntax error"),
        ('WITH "a/b"(x, y) AS (SELECT 1) SELECT * FROM "a/b"', "the query cannot be answered"),
        ("SELECT hex(1)", "not authorized to use function: hex"),
        ("SELECT date('now')", "date takes a date that the query gives, no clock or time zone"),
        ("EXPLAIN SELECT 1", "EXPLAIN is not allowed; write one SELECT"),
    ],
)
def test_errors_show_no_more_of_a_query_than_a_name(tool: SqlTool, sql: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tool.query(sql)


def test_an_episode_of_slow_queries_has_less_time_for_the_next(tool: SqlTool) -> None:
    slow = {"sql": "SELECT count(*) FROM fin a, fin b, fin c, fin d"}
    query = tool.for_episode().function
    spent = []
    for _ in range(4):
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            query(**slow)
        spent.append(time.monotonic() - started)
    assert spent[0] > QUERY_S * 0.9
    assert spent[-1] < QUERY_S * 0.8
    assert query(sql="SELECT count(*) FROM fin") == "360"
    with pytest.raises(TimeoutError, match="within 1 s"):
        tool.for_episode().function(**slow)


def test_names_of_tables_are_read_in_any_case(tool: SqlTool) -> None:
    assert tool.query("SELECT count(*) FROM Fin") == "360"
    for sql in ("SELECT count(*) FROM Answers", "SELECT gold FROM ANSWERS"):
        with pytest.raises(ValueError, match=r"not authorized|prohibited"):
            tool.query(sql)


def test_the_attack_strings(tool: SqlTool, database: Path, assay_data: Path) -> None:
    path = assay_data.parent / "cases" / "attack_strings.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row["tool"] == "sql"]
    before = digest(database)
    assert len(rows) > 30
    for row in rows:
        sql = row["payload"]
        if repeat := row.get("payload_repeat"):
            sql = (repeat["unit"] * repeat["len"])[: repeat["len"]]
        result = outcome(tool, sql)
        assert GOLD not in result
        refused = row["expect"].startswith("typed error")
        assert result.endswith("Error") == refused, f"{row['id']}: {result[:200]}"
    assert digest(database) == before


def test_results_are_text_of_bounded_size(tool: SqlTool) -> None:
    assert tool.query("SELECT revenue FROM fin WHERE id = 7") == "7"
    assert tool.query("SELECT revenue FROM fin WHERE id = -1") == "no rows"
    lines = tool.query("SELECT id, company, 1.5, NULL, x'00' FROM fin").splitlines()
    assert lines[0] == "id | company | 1.5 | NULL | x'00'"
    assert lines[1] == "0 | Company 0 | 1.5 | NULL | [1 bytes]"
    assert lines[-1] == "[only the first 50 rows]"
    assert len(lines) == 52
    assert tool.query("SELECT 'a\nb\x1b[2J'") == "a b [2J"
    wide = ", ".join(["company || company || company"] * 90)
    assert len(tool.query(f"SELECT {wide} FROM fin")) <= 20_000


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        SqlTool(str(tmp_path / "none.sqlite"), ("fin",))


def test_a_path_may_be_relative(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(database.parent)
    tool = SqlTool(database.name, ("fin",))
    assert tool.query("SELECT count(*) > 0 FROM fin") == "1"
    tool.close()


def test_gold_queries_give_the_gold_answers() -> None:
    for split in ("train", "heldout"):
        tasks = SqlTasks(split, levels=(1, 2, 3, 4), size=70)
        for index in range(len(tasks)):
            task = tasks[index]
            step = play(task, gold_episode(task))[1]
            [record] = step.calls
            told = Message("assistant", f"\\boxed{{{record.result}}}")
            trajectory = Trajectory(task, 0, (), (told,), StopReason.STOP)
            assert NumericVerifier()(trajectory).reward == 1.0, (task, record)
        sql_tool(split, 0).close()


def test_the_world_cannot_be_written_even_by_us() -> None:
    with pytest.raises(PermissionError):
        os.pwrite(sealed_database("train", 0), b"x", 0)


def test_a_late_query_is_told_to_the_policy() -> None:
    task = SqlTasks()[0]
    slow = {"sql": "SELECT count(*) FROM figures a, figures b"}
    step = play(task, [Message("assistant", "", (ToolCall("query", slow),))])[1]
    assert step.calls[0].error == CallError.DEADLINE
    shown = ToolDemonstrations(SqlTasks(), tool_share=1.0)[0]
    assert shown.turns[1].content == shown.task.answer
    sql_tool("train", 0).close()
