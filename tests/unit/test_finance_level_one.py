"""Level 1: what the quickstart trains on. Distinct, disjoint, and the same for ever."""

from __future__ import annotations

import re
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import ConfigError
from envs.draws import Draws, in_split, permute, split_of
from envs.finance import FinanceDemonstrations, FinanceTasks
from envs.finance.scenes import LAYOUTS
from envs.finance.short import FORMS, operand_pairs

NUMBERS = re.compile(r"(?:were|from|came to) (\d+).*(?:and|to) (\d+) in")


def operands_in(text: str) -> tuple[int, int]:
    match = NUMBERS.search(text)
    assert match is not None, text
    return int(match[1]), int(match[2])


@given(st.integers(1, 5000), st.integers(0, 2**64 - 1))
def test_permute_visits_every_number_once(size: int, key: int) -> None:
    assert sorted(permute(i, size, key) for i in range(size)) == list(range(size))


def test_permute_depends_on_the_key() -> None:
    orders = {tuple(permute(i, 1000, key) for i in range(10)) for key in range(50)}
    assert len(orders) == 50


def test_draws_are_even_and_repeatable() -> None:
    draws = Draws("a", 1)
    values = [draws.below(10) for _ in range(10_000)]
    assert min(np.bincount(values, minlength=10)) > 880
    again = Draws("a", 1)
    assert values == [again.below(10) for _ in range(10_000)]
    assert {Draws("a", 2).between(3, 5) for _ in range(9)} <= {3, 4, 5}


def test_the_split_of_arrays_is_the_split_of_their_pairs() -> None:
    low, high = np.array([1, 12, 384, 500]), np.array([999, 13, 512, 501])
    chosen = in_split("heldout", low, high)
    pairs = zip(low.tolist(), high.tolist(), strict=True)
    assert chosen.tolist() == [split_of(pair) == "heldout" for pair in pairs]


def test_the_split_knows_neither_order_nor_repetition() -> None:
    for a in range(1, 60):
        assert split_of((a, 77)) == split_of((77, a)) == split_of((77, a, 77))


def test_splits_partition_the_operand_pairs() -> None:
    train, held_out = (operand_pairs("three_digits", split) for split in ("train", "heldout"))
    pairs = np.concatenate([train, held_out]).astype(np.int64)
    assert len(pairs) == len(np.unique(pairs @ [1000, 1])) == 999 * 998
    assert 0.24 < len(held_out) / (999 * 998) < 0.26


def test_questions_never_share_operands_across_splits_whatever_the_seed() -> None:
    train = FinanceTasks("train", seed=3)
    held_out = FinanceTasks("heldout", seed=4)
    seen = {frozenset(operands_in(train[i].prompt[0].content)) for i in range(0, 10**7, 997)}
    asked = {frozenset(operands_in(held_out[i].prompt[0].content)) for i in range(0, 10**7, 997)}
    assert not seen & asked


def test_prompts_of_a_cell_are_distinct() -> None:
    tasks = FinanceTasks(families=["change"], scenes=["funds"], size=40_000)
    assert len({tasks[i].prompt[0].content for i in range(40_000)}) == 40_000


def test_every_frame_gives_another_text() -> None:
    """With `permute` one to one and the operands readable, this proves distinctness."""
    texts = [
        sentence.format(item="I", p="P", q="Q", a=1, b=2, name="N")
        for form in FORMS
        for sentence in form.sentences
    ]
    assert len(texts) == len(set(texts))
    items = [item for layout in LAYOUTS.values() for item in layout.items]
    assert len(items) == len(set(items))


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_ten_million_fit(split: str) -> None:
    tasks = FinanceTasks(split)
    assert len(tasks) == 10_000_000
    assert tasks[9_999_999].id.startswith(f"finance/{split}/0/")
    with pytest.raises(IndexError):
        tasks[10_000_000]


def test_answers_are_right() -> None:
    tasks = FinanceTasks("train", seed=5)
    for i in range(2000):
        task = tasks[i]
        a, b = operands_in(task.prompt[0].content)
        expected = b - a if task.labels["task"] == "change" else a + b
        assert task.answer == str(expected), task


def test_prompts_are_short() -> None:
    tasks = FinanceTasks("train")
    assert max(len(tasks[i].prompt[0].content.split()) for i in range(2000)) <= 16


def test_the_same_tasks_for_ever() -> None:
    tasks = FinanceTasks("train", seed=1)
    text = "\n".join(
        f"{tasks[i].id} {tasks[i].prompt[0].content} {tasks[i].answer}" for i in range(500)
    )
    assert blake2b(text.encode(), digest_size=8).hexdigest() == "bc9d371b19f2d59b"


def test_an_id_stands_for_one_task_in_every_selection() -> None:
    everything = {task.id: task for task in map(FinanceTasks("train").__getitem__, range(200))}
    funds = FinanceTasks("train", scenes=["funds"])
    shared = [funds[i] for i in range(40) if funds[i].id in everything]
    assert len(shared) == 40
    assert all(everything[task.id] == task for task in shared)


def test_fingerprints_tell_selections_apart() -> None:
    sets = [FinanceTasks(), FinanceTasks("heldout"), FinanceTasks(seed=1), FinanceTasks(size=99)]
    assert len({tasks.fingerprint for tasks in sets}) == 4
    assert FinanceTasks().fingerprint == FinanceTasks().fingerprint


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "trian"}, "did you mean train"),
        ({"scenes": ["bankng"]}, "did you mean banking"),
        ({"families": ["chang"]}, "did you mean change"),
        ({"levels": [9]}, "unknown level 9"),
        ({"size": 10**12}, "smaller size"),
        ({"size": 0}, "smaller size"),
    ],
)
def test_mistakes_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FinanceTasks(**arguments)  # type: ignore[arg-type]


def test_demonstrations_mix_modes_and_strategies() -> None:
    demonstrations = FinanceDemonstrations({"split": "train"}, thinking_share=0.5, step_share=0.4)
    sample = [demonstrations[i] for i in range(4000)]
    assert 0.37 < sum(d.strategy == "steps" for d in sample) / 4000 < 0.43
    assert 0.47 < sum(d.thinking for d in sample) / 4000 < 0.53
    for d in sample:
        box = f"\\boxed{{{d.task.answer}}}"
        assert d.reply.endswith(box)
        assert bool(d.reasoning) == (d.thinking and d.strategy == "steps")
        assert (d.reply == box) == (d.thinking or d.strategy == "straight")
    assert demonstrations[7] == FinanceDemonstrations({"split": "train"})[7]


def test_demonstrations_refuse_a_share_over_one() -> None:
    with pytest.raises(ConfigError, match="step_share"):
        FinanceDemonstrations({}, step_share=40)
