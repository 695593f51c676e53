"""Randomness of a sample from what it is."""

from __future__ import annotations

from rl.seeds import is_thinking, sample_seeds


def test_seeds_depend_on_run_task_visit_and_index_alone() -> None:
    seeds = sample_seeds(17, "task/1", 0, 4)
    assert seeds == sample_seeds(17, "task/1", 0, 4)
    assert seeds[:2] == sample_seeds(17, "task/1", 0, 2), "not on the size of the group"
    others = [sample_seeds(18, "task/1", 0, 4), sample_seeds(17, "task/2", 0, 4)]
    others.append(sample_seeds(17, "task/1", 1, 4))
    everything = [seed for group in (seeds, *others) for seed in group]
    assert len(set(everything)) == 16
    assert all(0 <= seed < 2**62 for seed in everything), "engines take signed 64-bit seeds"


def test_a_share_of_the_visits_is_in_thinking_mode() -> None:
    def share(asked: float) -> float:
        return sum(is_thinking(17, f"task/{n}", 0, asked) for n in range(2000)) / 2000

    assert share(0.0) == 0.0
    assert share(1.0) == 1.0
    assert abs(share(0.3) - 0.3) < 0.04


def test_the_mode_of_a_visit_does_not_follow_from_its_seeds_or_other_visits() -> None:
    modes = [[is_thinking(17, f"task/{n}", visit, 0.5) for n in range(200)] for visit in (0, 1)]
    agree = sum(a == b for a, b in zip(*modes, strict=True)) / 200
    assert 0.35 < agree < 0.65
