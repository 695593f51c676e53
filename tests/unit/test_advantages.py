import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import ConfigError
from rl.advantages import (
    batch_advantages,
    dr_grpo,
    grpo,
    normalize_batch,
    overlong_penalty,
    reinforce_pp,
    rloo,
)

GROUP_ESTIMATORS = (grpo, dr_grpo, rloo, reinforce_pp)
rewards_of_a_group = st.lists(st.floats(-10, 10), min_size=1, max_size=16)


def best_is_one(rewards: list[float]) -> list[float]:
    """A plug-in, as a user would write one."""
    return [float(r == max(rewards)) for r in rewards]


def test_grpo_by_hand() -> None:
    # mean 1/4, variance 3/16, std sqrt(3)/4
    expected = [3 / np.sqrt(3), *[-1 / np.sqrt(3)] * 3]
    np.testing.assert_allclose(grpo([1.0, 0.0, 0.0, 0.0]), expected, rtol=1e-12)


def test_dr_grpo_by_hand() -> None:
    assert dr_grpo([1.0, 0.0, 0.0, 0.0]) == [0.75, -0.25, -0.25, -0.25]


def test_rloo_is_the_mean_of_the_others() -> None:
    rewards = [0.3, 1.0, -0.5, 0.0, 0.9]
    expected = [r - np.mean(rewards[:i] + rewards[i + 1 :]) for i, r in enumerate(rewards)]
    np.testing.assert_allclose(rloo(rewards), expected, rtol=1e-12)


@settings(derandomize=True)
@given(rewards_of_a_group)
def test_a_group_adds_up_to_nothing(rewards: list[float]) -> None:
    for estimator in GROUP_ESTIMATORS:
        advantages = estimator(rewards)
        assert len(advantages) == len(rewards)
        assert sum(advantages) == pytest.approx(0.0, abs=1e-6)


@settings(derandomize=True)
@given(rewards_of_a_group)
def test_grpo_has_variance_one_or_is_zero(rewards: list[float]) -> None:
    assert np.std(grpo(rewards)) == pytest.approx(1.0) or not any(grpo(rewards))


@pytest.mark.parametrize("rewards", [[0.1] * 7, [1.0, 1.0], [0.5, 0.5 + 1e-9, 0.5 - 1e-9], [3.0]])
def test_equal_rewards_teach_nothing(rewards: list[float]) -> None:
    assert grpo(rewards) == [0.0] * len(rewards)
    for estimator in GROUP_ESTIMATORS:
        np.testing.assert_allclose(estimator(rewards), 0.0, atol=1e-8)


def test_reinforce_pp_divides_by_the_standard_deviation_of_the_batch() -> None:
    # Centred groups: [.5, -.5] and [3, -1, -1, -1]; variance (2 * .25 + 9 + 3) / 6.
    advantages = batch_advantages([[1.0, 0.0], [4.0, 0.0, 0.0, 0.0]], "reinforce_pp")
    std = np.sqrt(12.5 / 6)
    np.testing.assert_allclose(advantages[0], np.array([0.5, -0.5]) / std)
    np.testing.assert_allclose(advantages[1], np.array([3.0, -1.0, -1.0, -1.0]) / std)


def test_other_estimators_do_not_see_the_batch() -> None:
    groups = [[1.0, 0.0], [4.0, 0.0, 0.0, 0.0]]
    for name, estimator in (("grpo", grpo), ("dr_grpo", dr_grpo), ("rloo", rloo)):
        assert batch_advantages(groups, name) == [estimator(group) for group in groups]


def test_normalize_batch_of_equal_values_is_zero() -> None:
    assert normalize_batch([[0.0, 0.0], [0.0]]) == [[0.0, 0.0], [0.0]]
    assert normalize_batch([]) == []


def test_a_plug_in_is_an_import_path() -> None:
    name = "tests.unit.test_advantages:best_is_one"
    assert batch_advantages([[0.0, 2.0], [1.0]], name) == [[0.0, 1.0], [1.0]]


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match="rloo"):
        batch_advantages([[1.0]], "rlo")


@pytest.mark.parametrize(
    ("length", "penalty"),
    [(1, 0.0), (16384, 0.0), (17408, -0.25), (18432, -0.5), (20480, -1.0), (99999, -1.0)],
)
def test_overlong_penalty_with_the_numbers_of_the_paper(length: int, penalty: float) -> None:
    assert overlong_penalty(length, max_tokens=20480, buffer=4096) == penalty


def test_overlong_penalty_is_off_without_a_buffer() -> None:
    assert overlong_penalty(200, max_tokens=100, buffer=0) == 0.0


def test_torch_is_not_needed() -> None:
    code = "import sys, rl.advantages, rl.statistics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
