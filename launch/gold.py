"""The gold sets that come with the rubrics: generated, and held out from whatever is trained on.

A route asks for them with `gold: graded`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from configs.errors import ConfigError
from envs.draws import permute
from envs.finance.general import GradedComments
from envs.finance.graded import GRADED as ANSWERS
from envs.finance.graded import graded_answers
from envs.types import Message, Task
from rewards.calibration import GoldCase
from rewards.routing import judge_texts
from rewards.rubric import Rubric
from rollout.types import StopReason, Trajectory

GRADED = "graded"
TINY = "commentary_tiny"
TINY_CASES = 200
TINY_FORMS = {"commentary": TINY}
"""By rubric, the form of it that the tiny judge is trained on. It knows no other rubric."""
FORMS_FILE = "rubrics.json"


def forms_of(model: str) -> Mapping[str, str]:
    """By rubric, the form of it that the judge at `model` was trained on; empty for a judge that
    takes any rubric as it is."""
    if model == GRADED:
        return TINY_FORMS
    file = Path(model) / FORMS_FILE
    forms: Mapping[str, str] = json.loads(file.read_text()) if file.is_file() else {}
    return forms


def gold_set(rubric: Rubric, where: str = "gold") -> list[GoldCase]:
    """Graded answers for a rubric that is shipped.

    Raises:
        ConfigError: there are none for this one; the message names `where`.
    """
    if rubric.name == TINY:
        comments = GradedComments("heldout")
        places = (permute(number, len(comments), 1) for number in range(TINY_CASES))
        cases = [gold_case(comments, rubric, place) for place in places]
    elif rubric.name in ANSWERS:
        cases = [
            _case(rubric, answer.task, answer.reply, dict(answer.levels), answer.other)
            for answer in graded_answers(rubric.name)
        ]
    else:
        raise ConfigError(
            f"{where}: there is no generated gold set for the rubric {rubric.name}, only for "
            f"{', '.join((TINY, *ANSWERS))}; give a file of graded answers"
        )
    known = {name: set(levels) for name, levels in rubric.criteria.items()}
    if any(
        set(case.levels) != set(known) or any(v not in known[n] for n, v in case.levels.items())
        for case in cases
    ):
        raise ConfigError(
            f"{where}: the generated gold set is for the levels of the shipped rubric "
            f"{rubric.name}, which yours differ from; give a file of graded answers"
        )
    return cases


def gold_case(comments: GradedComments, rubric: Rubric, index: int) -> GoldCase:
    """Comment `index` and its grades, as the judge is shown it."""
    task, text, levels, _ = comments.graded(index)
    return _case(rubric, task, text, levels)


def _case(
    rubric: Rubric, task: Task, reply: str, levels: dict[str, str], other: str = ""
) -> GoldCase:
    messages = (*task.prompt, Message("assistant", reply))
    texts = judge_texts(rubric, Trajectory(task, 0, (), messages, StopReason.STOP))
    return GoldCase({**texts, "other": other} if rubric.pairwise else texts, levels)
