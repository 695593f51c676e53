"""What an open answer claims: figures, directions and citations, each held against the table.

A figure is right when it follows from a row that its sentence names (or, where it names none, the
sentence before it) by a listed operation, to the precision it is written with. So a figure cannot
be excused by whatever row it happens to fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rewards.numbers import Quantity, parse_quantity
from rewards.tables import OPERATIONS, Derived, Table, derived_figures, name_pattern, same_name

FLAT = 0.01
"""A change under this share counts as none."""
MAX_SENTENCE_CHARS = 1000
"""A longer sentence is wrong: nobody reads it, and checking it would take too long."""

TOO_LONG = "a sentence is too long"

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")
_CITATION = re.compile(r"\[([^\[\]\n]{1,80})\]")
_ENUMERATION = re.compile(r"^\s*(?:[-*•]\s+)?(?:\(?[0-9]{1,2}[.)]\s+)?", re.MULTILINE)
_FIGURE = re.compile(
    r"(?<![\w.,])(?P<open>\()?(?P<sign>[-−–+])?(?P<currency>[$€£¥]|US\$|USD |EUR |CNY |RMB )?"
    r"(?P<digits>[0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?)(?(open)(?P<close>\))?)"
    r"(?P<unit>\s?(?:%|％)|(?:[\s-](?:percentage points?|percent|per cent|basis points?|bps|pp|"
    r"thousand|million|billion|trillion|mn?|bn|k))(?![^\W_])|万亿|百万|千万|亿元?|万元?)?",
    re.IGNORECASE,
)
_SPELLED = re.compile(
    r"\b(?:eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen|twenty|"
    r"thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|(?<![0-9] )(?:thousand|[mb]illion))\b",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"\b(?:loss(?:es)?|negative|minus|deficit|outflow)\b|亏损|负", re.IGNORECASE)
_POINTS = re.compile(r"\s*[\s-](?:percentage points?|pp)$", re.IGNORECASE)

_DIRECTION = re.compile(
    r"(?P<up>\b(?:rose|ris(?:e[sn]?|ing)|increas(?:e[sd]?|ing)|gr[eo]w(?:s|n|ing|th)?|higher|up|"
    r"gain(?:s|ed)?|climb(?:s|ed|ing)?|improv(?:e[sd]?|ing|ement))\b|增长|上升|增加|提高|増加|上昇)|"
    r"(?P<down>\b(?:fell|fall(?:s|en|ing)?|decreas(?:e[sd]?|ing)|declin(?:e[sd]?|ing)|drop(?:s|ped|"
    r"ping)?|lower|down|shr[aiu]nk(?:s|ing)?|reduc(?:ed|tion)|slid(?:es?)?)\b|下降|减少|下滑|降低|減少)|"
    r"(?P<flat>\b(?:unchanged|flat|stable|(?:stayed|remained) the same|no change)\b|持平|不变)",
    re.IGNORECASE,
)
_NOT = re.compile(r"(?:\b(?:not|never|no|hardly|without)|n['’]t|没有|未|不)\s*(?:\w+\s*)?$", re.I)
_POINTS_AHEAD = re.compile(r"(?:higher|lower|reduced)\b|\w+\s+(?:in|of)\s", re.IGNORECASE)
_AT_ONCE = re.compile(r"\s*[(,]?\s*(?:in|for|of|at|during)?\s*", re.IGNORECASE)
_NEW_CLAUSE = re.compile(r"[,;:]|\b(?:to|and|but|while)\b", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\s*$", re.IGNORECASE)
_TO = re.compile(r"\s*(?:\(?(?:in\s+)?_+\)?\s*)?,?\s*to\s*", re.IGNORECASE)
_SIGNS = {"up": 1, "down": -1, "flat": 0}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence with the rows it is about: those it names or cites, else those of the sentence
    before. `periods` and `places` say where in the text each named column and row begins."""

    text: str
    rows: tuple[str, ...]
    periods: tuple[tuple[int, str], ...]
    cited: tuple[str, ...]
    places: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """How many claims of one kind were made, and what is wrong with the first wrong one."""

    count: int
    wrong: str = ""


