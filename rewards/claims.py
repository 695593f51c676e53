"""What an open answer claims: figures, directions and citations, each held against the table.

A figure is right when it follows from a row that its sentence names (or, where it names none, the
sentence before it) by a listed operation, to the precision it is written with. So a figure cannot
be excused by whatever row it happens to fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from rewards.figures import Figure, has_figure, read_figures
from rewards.tables import OPERATIONS, Derived, Table, derived_figures, name_pattern, same_name

FLAT = 0.01
"""A change under this share counts as none."""
MAX_SENTENCE_CHARS = 1000
"""A longer sentence is wrong: nobody reads it, and checking it would take too long."""

TOO_LONG = "a sentence is too long"

_SENTENCE = re.compile(r"(?<=[.!?;])\s+|(?<=[。！？；])|\n+")
_CITATION = re.compile(r"\[([^\[\]\n]{1,80})\]")
_ENUMERATION = re.compile(r"^\s*(?:[-*•]\s+)?(?:\(?([0-9]{1,2})[.)]\s+)?", re.MULTILINE)
_NEGATIVE = re.compile(
    r"\b(?:loss(?:es)?|lost|negative|minus|deficit|outflow)\b|亏损|负(?![债责担])", re.IGNORECASE
)
_LOSS_OF = re.compile(
    rf"(?:{_NEGATIVE.pattern})(?:\s+(?:in|for|during|of)\s+(?:the\s+)?\w+)?[\s:=]*"
    r"(?:(?:of|was|were|is|are|at|reached|totall?ed|(?:amounted|came|widened|narrowed) to|stood at|"
    r"达到?|为|是)\s*)?(?:(?:about|around|roughly|nearly|almost|some|only|just|a|约|了)\s*)?$",
    re.IGNORECASE,
)
_OF_LOSS = re.compile(r"\s*(?:net |operating )?(?:loss|deficit|outflow)\b|的?亏损", re.IGNORECASE)

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
_NEW_CLAUSE = re.compile(r"[,;:，；：到至]|\b(?:to|and|but|while)\b", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\s*$", re.IGNORECASE)
_BEGINS = re.compile(
    r"(?:\b(?:from|since|after|over|than|with|compared to|versus|vs\.?|against|(?:that|those) of)|"
    r"自|比|较)\s*(?:in\s+)?$",
    re.IGNORECASE,
)
_ENDS = re.compile(r"(?:\b(?:to|until|till|by|through)|至|到)\s*(?:in\s+)?$", re.IGNORECASE)
_SPAN = re.compile(
    r"\s*(?:\b(?:and|to|through|until|till)\b|[-–—至到和])\s*(?:in\s+)?", re.IGNORECASE
)
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
        for part in _SENTENCE.split(_without_numbering(text)):
            if not part.strip():
                continue
            cited = tuple(_CITATION.findall(part))
            plain = _CITATION.sub(lambda m: " " if self.cited_row(m[1]) else m[0], part)
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

    A figure that cannot be read ("eighty", "1.5e9") is wrong: it must be checkable. A change in
    words ("doubled") must follow as well, but does not count.
    """
    subjects, count = _Subjects(table), 0
    if too_long(text):
        return Finding(0, TOO_LONG)
    known: dict[tuple[str, ...], list[Derived]] = {}
    for sentence in subjects.read(text):
        visible = subjects.without_names(sentence.text)
        figures, unread = read_figures(visible)
        if unread:
            return Finding(count + 1, f"'{unread}' is a figure that cannot be checked: use digits")
        if figures and sentence.rows not in known:
            known[sentence.rows] = list(derived_figures(table, sentence.rows, operations))
        before: tuple[Figure, list[Derived]] | None = None
        for figure in figures:
            count += not figure.in_words
            sources = list(_sources(figure, sentence, known[sentence.rows], table))
            negated = figure.in_words and _negated(sentence.text, figure.start)
            if negated is bool(sources) and not _is_allowed(figure, allowed):
                return Finding(count, f"{figure.text} does not follow from the table")
            if before and _goes_back(visible, *before, figure, sources, table):
                return Finding(count, f"the table does not go to {figure.text} in that order")
            before = figure, sources
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
            negated = _negated(sentence.text, match.start())
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
        if not cited and has_figure(subjects.without_names(sentence.text)):
            return Finding(count, "a sentence with a figure cites no row")
        if cited and (missing := {row for _, row in sentence.places} - set(cited)):
            return Finding(count, f"{min(missing)} is named, but not cited")
    return Finding(count)


def too_long(text: str) -> bool:
    """Whether a sentence is too long to be checked."""
    return any(len(part) > MAX_SENTENCE_CHARS for part in _SENTENCE.split(text))


