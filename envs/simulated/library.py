"""The documents of the retrieval tasks: annual reports, definitions, and a search over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import bm25s

from envs.draws import Draws
from envs.simulated.statements import MONEY, statements

PAGE_CHARS = 1500
MAX_QUERY_CHARS = 200
MAX_RESULTS = 10

HOUSE_RATIOS = (
    *("core margin", "cover ratio", "self-funding rate", "retention index"),
    *("burden ratio", "liquidity cover", "thrift index", "yield on means"),
)
"""Ratios whose definition is each library's own: they must be looked up."""

PARTS = ("net income", "income tax", "profit before tax", "cash", "borrowings", "depreciation")
WHOLES = ("total income", "total assets", "total expenses", "total liabilities and equity")

NOTES = {
    "Net interest margin": "interest income less interest expense, over average earning assets",
    "Combined ratio": "claims and operating expenses of an insurer, over premiums earned",
    "Expense ratio of a fund": "what a fund spends in a year, over its average net assets",
    "Return on equity": "net income, over total equity at the end of the year",
    "Leverage": "total assets, over total equity",
    "Payout ratio": "dividends paid, over net income",
    "Earnings per share": "net income less preferred dividends, over shares outstanding",
    "Compound annual growth rate": "the yearly rate that turns the first value into the last",
    "Tax rate": "income tax, over profit before tax",
    "Basis point": "one hundredth of a percentage point",
}


@dataclass(frozen=True, slots=True)
class Document:
    """A text with an id such as "r0012" (a report) or "k03" (a note)."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class HouseRatio:
    """(`one` sign `other`) / `whole`, in percent."""

    name: str
    one: str
    sign: str
    other: str
    whole: str


@dataclass(frozen=True)
class Library:
    """All documents of a split and seed by id. `search` and `read` are tools."""

    documents: Mapping[str, Document]
    index: bm25s.BM25

    def search(self, query: str, results: int = 3) -> str:
        """Find annual reports and notes by words. Gives id and title, best first."""
        if len(query) > MAX_QUERY_CHARS:
            raise ValueError(f"a query has at most {MAX_QUERY_CHARS} characters")
        if not 1 <= results <= MAX_RESULTS:
            raise ValueError(f"ask for 1 to {MAX_RESULTS} results")
        ids, scores = self.index.retrieve(
            _tokens([query]), k=results, corpus=list(self.documents), show_progress=False
        )
        found = [
            f"{document}: {self.documents[document].title}"
            for document, score in zip(ids[0], scores[0], strict=True)
            if score > 0
        ]
        return "\n".join(found) or "nothing found"

    def read(self, document: str, page: int = 1) -> str:
        """Read a document by its id, page by page."""
        if document not in self.documents:
            raise ValueError(f"no document {document[:20]!r}; search gives ids, such as r0001")
        text = self.documents[document].text
        pages = -(-len(text) // PAGE_CHARS)
        if not 1 <= page <= pages:
            raise ValueError(f"{document} has pages 1 to {pages}")
        shown = text[(page - 1) * PAGE_CHARS : page * PAGE_CHARS]
        return shown if pages == 1 else f"{shown}\n[page {page} of {pages}]"


def _tokens(texts: list[str]) -> list[list[str]]:
    tokens: list[list[str]] = bm25s.tokenize(
        texts, stopwords="en", return_ids=False, show_progress=False
    )
    return tokens


def report_id(split: str, seed: int, company: str, year: int) -> str:
    return _report_ids(split, seed)[company, year]


@cache
def _report_ids(split: str, seed: int) -> Mapping[tuple[str, int], str]:
    world = statements(split, seed)
    reports = [(company, year) for company in world.companies for year in world.years[company]]
    return {report: f"r{number:04}" for number, report in enumerate(reports)}


@cache
def house_ratios(split: str, seed: int) -> tuple[HouseRatio, ...]:
    """What the ratios of `HOUSE_RATIOS` mean in this library."""
    made = []
    for name in HOUSE_RATIOS:
        draws = Draws("house ratio", split, seed, name)
        one, other = draws.choice(PARTS), draws.choice(PARTS)
        while other == one:
            other = draws.choice(PARTS)
        made.append(HouseRatio(name, one, draws.choice("+-"), other, draws.choice(WHOLES)))
    return tuple(made)


@cache
def library(split: str, seed: int) -> Library:
    """The documents of a split and seed, some 570."""
    documents = [*_reports(split, seed), *_notes(split, seed)]
    index = bm25s.BM25()
    texts = [f"{document.title} {document.title} {document.text}" for document in documents]
    index.index(_tokens(texts), show_progress=False)
    return Library({document.id: document for document in documents}, index)


def _reports(split: str, seed: int) -> list[Document]:
    world = statements(split, seed)
    documents = []
    for (company, year), name in _report_ids(split, seed).items():
        draws = Draws("report", split, seed, company, year)
        figures = [f"{item} {world.figures[item, year][company]}" for item in world.items[company]]
        third = len(figures) // 3
        parts = [figures[:third], figures[third : 2 * third], figures[2 * third :]]
        opening = draws.choice(("Report of the board.", "To our owners.", "The year in review."))
        text = f"{opening} Amounts are in {MONEY}. " + " ".join(
            f"{heading}: {'; '.join(part)}."
            for heading, part in zip(("Results", "Position", "Further"), parts, strict=True)
        )
        documents.append(Document(name, f"Annual report {year} of {company}", text))
    return documents


def _notes(split: str, seed: int) -> list[Document]:
    notes = [(title, f"{title} is {meaning}.") for title, meaning in NOTES.items()]
    for ratio in house_ratios(split, seed):
        sign = "plus" if ratio.sign == "+" else "less"
        text = (
            f"In this house, {ratio.name} is {ratio.one} {sign} {ratio.other}, as a percentage of "
            f"{ratio.whole}."
        )
        notes.append((f"Definition of {ratio.name}", text))
    return [Document(f"k{n:02}", title, text) for n, (title, text) in enumerate(notes)]
