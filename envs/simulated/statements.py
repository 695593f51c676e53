"""Companies' statements as one table of 20,000 figures and more: the world of the SQL tasks."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from envs.draws import SPLITS, Draws, key_of, permute
from envs.finance.companies import AMOUNT, Layout, draw_company
from envs.finance.names import num_short_names, short_name
from envs.finance.scenes import LAYOUTS

COMPANIES_PER_SCENE = 32
MONEY = "$ millions"

SCHEMA = """
CREATE TABLE figures (company TEXT, scene TEXT, item TEXT, year INTEGER, value INTEGER);
CREATE INDEX by_company ON figures (company, item, year);
CREATE INDEX by_item ON figures (item, year);
"""


@dataclass(frozen=True, slots=True)
class Statements:
    """The figures of all companies: `figures[item, year][company]`, in `MONEY`.

    `items[company]` and `years[company]` say what there is of a company.
    """

    scenes: Mapping[str, str]  # company to scene
    items: Mapping[str, tuple[str, ...]]
    years: Mapping[str, tuple[int, ...]]
    figures: Mapping[tuple[str, int], Mapping[str, int]]

    @property
    def companies(self) -> list[str]:
        return list(self.scenes)


@cache
def statements(split: str, seed: int) -> Statements:
    """The world of a split and seed. No company of one split is one of the other."""
    scenes: dict[str, str] = {}
    items: dict[str, tuple[str, ...]] = {}
    years: dict[str, tuple[int, ...]] = {}
    figures: dict[tuple[str, int], dict[str, int]] = {}
    for scene, layout in LAYOUTS.items():
        for number in range(COMPANIES_PER_SCENE):
            name = _name(layout, split, seed, number)
            company = draw_company(layout, name, Draws("statements", split, seed, name))
            amounts = {
                company.said(key): values
                for key, values in company.values.items()
                if key in layout.rows and layout.rows[key].unit == AMOUNT and key != "shares"
            }
            scenes[name], items[name], years[name] = scene, tuple(amounts), company.years
            for item, values in amounts.items():
                for year, value in zip(company.years, values, strict=True):
                    figures.setdefault((item, year), {})[name] = value
    return Statements(scenes, items, years, figures)


def _name(layout: Layout, split: str, seed: int, number: int) -> str:
    """Company `number` of a scene: names are dealt to the splits in turn, whatever the seed."""
    each = num_short_names(layout.suffixes) // len(SPLITS)
    rank = permute(number, each, key_of("statements", seed, layout.scene))
    return short_name(rank * len(SPLITS) + SPLITS.index(split), layout.suffixes)


@cache
def sealed_database(split: str, seed: int) -> int:
    """The same as an SQLite file in memory that the kernel lets nobody write: its descriptor."""
    world = statements(split, seed)
    connection = sqlite3.connect(":memory:")
    connection.executescript(SCHEMA)
    connection.executemany(
        "INSERT INTO figures VALUES (?, ?, ?, ?, ?)",
        (
            (company, world.scenes[company], item, year, value)
            for (item, year), values in world.figures.items()
            for company, value in values.items()
        ),
    )
    connection.commit()
    connection.execute("ANALYZE")
    data = connection.serialize()
    connection.close()
    descriptor = os.memfd_create("statements", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(data)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