@dataclass(slots=True)
class _Subjects:
    """Reads the rows and columns that sentences name."""

    table: Table
    _row_names: re.Pattern[str] = field(init=False)
    _column_names: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        self._row_names = name_pattern(list(self.table.rows))
        self._column_names = name_pattern(self.table.columns)

    def read(self, text: str) -> Iterator[Sentence]:
        rows: tuple[str, ...] = tuple(self.table.rows) if len(self.table.rows) == 1 else ()
        for part in _SENTENCE.split(_ENUMERATION.sub("", text)):
            if not part.strip():
                continue
            cited = tuple(_CITATION.findall(part))
            plain = _CITATION.sub(" ", part)
            places = tuple((m.start(), self._row(m[1])) for m in self._row_names.finditer(plain))
            named = [row for _, row in places] + [r for c in cited if (r := self.cited_row(c))]
            rows = tuple(dict.fromkeys(named)) or rows
            periods = tuple(
                (m.start(), self._column(m[1])) for m in self._column_names.finditer(plain)
            )
            yield Sentence(plain, rows, periods, cited, places)

    def without_names(self, text: str) -> str:
        """The text with row and column names blanked, so that their digits are no figures."""
        for pattern in (self._row_names, self._column_names):
            text = pattern.sub(lambda match: "_" * len(match[0]), text)
        return text

    def _row(self, written: str) -> str:
        return same_name(written, self.table.rows)

    def _column(self, written: str) -> str:
        return same_name(written, self.table.columns)

    def cited_row(self, citation: str) -> str | None:
        """The row that "[Revenue]", "[row 2]" or "[2]" refers to, rows counted from 1."""
        citation = citation.strip()
        number = re.fullmatch(r"(?:row\s*)?([0-9]{1,3})", citation, re.IGNORECASE)
        if number and 1 <= int(number[1]) <= len(self.table.rows):
            return list(self.table.rows)[int(number[1]) - 1]
        return self._row(citation) if self._row_names.fullmatch(citation) else None


def check_facts(
    text: str, table: Table, operations: Sequence[str] = OPERATIONS, allowed: Sequence[float] = ()
) -> Finding:
    """Hold every figure of a text against the table; `allowed` ones need no source.

    A figure spelled out in words ("eighty") is wrong: it must be checkable.
    """
    subjects, count = _Subjects(table), 0
    if too_long(text):
        return Finding(0, TOO_LONG)
    known: dict[tuple[str, ...], list[Derived]] = {}
    for sentence in subjects.read(text):
        visible = subjects.without_names(sentence.text)
        if spelled := _SPELLED.search(visible):
            return Finding(count + 1, f"'{spelled[0]}' is not in digits")
        before: tuple[re.Match[str], list[Derived]] | None = None
        for match in _FIGURE.finditer(visible):
            count += 1
            if sentence.rows not in known:
                known[sentence.rows] = list(derived_figures(table, sentence.rows, operations))
            sources = list(_sources(match, sentence, known[sentence.rows]))
            written = match[0].strip().strip("()")
            if not sources and not _is_allowed(match, allowed):
                return Finding(count, f"{written} does not follow from the table")
            if before and _goes_back(*before, match, sources, table):
                return Finding(count, f"the table does not go to {written} in that order")
            before = match, sources
    return Finding(count)


def check_directions(text: str, table: Table) -> Finding:
    """Hold every direction word ("rose", "fell", "unchanged") against the sign of its row's change.

    Its row is the one named last before it, else the next one in its sentence, else what the
    sentence is about. The change goes between the columns that the sentence names: two or more,
    from the first to the last; one, from the column before to it; none, to the last column.
    """
    count = 0
    if too_long(text):
        return Finding(0, TOO_LONG)
    for sentence in _Subjects(table).read(text):
        for match in _DIRECTION.finditer(sentence.text):
            count += 1
            row = _subject(sentence, match)
            if row is None:
                return Finding(count, f"'{match[0]}' is about no row of the table")
            signs = _signs(table, row, [column for _, column in sentence.periods])
            said = _SIGNS[str(match.lastgroup)]
            negated = bool(_NOT.search(sentence.text, max(0, match.start() - 30), match.start()))
            if not signs or (said in signs) == negated:
                return Finding(count, f"'{match[0]}' is wrong of {row}")
    return Finding(count)


def check_citations(text: str, table: Table) -> Finding:
    """Every citation names a row of the table, every sentence with a figure has one, and cites all
    the rows that it names."""
    subjects, count = _Subjects(table), 0
    if too_long(text):
        return Finding(0, TOO_LONG)
    for sentence in subjects.read(text):
        cited = [subjects.cited_row(citation) for citation in sentence.cited]
        count += len(cited)
        if None in cited:
            return Finding(count, f"[{sentence.cited[cited.index(None)]}] is no row of the table")
        if not cited and _FIGURE.search(subjects.without_names(sentence.text)):
            return Finding(count, "a sentence with a figure cites no row")
        if cited and (missing := {row for _, row in sentence.places} - set(cited)):
            return Finding(count, f"{min(missing)} is named, but not cited")
    return Finding(count)


def too_long(text: str) -> bool:
    """Whether a sentence is too long to be checked."""
    return any(len(part) > MAX_SENTENCE_CHARS for part in _SENTENCE.split(text))


