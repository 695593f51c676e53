"""The frame of the benchmarks, and the parts of them that are more than a stopwatch."""

from __future__ import annotations

import asyncio
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import __main__ as frame
from benchmarks import curriculum_efficiency, loop_vs_trl, quickstart
from benchmarks.figures import Bound, Figures, meets
from benchmarks.loop_workload import (
    FIXED,
    FIXED_TOKENS,
    GROUP_SIZE,
    HEAVY_TAILED,
    MAX_TOKENS,
    NUM_PROMPTS,
    NUM_SAMPLES,
    RolloutsByLength,
    Turn,
    digit_share,
)
from envs.types import Message, Task
from rollout.types import Group, RolloutRequest, Sampling, StopReason, Trajectory


@pytest.mark.parametrize(
    ("bound", "figure", "holds"),
    [
        (Bound(">=", 1.2), 1.2, True),
        (Bound(">=", 1.2), 1.19, False),
        (Bound("<=", 10), 10, True),
        (Bound("<=", 10), 10.1, False),
        (Bound("<", 1e-4), 1e-4, False),
        (Bound("<", 1e-4), 9e-5, True),
        (Bound("<", 1e-4), math.nan, False),
        (Bound(">=", 0), math.nan, False),
        (Bound(">=", 0), None, False),
    ],
)
def test_bounds(bound: Bound, figure: float | None, holds: bool) -> None:
    assert bound.holds(figure) is holds


def test_a_figure_that_is_missing_misses_its_target() -> None:
    assert not meets({"other": 5.0}, {"speed": Bound(">=", 1)})


@pytest.mark.parametrize("name", frame.NAMES)
def test_every_benchmark_is_listed_by_its_first_word(name: str) -> None:
    lines = [line for line in frame.listing() if line.split()[0] == name]
    assert len(lines) == 1
    assert all(str(bound) in lines[0] for bound in frame.load(name).TARGET.values())


def fake_benchmark(monkeypatch: pytest.MonkeyPatch, speed: float) -> None:
    def run(rounds: int = 3) -> Figures:
        """Measures nothing."""
        print("noise of a library")
        return {"speed": speed, "rounds": float(rounds), "note": "x"}

    module = SimpleNamespace(TARGET={"speed": Bound(">=", 1.0)}, run=run)
    monkeypatch.setattr(frame, "load", lambda name: module)


@pytest.mark.parametrize(("speed", "code"), [(2.0, 0), (0.5, 1)])
def test_json_is_one_object_and_noise_goes_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], speed: float, code: int
) -> None:
    fake_benchmark(monkeypatch, speed)
    assert frame.main(["packing", "--json", "--rounds", "7"]) == code
    out, err = capfd.readouterr()
    assert json.loads(out) == {
        "name": "packing",
        "figures": {"speed": speed, "rounds": 7.0, "note": "x"},
        "target": {"speed": ">= 1"},
        "ok": code == 0,
    }
    assert "noise" in err


