"""What a step reports, against values worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.schema import StageConfig
from rl.batching import rl_batch
from rl.metrics import PublishReport, StepTimes, rl_metrics
from rl.pruning import Judged
from rl.types import StepResult
from rollout.types import Group, Score, StopReason
from tests.fakes import numbered_task, scored_group, trajectory

RESULT = StepResult(0.5, 1.5, 40, 3, 1024, 1e-4, {"policy/mismatch_kl": 0.01, "policy/entropy": 2})
TIMES = StepTimes(begun=100.0, collected_at=110.0, trained_at=113.0)


def metrics(seen: list[Group], trained: list[Group], **given: Any) -> dict[str, float]:
    return judged_metrics(
        [Judged(g, "" if any(g is t for t in trained) else "all_wrong") for g in seen], **given
    )


def judged_metrics(judged: list[Judged], **given: Any) -> dict[str, float]:
    values = {"result": RESULT, "published": PublishReport(2e-5, 0.25), "policy_version": 0}
    stage = StageConfig(max_staleness=given.pop("max_staleness", 0))
    kept = [item.group for item in judged if not item.reason]
    batch = rl_batch(kept, stage, 0) if kept else None
    return rl_metrics(stage, judged, batch, times=TIMES, **{**values, **given})


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


def test_what_was_dropped_is_counted_in_groups_tokens_and_seconds() -> None:
    """Samples of 3 tokens; two fates share the second in which both are under way."""
    kept = scored_group([0.0, 1.0])
    kept = timed(kept, (101, 103), (101, 103))
    wrong = timed(scored_group([0.0, 0.0, 0.0]), (102, 106), (102, 103), (90, 95))
    right = timed(scored_group([1.0, 1.0]), (107, 108), (107, 108))
    values = judged_metrics(
        [Judged(kept), Judged(wrong, "all_wrong"), Judged(right, "all_correct")]
    )
    assert (values["group/dropped/all_wrong"], values["group/dropped/all_correct"]) == (1, 1)
    assert (values["tokens/dropped/all_wrong"], values["tokens/dropped/all_correct"]) == (9, 6)
    assert values["time/dropped/all_wrong"] == pytest.approx(0.5 + 3)
    assert values["time/dropped/all_correct"] == pytest.approx(1)
    assert values["time/generate"] == pytest.approx(1 + 1 + 3 + 1)
    assert values["tokens/gradient"] == 6
    assert values["tokens/gradient_share"] == pytest.approx(6 / 21)
    assert not [name for name in metrics([kept], [kept]) if "dropped" in name]


def timed(group: Group, *spans: tuple[float, float]) -> Group:
    samples = [
        replace(t, info={"started": start, "ended": end})
        for t, (start, end) in zip(group.trajectories, spans, strict=True)
    ]
    return replace(group, trajectories=tuple(samples))


def test_trained_tokens_without_a_gradient_or_a_verdict_are_told_apart() -> None:
    equal, mixed = scored_group([1.0, 1.0]), scored_group([1.0, 0.0, None, None])
    values = judged_metrics([Judged(equal), Judged(mixed)])
    assert values["tokens/generated"] == 6 + 12
    assert values["tokens/gradient"] == 6, "equal rewards move nothing, trained or not"
    assert values["tokens/no_verdict"] == 6


@given(
    fates=st.lists(
        st.tuples(
            st.sampled_from(["", "all_wrong", "error"]),
            st.lists(st.tuples(st.floats(95, 112), st.floats(0, 20)), min_size=1, max_size=4),
        ),
        max_size=6,
    )
)
def test_the_seconds_of_all_fates_are_those_of_generation(
    fates: list[tuple[str, list[tuple[float, float]]]],
) -> None:
    judged = [
        Judged(generated(*((start, start + length) for start, length in spans)), reason)
        for reason, spans in fates
    ]
    values = judged_metrics(judged)
    alone = judged_metrics([replace(item, reason="error") for item in judged])
    wasted = sum(value for name, value in values.items() if name.startswith("time/dropped/"))
    assert 0 <= wasted <= values["time/generate"] + 1e-9
    assert alone["time/generate"] == pytest.approx(values["time/generate"], abs=1e-9)
    assert alone.get("time/dropped/error", 0.0) == pytest.approx(alone["time/generate"])
