"""The helper process that runs SQL: read-only, with a list of what may be read and called.

Follows sqlite.org/security.html and adds a list of functions, because SQLite's progress handler is
not called within one function: `printf('%.*c', 900000000, 'x')` outlives any deadline of its own.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from urllib.parse import quote

from envs.helper import serve

FUNCTIONS = frozenset(
    (
        *(
            "abs",
            "avg",
            "ceil",
            "coalesce",
            "count",
            "dense_rank",
            "first_value",
            "floor",
            "ifnull",
        ),
        *("iif", "instr", "lag", "last_value", "lead", "length", "like", "lower", "max", "min"),
        *("nullif", "pow", "power", "rank", "round", "row_number", "sign", "sqrt", "substr"),
        *("substring", "sum", "total", "trim", "upper"),
    )
)
"""None of them makes much of little, or takes long, or looks outside."""
SLOW_WITH_TWO = ("trim", "ltrim", "rtrim")
"""Of which a second argument makes the time a product of two lengths."""
RAISED = "user-defined function raised exception"
LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 100_000,  # bytes of a value or a row
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 5_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 50,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 8,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 50,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
PRAGMAS = (
    "trusted_schema=OFF",
    "query_only=ON",
    "temp_store=MEMORY",
    "cell_size_check=ON",
    "cache_size=-16000",
    "hard_heap_limit=67108864",
)
STEPS_BETWEEN_LOOKS = 5_000  # of SQLite's machine, between two looks at the clock
MAX_ROWS = 50
MAX_CELL_CHARS = 200
MAX_CHARS = 20_000  # of a result; the environment cuts it further, and says so


def opened(path: str) -> sqlite3.Connection:
    """An SQLite file, read-only; "fd:5" is a copy in memory of what the open file 5 holds."""
    if path.startswith("fd:"):
        connection = sqlite3.connect(":memory:", isolation_level=None)
        with open(f"/proc/self/fd/{path[3:]}", "rb") as file:
            connection.deserialize(file.read())
        return connection
    # immutable: no lock, journal or shared memory is ever made beside the file.
    uri = f"file:{quote(path)}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


class Database:
    """One connection, made safe for SQL from anyone. Of its tables only `tables` may be read."""

    def __init__(self, connection: sqlite3.Connection, tables: frozenset[str]) -> None:
        self._connection = connection
        self._tables = frozenset(table.lower() for table in tables)
        self._deadline = 0.0
        for pragma in PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        for limit, most in LIMITS.items():
            self._connection.setlimit(limit, most)
        for name in SLOW_WITH_TWO:
            self._connection.create_function(name, 2, _refuse)
        self._connection.set_authorizer(self._authorize)
        self._connection.set_progress_handler(self._is_late, STEPS_BETWEEN_LOOKS)

    def query(self, sql: str, seconds: float) -> str:
        """The result as text: see `written`. Raises ValueError or TimeoutError."""
        self._deadline = time.monotonic() + seconds
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            if cursor.description is None:
                raise ValueError("not a query; write one SELECT")
            names = [column[0] for column in cursor.description]
            return written(names, cursor.fetchmany(MAX_ROWS + 1))
        except sqlite3.OperationalError as error:
            if str(error) == "interrupted":
                raise TimeoutError(f"not finished within {seconds:g} s") from error
            problem = str(error)
            raise ValueError(
                "trim takes one argument here" if problem == RAISED else problem
            ) from error
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ValueError(str(error)) from error
        finally:
            cursor.close()

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _authorize(self, action: int, one: str | None, two: str | None, *_: str | None) -> int:
        if (
            action == sqlite3.SQLITE_SELECT
            or (action == sqlite3.SQLITE_READ and (one or "").lower() in self._tables)
            or (action == sqlite3.SQLITE_FUNCTION and two in FUNCTIONS)
        ):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY


def _refuse(*_: object) -> None:
    raise ValueError  # SQLite tells that it was RAISED


def written(names: list[str], rows: list[tuple[object, ...]]) -> str:
    """One value as it is; else the names of the columns and up to MAX_ROWS rows, a line each."""
    if not rows:
        return "no rows"
    if len(rows) == len(names) == 1:
        return _cell(rows[0][0])
    lines = [" | ".join(map(_cell, row)) for row in (names, *rows[:MAX_ROWS])]
    if len(rows) > MAX_ROWS:
        lines.append(f"[only the first {MAX_ROWS} rows]")
    return "\n".join(lines)[:MAX_CHARS]


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, float):
        return f"{value + 0.0:.12g}"  # -0.0 + 0.0 is 0.0
    text = str(value)[:MAX_CELL_CHARS]
    return "".join(char if char.isprintable() else " " for char in text)


if __name__ == "__main__":
    path, *tables = sys.argv[1:]
    database = Database(opened(path), frozenset(tables))
    serve(lambda request: database.query(*request))