def test_the_table_shows_figures_with_their_targets(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_benchmark(monkeypatch, 2.0)
    assert frame.main(["packing"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "packing: ok"
    assert lines[1].split() == ["speed", "2", ">=", "1"]


def test_an_unknown_option_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_benchmark(monkeypatch, 2.0)
    with pytest.raises(SystemExit):
        frame.main(["packing", "--sheeds", "1"])


def test_lengths_are_the_same_on_both_sides_and_differ_from_turn_to_turn() -> None:
    assert (Turn(FIXED, 3).draw() == FIXED_TOKENS).all()
    drawn = Turn(HEAVY_TAILED, 3).draw()
    assert drawn.shape == (NUM_SAMPLES,)
    assert 1 <= drawn.min() < drawn.max() <= MAX_TOKENS
    np.testing.assert_array_equal(drawn, Turn(HEAVY_TAILED, 3).draw())
    assert (drawn != Turn(HEAVY_TAILED, 4).draw()).any()
    assert np.median(drawn) < drawn.mean(), "a long tail lifts the mean over the median"


def test_a_turn_survives_the_way_to_a_side() -> None:
    turn = Turn(HEAVY_TAILED, 9)
    assert Turn(**json.loads(turn.as_line())) == turn


@pytest.mark.parametrize(("text", "share"), [("12ab", 0.5), ("", 0.0), ("7", 1.0)])
def test_digit_share(text: str, share: float) -> None:
    assert digit_share(text) == share


class RecordingRollouts:
    def __init__(self) -> None:
        self.requests: list[RolloutRequest] = []

    async def run(self, request: RolloutRequest) -> Group:
        self.requests.append(request)
        trajectories = tuple(
            Trajectory(request.task, i, (), (), StopReason.LENGTH, info={"seed": seed})
            for i, seed in enumerate(request.seeds)
        )
        return Group(request.group_id, request.task, trajectories)


TASK = Task("finance/train/0/x/0", "finance", (Message("user", "2 + 3?"),), "5")
SEEDS = tuple(range(100, 100 + GROUP_SIZE))


@pytest.mark.parametrize(("lengths", "requests"), [(FIXED, 1), (HEAVY_TAILED, GROUP_SIZE)])
@pytest.mark.parametrize("group_id", [2, 2 + NUM_PROMPTS])
def test_every_sample_gets_its_own_limit(lengths: str, requests: int, group_id: int) -> None:
    inner = RecordingRollouts()
    turn = Turn(lengths, 5)
    request = RolloutRequest(group_id, TASK, SEEDS, True, Sampling(1.0, 10))
    group = asyncio.run(RolloutsByLength(inner, turn).run(request))
    assert [t.index for t in group.trajectories] == list(range(GROUP_SIZE))
    assert [t.info["seed"] for t in group.trajectories] == list(SEEDS)
    assert len(inner.requests) == requests
    limits = {seed: r.sampling.max_tokens for r in inner.requests for seed in r.seeds}
    drawn = turn.draw()[2 * GROUP_SIZE : 3 * GROUP_SIZE].tolist()
    assert [limits[seed] for seed in SEEDS] == drawn


def test_phases_are_medians_and_the_rest_is_what_they_leave() -> None:
    side = loop_vs_trl.Side(
        process=None,  # type: ignore[arg-type]
        seconds=[
            {"generate": 1.0, "train": 2.0, "step": 3.5},
            {"generate": 1.2, "train": 2.0, "step": 3.3},
            {"generate": 9.0, "train": 2.2, "step": 12.0},
        ],
    )
    figures = loop_vs_trl.phases(side)
    assert figures == pytest.approx({"generate": 1.2, "train": 2.0, "step": 3.5, "rest": 0.5})


def test_the_quickstart_takes_its_gains_from_the_stages() -> None:
    accuracy = {
        "sft": {"finance": 0.2, "division": 0.3, "price": 0.3, "general": 0.5},
        "reasoning": {"finance": 0.7, "division": 0.2, "price": 0.3, "general": 0.5},
        "agentic": {"finance": 0.7, "division": 0.8, "price": 0.5, "general": 0.5},
        "general": {"finance": 0.72, "division": 0.78, "price": 0.5, "general": 0.7},
    }
    stages = {
        stage: {"by_label": {"set": {name: {"pass_at_1": p} for name, p in by_set.items()}}}
        for stage, by_set in accuracy.items()
    }
    measured = {"peak_memory_gb": 4.0, "controller_overhead": 0.05, "max_logprob_difference": 1e-5}
    figures = quickstart.figures_of({**measured, "stages": stages})
    assert figures["reasoning_gain"] == pytest.approx(50)
    assert figures["tools_gain"] == pytest.approx(40)
    assert figures["mixed_gain"] == pytest.approx(20)
    assert figures["general_gain"] == pytest.approx(20)
    assert figures["kept_by_general"] == pytest.approx(-2)
    assert figures["agentic/price"] == 50


def test_the_curriculum_is_held_to_its_mean_over_seeds() -> None:
    def arm(share: list[float] | None) -> dict[str, object]:
        return {
            "token_share": share,
            "arrival": share,
            "final_accuracy": [0.6, 0.5, 0.7],
            "gradient_share": [0.9, 0.9, 0.9],
            "token_shares": [0.5, 0.6] if share else [0.5, None],
        }

    for share, ok in (([0.55, 0.4, 0.7], True), ([0.61, 0.6, 0.62], False), (None, False)):
        report = {"arms": {"pass_rate": arm(share)}, "profile_tokens": {"pass_rate": 900}}
        figures = curriculum_efficiency.figures_of(report)
        assert meets(figures, curriculum_efficiency.TARGET) is ok
        assert figures["pass_rate/token_share"] == (share[0] if share else None)
        assert figures["pass_rate/profile_tokens"] == 900
        assert len([name for name in figures if "of_seed" in name]) == 2
