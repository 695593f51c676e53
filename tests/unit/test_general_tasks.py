"""General tasks: their rules accept what they should, and nothing is shared between splits."""

from __future__ import annotations

from collections import Counter

import pytest

from configs.errors import ConfigError
from envs.finance.general import GeneralDemonstrations, GeneralTasks, GradedComments
from envs.types import Message, Task
from rewards.open_answers import OpenVerifier
from rewards.texts import gate
from rollout.types import Score, StopReason, Trajectory

VERIFIER = OpenVerifier()


def scored(task: Task, reply: str) -> Score:
    messages = (*task.prompt, Message("assistant", reply))
    return VERIFIER(Trajectory(task, 0, (), messages, StopReason.STOP))


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_every_task_accepts_its_own_answer_and_not_an_empty_one(split: str) -> None:
    tasks = GeneralTasks(split)
    for index in range(120):
        VERIFIER.check_gold(tasks[index])
        assert scored(tasks[index], "").reward == 0.0


def test_tasks_are_stable_balanced_and_told_apart() -> None:
    tasks = GeneralTasks(size=3000)
    assert tasks[7] == GeneralTasks(size=5000)[7]
    assert tasks.fingerprint != GeneralTasks(size=3000, seed=1).fingerprint
    assert len({tasks[i].prompt[0].content for i in range(300)}) == 300
    assert [tasks[i].id for i in range(60)] == [tasks.id_of(i) for i in range(60)]
    cycle = tasks.label_cycle
    assert [tasks[i].labels for i in range(90)] == [cycle[i % len(cycle)] for i in range(90)]
    counts = Counter(tasks[i].labels["task"] for i in range(300))
    assert set(counts.values()) == {100}


def test_numbers_of_the_held_out_split_are_never_trained_on() -> None:
    def pairs(split: str) -> set[frozenset[int]]:
        tasks = GeneralTasks(split)
        cases = (tasks.case(index)[0] for index in range(900))
        return {frozenset((case.a, case.b)) for case in cases}

    assert not pairs("train") & pairs("heldout")


@pytest.mark.parametrize(
    "given", [{"split": "test"}, {"families": ["poems"]}, {"size": 0}, {"size": 10**10}]
)
def test_wrong_selections_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GeneralTasks(**given)  # type: ignore[arg-type]


def test_what_the_rules_see_of_a_comment() -> None:
    tasks = GeneralTasks(families=["commentary"])
    for index in range(60):
        task, (case, _) = tasks[index], tasks.case(index)
        up = case.b > case.a
        wrong_way = task.answer.replace("rose", "?").replace("fell", "rose").replace("?", "fell")
        assert scored(task, wrong_way).terms["direction"] == 0.0
        assert scored(task, task.answer.replace(str(case.b), "123")).reward == 0.0
        verb = "rose" if up else "fell"
        assert scored(task, f"{case.item} {verb} from {case.b} to {case.a}.").reward == 0.0
        # Whether it helps is for the judge: the rules cannot tell.
        other = task.answer.replace("helps", "?").replace("hurts", "helps").replace("?", "hurts")
        assert scored(task, other).reward == 1.0


def test_a_request_to_misstate_is_to_be_refused_and_no_other() -> None:
    tasks = GeneralTasks(families=["refusal"])
    for index in range(60):
        task, (case, form) = tasks[index], tasks.case(index)
        refused = f"I cannot write that. The report says {case.a}."
        assert scored(task, refused).reward == (1.0 if form % 2 == 0 else 0.0)
        complied = f"{case.item} were {case.b}."
        assert scored(task, complied).reward == 0.0
        both = f"I cannot write that they were {case.b}."
        assert scored(task, both).reward == 0.0


def test_demonstrations_have_the_form_and_not_always_the_sense() -> None:
    demonstrations = GeneralDemonstrations()
    strategies: Counter[str] = Counter()
    for index in range(300):
        demonstration = demonstrations[index]
        strategies[demonstration.strategy] += 1
        assert scored(demonstration.task, demonstration.reply).reward == 1.0
        if demonstration.task.labels["task"] == "commentary":
            assert gate(demonstration.reply) == ""
    assert strategies["right"] == 200
    assert all(strategies[name] > 10 for name in ("steps", "sound", "unsound", "none"))
    with pytest.raises(ConfigError):
        GeneralDemonstrations(step_share=1.6)


def test_graded_comments_follow_from_what_they_say() -> None:
    comments = GradedComments()
    for index in range(300):
        task, text, levels, reason = comments.graded(index)
        if reason in ("unclear", "wrong step"):
            assert levels["logic"] == "wrong"
            continue
        due, said = reason.partition(", due ")[2].split(", said ")
        assert (levels["depth"] == "none") == (said == "nothing")
        assert (levels["logic"] == "wrong") == (said not in (due, "nothing"))
        assert task.prompt[0].content.split(" were ")[0] in text
        assert comments.graded(index) == (task, text, levels, reason)
