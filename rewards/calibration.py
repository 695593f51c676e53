"""How far a judge can be trusted: its verdicts on answers whose grades are known."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from configs.errors import DataError
from rewards.judge import Judge, JudgeError
from rewards.rubric import Rubric

ACCEPT_AT = 0.5
"""A mean of the criteria from which on an answer counts as accepted."""


@dataclass(frozen=True, slots=True)
class GoldCase:
    """Texts as a judge is shown them, and the level that each criterion deserves."""

    texts: Mapping[str, str]
    levels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A judge on its gold set.

    `agreement` is the share of criteria with the right level, `kappa` the lowest of the criteria's
    Cohen's kappas (Cohen 1960), agreement beyond chance. `false_accept` is the share of the
    answers to be rejected that it accepts. `mean` is the mean value it gives, whose change is
    drift. All are over the `judged` of the `cases` that it gave a verdict on, None where there are
    none. `cause` is why others have none, most often.
    """

    cases: int
    judged: int
    agreement: float | None
    kappa: float | None
    false_accept: float | None
    mean: float | None
    cause: str = ""

    @property
    def is_known(self) -> bool:
        """Whether the figures mean anything: at least half of the cases have a verdict."""
        return 2 * self.judged >= self.cases > 0


NOT_ASKED = Calibration(0, 0, None, None, None, None)
"""Of a judge that no case came to."""


async def calibrate(judge: Judge, rubric: Rubric, cases: Sequence[GoldCase]) -> Calibration:
    """Have every case judged anew, past the cache."""
    causes: Counter[str] = Counter()

    async def one(case: GoldCase) -> Mapping[str, float] | None:
        try:
            return (await judge.verdict(rubric, case.texts, fresh=True)).terms
        except JudgeError as error:
            causes[str(error)] += 1
            return None

    # The first alone: after an outage it is the probe, which the others would not wait for.
    verdicts = [await one(cases[0]), *await asyncio.gather(*map(one, cases[1:]))]
    wanted = [
        {name: rubric.criteria[name][level] for name, level in case.levels.items()}
        for case in cases
    ]
    known = [(w, v) for w, v in zip(wanted, verdicts, strict=True) if v is not None]
    hits = [w[name] == v[name] for w, v in known for name in w]
    bad = [v for w, v in known if _mean(w) < ACCEPT_AT]
    return Calibration(
        cases=len(cases),
        judged=len(known),
        agreement=sum(hits) / len(hits) if hits else None,
        kappa=_lowest_kappa(rubric, known),
        false_accept=sum(_mean(v) >= ACCEPT_AT for v in bad) / len(bad) if bad else None,
        mean=sum(_mean(v) for _, v in known) / len(known) if known else None,
        cause=causes.most_common(1)[0][0] if causes else "",
    )


def cohens_kappa(pairs: Sequence[tuple[object, object]]) -> float | None:
    """Agreement beyond chance between two raters, each pair being their labels of one item.

    1 is perfect, 0 what chance gives; None where there is no item, or both always say the same one
    thing.
    """
    if not pairs:
        return None
    observed = sum(a == b for a, b in pairs) / len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[label] * second[label] for label in first) / len(pairs) ** 2
    return None if chance == 1.0 else (observed - chance) / (1.0 - chance)


def _lowest_kappa(
    rubric: Rubric, known: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]
) -> float | None:
    """The lowest of the criteria's: a judge is as good as what it is worst at."""
    kappas = [cohens_kappa([(w[name], v[name]) for w, v in known]) for name in rubric.criteria]
    found = [kappa for kappa in kappas if kappa is not None]
    return min(found) if found else None


def _mean(terms: Mapping[str, float]) -> float:
    return sum(terms.values()) / len(terms)


def read_gold(path: Path, rubric: Rubric) -> list[GoldCase]:
    """A gold set: JSON Lines of {"texts": {...}, "levels": {criterion: level}}.

    Raises:
        DataError: a line is none of that, or its levels are not the rubric's.
    """
    cases = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read the gold set {path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            texts, levels = dict(row["texts"]), dict(row["levels"])
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}:{number}: no gold case ({error}); mend the line") from None
        wrong = [n for n, known in rubric.criteria.items() if levels.get(n) not in known]
        if wrong or set(levels) != set(rubric.criteria):
            raise DataError(
                f"{path}:{number}: levels must be those of {', '.join(rubric.criteria)} in the "
                f"rubric {rubric.name}"
            )
        cases.append(GoldCase({str(k): str(v) for k, v in texts.items()}, levels))
    if not cases:
        raise DataError(f"the gold set {path} is empty")
    return cases
