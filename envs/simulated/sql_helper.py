"""The helper process that runs SQL: read-only, with a list of what may be read and called.

Follows sqlite.org/security.html and adds a list of functions, because SQLite's progress handler is
not called within one function: `printf('%.*c', 900000000, 'x')` outlives any deadline of its own.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import time
from functools import partial
from urllib.parse import quote

from envs.helper import serve

FUNCTIONS = frozenset(
    (
        *("abs", "avg", "ceil", "char", "coalesce", "count", "dense_rank", "first_value", "floor"),
        *("glob", "ifnull", "iif", "instr", "lag", "last_value", "lead", "length", "like", "lower"),
        *("ltrim", "max", "min", "nullif", "pow", "power", "quote", "rank", "round", "row_number"),
        *("rtrim", "sign", "sqrt", "substr", "substring", "sum", "total", "trim", "typeof"),
        *("unicode", "upper"),
    )
)
"""None of them makes much of little, or takes long, or looks outside."""
DATES = ("date", "datetime", "julianday", "strftime", "time")
"""They work on what the query gives, and are refused the clock and the place of the machine."""
CALLABLE = FUNCTIONS.union(DATES)
SLOW_WITH_TWO = ("trim", "ltrim", "rtrim")
"""Of which a second argument makes the time a product of two lengths."""
EXPLAINED = (
    ["addr", "opcode", "p1", "p2", "p3", "p4", "p5", "comment"],
    ["id", "parent", "notused", "detail"],
)
"""The columns of an EXPLAIN, by which it is known: no other sign of it reaches an authorizer."""
UNANSWERED = "the query cannot be answered"
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

_DATE = re.compile(r"\s*[-+]?\.?\d")  # not "now", nor "subsec", which stands for it
_PLACE = re.compile("local|utc", re.IGNORECASE)  # modifiers that tell the time zone
_HARMLESS = re.compile(
    r"""[\w ,.()'-]{1,100}(: [\w.()]{1,60}|: "['\w]{1,60}")?|"""
    r"""near "(\w{1,60}|[^\w\s/\\]{1,2})": syntax error"""
)

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
        # Why the last call of a function was refused: SQLite does not pass it on.
        self._refused = UNANSWERED
        self._calendar = sqlite3.connect(":memory:")
        self._calendar.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LIMITS[sqlite3.SQLITE_LIMIT_LENGTH])
        rows = connection.execute("SELECT name FROM sqlite_schema").fetchall()
        rows += connection.execute("PRAGMA module_list").fetchall()
        self._others = frozenset(row[0].lower() for row in rows) - self._tables
        connection.text_factory = partial(str, encoding="utf-8", errors="replace")
        for pragma in PRAGMAS:
            self._connection.execute(f"PRAGMA {pragma}")
        for limit, most in LIMITS.items():
            self._connection.setlimit(limit, most)
        for name in SLOW_WITH_TWO:
            self._connection.create_function(name, 2, self._refuse_two)
        for name in DATES:
            self._connection.create_function(
                name, -1, partial(self._on_date, name), deterministic=True
            )
        self._connection.set_authorizer(self._authorize)
        self._connection.set_progress_handler(self._is_late, STEPS_BETWEEN_LOOKS)

    def query(self, sql: str, seconds: float) -> str:
        """The result as text: see `written`. Raises ValueError or TimeoutError."""
        self._deadline, self._refused = time.monotonic() + seconds, UNANSWERED
        cursor = self._connection.cursor()
        try:
            cursor.execute(sql)
            if cursor.description is None:
                raise ValueError("not a query; write one SELECT")
            names = [column[0] for column in cursor.description]
            if names in EXPLAINED:
                raise ValueError("EXPLAIN is not allowed; write one SELECT")
            return written(names, cursor.fetchmany(MAX_ROWS + 1))
        except sqlite3.OperationalError as error:
            if str(error) == "interrupted":
                raise TimeoutError(f"not finished within {seconds:g} s") from error
            if str(error) == RAISED:
                raise ValueError(self._refused) from error
            raise ValueError(shown(str(error))) from error
        except (sqlite3.Error, sqlite3.Warning) as error:
            raise ValueError(shown(str(error))) from error
        finally:
            cursor.close()

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline

    def _authorize(self, action: int, one: str | None, two: str | None, *_: str | None) -> int:
        if (
            # A recursion that does not end is stopped by the clock or by the limit of the heap.
            action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
            or (action == sqlite3.SQLITE_READ and self._may_read((one or "").lower(), two))
            or (action == sqlite3.SQLITE_FUNCTION and two in CALLABLE)
        ):
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    def _may_read(self, table: str, column: str | None) -> bool:
        """Whether a query may; "" for a column is count(*), of a table or of a name in WITH."""
        named_by_query = table not in self._others and not table.startswith(("sqlite_", "pragma_"))
        return table in self._tables or (column == "" and named_by_query)

    def _refuse_two(self, *_: object) -> None:
        self._refused = "trim takes one argument here"
        raise ValueError  # SQLite tells that it was RAISED

    def _on_date(self, name: str, *arguments: object) -> str | float | None:
        """What SQLite's own function answers, on a connection where nothing else is."""
        self._refused = f"{name} takes a date that the query gives, no clock or time zone"
        day, *modifiers = arguments[1:] if name == "strftime" else arguments  # else RAISED
        given = _DATE.match(day) if isinstance(day, str) else not isinstance(day, bytes)
        if not given or any(_PLACE.search(str(modifier)) for modifier in modifiers):
            raise ValueError
        holders = ", ".join("?" * len(arguments))
        self._refused = UNANSWERED
        answer: str | float | None = self._calendar.execute(
            f"SELECT {name}({holders})", arguments
        ).fetchone()[0]
        return answer


def shown(problem: str) -> str:
    """SQLite's message, without the text of the query where that is no plain name or sign."""
    if _HARMLESS.fullmatch(problem):
        return problem
    kind = problem.partition(":")[0]
    if kind.startswith("near "):
        return "syntax error"
    return kind if _HARMLESS.fullmatch(kind) else UNANSWERED


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
