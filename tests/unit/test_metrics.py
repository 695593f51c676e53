"""What a step reports, against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from configs.schema import StageConfig
from rl.metrics import PublishReport, StepTimes, rl_metrics
from rl.types import StepResult
from rollout.types import Group, Score, StopReason
from tests.fakes import numbered_task, scored_group, trajectory

RESULT = StepResult(0.5, 1.5, 40, 3, 1024, 1e-4, {"policy/mismatch_kl": 0.01, "policy/entropy": 2})
TIMES = StepTimes(begun=100.0, collected_at=110.0, trained_at=113.0)


def metrics(seen: list[Group], trained: list[Group], **given: Any) -> dict[str, float]:
    values = {"result": RESULT, "published": PublishReport(2e-5, 0.25), "policy_version": 0}
    stage = StageConfig(max_staleness=given.pop("max_staleness", 0))
    return rl_metrics(stage, seen, trained, times=TIMES, **{**values, **given})


def generated(*spans: tuple[float, float]) -> Group:
    samples = [
        trajectory(i, 0.0, info={"started": start, "ended": end})
        for i, (start, end) in enumerate(spans)
    ]
    return Group(0, numbered_task("task/0"), tuple(samples))


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([(101, 104), (102, 103)], 3.0),  # one within the other
        ([(101, 103), (102, 106), (108, 109)], 6.0),  # overlapping, then a gap
        ([(90, 95)], 0.0),  # before this step
        ([(90, 102), (109, 130)], 3.0),  # only what lies within the collecting
        ([], 0.0),
    ],
)
def test_generation_time_is_the_union_of_the_samples_times(
    spans: list[tuple[float, float]], seconds: float
) -> None:
    assert metrics([generated(*spans)], [])["time/generate"] == pytest.approx(seconds)


def test_rewards_are_over_scored_samples_of_all_groups_that_were_seen() -> None:
    pruned, kept = (
        scored_group([1.0, 1.0]),
        scored_group([0.5, 0.0, None]),
    )
    values = metrics([pruned, kept], [kept])
    assert values["reward/mean"] == pytest.approx(2.5 / 4)
    assert values["reward/accuracy"] == pytest.approx(2 / 4)  # half a score is not right
    assert values["group/trained"] == 1


def test_terms_are_means_over_the_samples_that_have_them() -> None:
    first = trajectory(0, score=Score(1.0, {"answer": 1.0, "format": 0.5}))
    second = trajectory(1, score=Score(0.0, {"answer": 0.0}))
    values = metrics([Group(0, first.task, (first, second))], [])
    assert (values["reward/answer"], values["reward/format"]) == (0.5, 0.5)


def test_lengths_by_mode_and_by_fate() -> None:
    long = trajectory(0, generated=range(10), stop_reason=StopReason.LENGTH)
    thinking = Group(0, long.task, (long,), thinking=True)
    plain = scored_group([0.0, 1.0])  # 3 tokens each
    plain = replace(plain, thinking=False)
    values = metrics([thinking, plain], [plain])
    assert values["tokens/generated"] == 16
    assert values["length/mean"] == pytest.approx(16 / 3)
    assert (values["length/trained"], values["length/thinking"]) == (3, 10)
    assert values["length/non_thinking"] == 3
    assert values["length/truncated"] == pytest.approx(1 / 3)


def test_ages_are_those_of_the_trained_groups() -> None:
    groups = [scored_group([0.0, 1.0], version=v) for v in (5, 6, 7)]
    values = metrics(groups, groups[1:], policy_version=7, max_staleness=1)
    assert (values["staleness/max"], values["staleness/mean"]) == (1, 0.5)
    with pytest.raises(AssertionError, match="trained at age 2"):
        metrics(groups, groups, policy_version=7, max_staleness=1)


def test_learner_and_publisher_are_reported_where_there_was_something_to_learn() -> None:
    values = metrics([scored_group([0.0, 1.0])], [scored_group([0.0, 1.0])])
    assert (values["mismatch_kl"], values["policy/entropy"]) == (0.01, 2)
    assert (values["loss/mean"], values["tokens/trained"]) == (0.5, 40)
    assert (values["time/publish"], values["time/wait"]) == (0.25, 10.0)
    assert "policy/mismatch_kl" in RESULT.metrics, "the result itself is left alone"
    empty = metrics([], [], result=None, published=None)
    assert {empty[name] for name in ("group/trained", "tokens/trained", "time/train")} == {0.0}
    assert not {"loss/mean", "mismatch_kl", "staleness/max", "reward/mean"} & empty.keys()