def _without_numbering(text: str) -> str:
    """Without bullets, and without the numbers of points that count up from 1."""
    due = 1

    def strip(match: re.Match[str]) -> str:
        nonlocal due
        number = int(match[1] or 0)
        if number not in (0, 1, due):
            return match[0]
        due = number + 1 if number else due
        return ""

    return _ENUMERATION.sub(strip, text)


def _negated(text: str, place: int) -> bool:
    return bool(_NOT.search(text, max(0, place - 30), place))


def _is_allowed(figure: Figure, allowed: Sequence[float]) -> bool:
    scale = figure.scale or 1.0
    return any(
        figure.is_near(value / scale) or (figure.signed and figure.is_near(-value / scale))
        for value in allowed
    )


def _sources(
    figure: Figure, sentence: Sentence, known: Sequence[Derived], table: Table
) -> Iterator[Derived]:
    """Those of the known figures that round to what is written, of the periods it is said of."""
    negative_words = bool(_NEGATIVE.search(sentence.text))
    is_loss = not figure.signed and _is_loss(figure, sentence)
    for derived in known:
        if derived.operation not in figure.operations:
            continue
        if figure.percent is not None and figure.percent != derived.percent:
            continue
        if not _of_period(derived, figure, sentence, table.columns):
            continue
        value = derived.value / (derived.scale if figure.scale is None else figure.scale)
        if is_loss and value > 0:
            continue
        if not figure.signed and (negative_words or not derived.signed):
            value = abs(value)
        in_full = figure.is_bare and figure.is_near(value * derived.scale)
        if in_full or figure.is_near(value):
            yield derived


def _is_loss(figure: Figure, sentence: Sentence) -> bool:
    """Whether a figure is said to be one of a loss ("a loss of 12"), of a row not named so."""
    before = sentence.text[max(0, figure.start - 80) : figure.start]
    said = _LOSS_OF.search(before)
    if said is None:
        return bool(_OF_LOSS.match(sentence.text, figure.end))
    place = figure.start - len(before) + said.start()
    return not any(at <= place < at + len(row) for at, row in sentence.places)


def _goes_back(
    text: str,
    first: Figure,
    sources: Sequence[Derived],
    second: Figure,
    others: Sequence[Derived],
    table: Table,
) -> bool:
    """Whether "from FIRST to SECOND" runs against the order of the columns."""
    if not _FROM.search(text, max(0, first.start - 20), first.start):
        return False
    if not _TO.fullmatch(text, first.end, second.start):
        return False
    earlier, later = (
        [table.columns.index(d.columns[0]) for d in found if d.operation == "value"]
        for found in (sources, others)
    )
    return bool(earlier and later) and min(earlier) >= max(later)


def _of_period(
    derived: Derived, figure: Figure, sentence: Sentence, columns: Sequence[str]
) -> bool:
    """Whether a figure may be told of the periods that its sentence names for it.

    A change "in 2023" is the one from the column before, or from another that the sentence names;
    "since 2021" it begins there, "by 2023" it ends there, "from 2021 to 2023" it is exactly that.
    """
    at = _period_of(figure, sentence)
    named = {column for _, column in sentence.periods}
    if at is None and (len(named) != 1 or len(derived.columns) == 1):
        return not named or len(derived.columns) == 1 or set(derived.columns) <= named
    place, own = at or sentence.periods[0]
    first, last = derived.columns[0], derived.columns[-1]
    if first == last:
        return own == first
    if derived.operation in ("total", "average"):
        return len(named) > 1 or bool(_ENDS.search(sentence.text, 0, place))
    for (start, one), (end, other) in pairwise(sentence.periods):
        if own in (one, other) and _SPAN.fullmatch(sentence.text, start + len(one), end):
            return {first, last} == {one, other}
    if len(named) == 1 and _BEGINS.search(sentence.text, 0, place):
        return own == first
    if len(named) == 1 and _ENDS.search(sentence.text, 0, place):
        return own == last
    if at is None:
        return own in (first, last)
    previous = columns[max(0, columns.index(own) - 1)]
    if own == last:
        return first == previous or first in named
    return own == first and (last in named or figure.text.endswith("倍"))  # "2022年的1.25倍"


def _period_of(figure: Figure, sentence: Sentence) -> tuple[int, str] | None:
    """The period, and its place, that a figure is of: what follows it at once ("120 in 2022"), else
    the last one before it in its clause ("In 2022, revenue was 120"); None where that is open."""
    for place, column in sentence.periods:
        if place >= figure.end and _AT_ONCE.fullmatch(sentence.text, figure.end, place):
            return place, column
    before = [(place, column) for place, column in sentence.periods if place < figure.start]
    if before:
        place, column = before[-1]
        between = sentence.text[place + len(column) : figure.start]
        if not _NEW_CLAUSE.search(between.lstrip(", )")):
            return place, column
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
