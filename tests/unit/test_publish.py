"""Publishing: an engine that does not hold the learner's weights is found out and named."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from configs.errors import FaultBudgetSpent
from rl.publish import SharedMemoryTransfer, WeightPublisher, largest_difference
from rollout.types import FloatArray, IntArray
from tests.fakes import simulate

PROBES = [np.array([3, 1, 4], np.int32), np.array([1, 5, 9, 2], np.int32)]


def scores(sequences: Sequence[IntArray], weights: float) -> list[FloatArray]:
    return [-weights * np.arange(1, len(ids), dtype=np.float32) for ids in sequences]


@dataclass
class Learner:
    weights: float = 0.0

    async def write_weights(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "weights").write_text(str(self.weights))

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        return scores(sequences, self.weights)


@dataclass
class Engine:
    name: str
    stuck: bool = False  # says that it loaded, and did not
    noise: FloatArray = field(default_factory=lambda: np.zeros(3, np.float32))  # on probe 1
    weights: float = -1.0
    versions: list[int] = field(default_factory=list)

    async def load_weights(self, directory: Path, version: int) -> None:
        self.versions.append(version)
        if not self.stuck:
            self.weights = float((directory / "weights").read_text())

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        first, second = scores(sequences, self.weights)
        return [first, second + self.noise]


def publisher(
    folder: Path, *engines: Engine, learner: Learner | None = None, limit: float = 1e-4
) -> WeightPublisher:
    learner = learner or Learner()
    transfer = SharedMemoryTransfer(engines, learner, folder)
    return WeightPublisher(engines, learner, transfer, PROBES, limit)


def test_all_engines_serve_the_new_version_and_no_file_stays_behind(tmp_path: Path) -> None:
    engines = [Engine("worker 0"), Engine("worker 1", noise=np.full(3, 2e-5, np.float32))]
    learner = Learner()
    publish = publisher(tmp_path, *engines, learner=learner)
    for version in (0, 1, 2):
        learner.weights = float(version)
        report = simulate(publish.publish(version))
        assert [engine.weights for engine in engines] == [version, version]
        assert list(tmp_path.iterdir()) == []
        assert report.max_logprob_difference == pytest.approx(2e-5, abs=1e-6)
    assert engines[0].versions == [0, 1, 2]


def test_a_stale_engine_is_refused_by_name_whatever_version_it_claims(tmp_path: Path) -> None:
    publish = publisher(tmp_path, Engine("worker 0"), Engine("worker 1", stuck=True))
    with pytest.raises(FaultBudgetSpent, match=r"worker 1 does not hold weights version 4.* by 3 "):
        simulate(publish.publish(4))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_nan_anywhere_is_refused(tmp_path: Path, place: int) -> None:
    noise = np.zeros(3, np.float32)
    noise[place] = np.nan
    publish = publisher(tmp_path, Engine("worker 0", noise=noise), Engine("worker 1"))
    with pytest.raises(FaultBudgetSpent, match=r"worker 0 .* by nan"):
        simulate(publish.publish(0))


def test_a_difference_at_the_limit_passes_and_one_over_it_does_not(tmp_path: Path) -> None:
    a = [np.zeros(2, np.float32), np.array([0.0, 1.0], np.float32)]
    b = [np.zeros(2, np.float32), np.array([0.0, 0.75], np.float32)]
    assert largest_difference(a, b) == 0.25
    for limit, refused in ((0.25, False), (0.24, True)):
        engine = Engine("worker 0", noise=np.array([0, 0.25, 0], np.float32))
        publish = publisher(tmp_path, engine, limit=limit)
        refusal = pytest.raises(FaultBudgetSpent) if refused else contextlib.nullcontext()
        with refusal:
            simulate(publish.publish(0))


@pytest.mark.parametrize("odd", [0, 1])
def test_the_largest_difference_is_nan_if_any_value_is(odd: int) -> None:
    a = [np.zeros(2, np.float32), np.ones(2, np.float32)]
    b = [array.copy() for array in a]
    b[odd][1] = np.nan
    assert np.isnan(largest_difference(a, b))
