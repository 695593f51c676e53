"""From groups and demonstrations to what the learner sees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from configs.schema import AlgorithmConfig, Schedule, StageConfig
from rl.batching import demonstration_sample, learning_rate, rl_batch, sample_of
from rollout.types import Group, Span, StopReason, Trajectory
from tests.fakes import numbered_task, scored_group, trajectory


def stage(**fields: object) -> StageConfig:
    return StageConfig(learning_rate=1.0, **fields)  # type: ignore[arg-type]


def test_the_rate_warms_up_from_above_zero_to_the_peak() -> None:
    rates = [learning_rate(stage(warmup_steps=4), step) for step in range(6)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])
    assert learning_rate(stage(warmup_steps=0), 0) == 1.0


@pytest.mark.parametrize("schedule", [Schedule.LINEAR, Schedule.COSINE])
def test_the_rate_decays_towards_its_floor(schedule: Schedule) -> None:
    config = stage(warmup_steps=2, steps=12, schedule=schedule, min_lr_ratio=0.2)
    rates = [learning_rate(config, step) for step in range(2, 13)]
    assert rates[0] == pytest.approx(1.0)
    assert rates[5] == pytest.approx(0.6)  # half way
    assert rates[10] == pytest.approx(0.2)
    assert rates == sorted(rates, reverse=True)


def test_only_generated_tokens_of_every_turn_are_trained() -> None:
    spans = (
        Span(np.array([1, 2], np.int32)),
        Span(np.array([3, 4], np.int32), np.array([-0.3, -0.4], np.float32), 5),
        Span(np.array([6, 7, 8], np.int32)),  # the environment's reply
        Span(np.array([9], np.int32), np.array([-0.9], np.float32), 6),
    )
    two_turns = Trajectory(numbered_task("task/0"), 0, spans, (), StopReason.STOP, num_turns=2)
    sample = sample_of(two_turns, advantage=-1.5)
    assert sample.token_ids.tolist() == [1, 2, 3, 4, 6, 7, 8, 9]
    trained = [False, False, True, True, False, False, False, True]
    assert sample.loss_mask.tolist() == trained
    expected = np.array([0, 0, -0.3, -0.4, 0, 0, 0, -0.9], np.float32)
    np.testing.assert_array_equal(sample.rollout_logprobs, expected)
    assert sample.advantages.tolist() == [-1.5 if t else 0.0 for t in trained]


def test_advantages_are_within_groups_and_faults_are_left_out() -> None:
    groups = [scored_group([1.0, None, 0.0]), scored_group([0.0, 0.0, 1.0], group_id=1)]
    config = stage(algorithm=AlgorithmConfig(advantage="dr_grpo"), max_tokens=9, temperature=0.7)
    batch = rl_batch(groups, config, step=3)
    given = [float(sample.advantages[-1]) for sample in batch.samples]
    assert given == pytest.approx([0.5, -0.5, -1 / 3, -1 / 3, 2 / 3])
    assert (batch.temperature, batch.max_tokens) == (0.7, 9)
    assert batch.learning_rate == learning_rate(config, 3)
    assert batch.algorithm is config.algorithm


def test_the_weight_of_a_task_multiplies_its_advantages() -> None:
    groups = [scored_group([1.0, 0.0]), scored_group([0.0, 1.0], group_id=1)]
    groups[1] = replace(groups[1], task=numbered_task("hard"))
    config = stage(algorithm=AlgorithmConfig(advantage="dr_grpo"))
    batch = rl_batch(groups, config, 0, lambda task: 3.0 if task.id == "hard" else 0.5)
    given = [float(sample.advantages[-1]) for sample in batch.samples]
    assert given == pytest.approx([0.25, -0.25, -1.5, 1.5])


def test_long_answers_lose_reward_only_where_the_algorithm_says_so() -> None:
    long, short = trajectory(0, 1.0, generated=range(10)), trajectory(1, 1.0, generated=range(2))
    group = Group(0, long.task, (long, short))
    plain = rl_batch([group], stage(max_tokens=10), 0)
    assert {float(s.advantages[-1]) for s in plain.samples} == {0.0}
    shaping = AlgorithmConfig(advantage="dr_grpo", overlong_share=0.5)
    shaped = rl_batch([group], stage(max_tokens=10, algorithm=shaping), 0)
    assert [float(s.advantages[-1]) for s in shaped.samples] == [-0.5, 0.5]  # rewards 0 and 1


def test_a_demonstration_trains_its_completion_with_its_weight() -> None:
    sample = demonstration_sample([np.array([1, 2], np.int32), np.array([3, 4, 5], np.int32)], 0.5)
    assert sample.token_ids.tolist() == [1, 2, 3, 4, 5]
    assert sample.loss_mask.tolist() == [False, False, True, True, True]
    assert sample.advantages.tolist() == [0.0, 0.0, 0.5, 0.5, 0.5]
    assert not sample.rollout_logprobs.any()