def _read(match: re.Match[str]) -> Quantity | None:
    in_points = _POINTS.fullmatch(match["unit"] or "")
    return parse_quantity(f"{match['digits']}{'%' if in_points else match['unit'] or ''}")


def _half_unit(match: re.Match[str]) -> float:
    """Half of what the last digit of a figure counts."""
    return 0.5 * 10.0 ** -len(match["digits"].partition(".")[2]) * (1 + 1e-9)


def _is_allowed(match: re.Match[str], allowed: Sequence[float]) -> bool:
    quantity = _read(match)
    return quantity is not None and any(
        abs(quantity.value - value) <= _half_unit(match) * quantity.scale for value in allowed
    )


def _sources(
    match: re.Match[str], sentence: Sentence, known: Sequence[Derived]
) -> Iterator[Derived]:
    """Those of the known figures that round to what is written."""
    unit = match["unit"] or ""
    in_points, is_bare = bool(_POINTS.fullmatch(unit)), not unit.strip()
    quantity = _read(match)
    if quantity is None:
        return
    is_negative = match["sign"] not in (None, "+") or bool(match["close"])
    is_signed = is_negative or match["sign"] == "+"
    half_unit = _half_unit(match)
    stated = -quantity.number if is_negative else quantity.number
    is_loss, period = bool(_NEGATIVE.search(sentence.text)), _period_of(match, sentence)
    for derived in known:
        if derived.operation == "value" and period and period not in derived.columns:
            continue
        if in_points and derived.operation not in ("change", "difference"):
            continue
        if not is_bare and quantity.percent != derived.percent:
            continue
        if is_bare and derived.operation in ("percent_change", "share"):
            continue  # a percentage says so
        value = derived.value / (derived.scale if is_bare else quantity.scale)
        if not is_signed and (is_loss or not derived.signed):
            value = abs(value)
        in_full = is_bare and abs(stated - value * derived.scale) <= half_unit
        if in_full or abs(stated - value) <= half_unit:
            yield derived


def _goes_back(
    first: re.Match[str],
    sources: Sequence[Derived],
    second: re.Match[str],
    others: Sequence[Derived],
    table: Table,
) -> bool:
    """Whether "from FIRST to SECOND" runs against the order of the columns."""
    if not _FROM.search(first.string, max(0, first.start() - 20), first.start()):
        return False
    if not _TO.fullmatch(first.string, first.end(), second.start()):
        return False
    earlier, later = (
        [table.columns.index(d.columns[0]) for d in found if d.operation == "value"]
        for found in (sources, others)
    )
    return bool(earlier and later) and min(earlier) >= max(later)


def _period_of(match: re.Match[str], sentence: Sentence) -> str | None:
    """The period that a stated value is of: what follows it at once ("120 in 2022"), else the last
    one before it in its clause ("In 2022, revenue was 120"); None where that is open."""
    for place, column in sentence.periods:
        if place >= match.end() and _AT_ONCE.fullmatch(sentence.text, match.end(), place):
            return column
    before = [(place, column) for place, column in sentence.periods if place < match.start()]
    if before:
        place, column = before[-1]
        between = sentence.text[place + len(column) : match.start()]
        if not _NEW_CLAUSE.search(between.lstrip(", )")):
            return column
    return None


def _subject(sentence: Sentence, match: re.Match[str]) -> str | None:
    """The row that a direction word is about."""
    before = [row for place, row in sentence.places if place < match.start()]
    after = [row for place, row in sentence.places if place > match.start()]
    if _POINTS_AHEAD.match(sentence.text, match.start()) and after:
        return after[0]
    return next(iter((*before[-1:], *after[:1], *sentence.rows[:1])), None)


def _signs(table: Table, row: str, columns: Sequence[str]) -> set[int]:
    """Signs of the changes that a direction may be about; empty where a cell is missing."""
    order = [column for column in table.columns if column in columns]
    last = len(table.columns) - 1
    if len(order) > 1:
        pairs = [(table.columns.index(order[0]), table.columns.index(order[-1]))]
    elif order and (index := table.columns.index(order[0])) > 0:
        pairs = [(index - 1, index)]
    else:
        pairs = [(last - 1, last), (0, last)]
    signs = set()
    for first, second in pairs:
        before, after = table.rows[row][max(first, 0)], table.rows[row][second]
        if before is None or after is None:
            return set()
        change = after - before
        signs.add(0 if abs(change) <= FLAT * abs(before) else 1 if change > 0 else -1)
        if change and 0 in signs:
            signs.add(1 if change > 0 else -1)  # a small change may be told either way
    return signs
