"""Publishing: an engine that does not hold the learner's weights is found out and named."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from benchmarks.virtual_time import simulate
from configs.errors import FaultBudgetSpent
from rl.publish import SharedMemoryTransfer, WeightPublisher, largest_difference
from rollout.types import FloatArray, IntArray

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
    dies: bool = False
    serves: int | None = None

    async def load_weights(self, directory: Path, version: int) -> None:
        if self.dies:
            raise ConnectionError(f"{self.name} is gone")
        self.versions.append(version)
        if not self.stuck:
            self.weights = float((directory / "weights").read_text())

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        first, second = scores(sequences, self.weights)
        return [first, second + self.noise]


class AllOrNothing(list[Engine]):
    """Engines that nothing can replace, as in one process."""

    def ready(self) -> list[Engine]:
        return self

    def waits(self, engine: Engine) -> bool:
        return False

    def synced(self, engine: Engine, version: int) -> None:
        engine.serves = version

    def failed(self, engine: Engine, error: Exception) -> None:
        raise error

    async def available(self) -> None:
        raise AssertionError("one serves, or an error was raised")


class Replaceable(AllOrNothing):
    """Engines that are given up one by one; `spare` takes over when all are gone."""

    spare: Engine | None = None
    publisher: WeightPublisher

    def waits(self, engine: Engine) -> bool:
        return engine.serves is None

    def failed(self, engine: Engine, error: Exception) -> None:
        self.remove(engine)
        engine.serves = None

    async def available(self) -> None:
        assert self.spare is not None
        await self.publisher.join(self.spare)


def publisher(
    folder: Path,
    *engines: Engine,
    learner: Learner | None = None,
    limit: float = 1e-4,
    fleet: AllOrNothing | None = None,
) -> WeightPublisher:
    source = learner or Learner()
    fleet = AllOrNothing(engines) if fleet is None else fleet
    transfer = SharedMemoryTransfer(folder)
    return WeightPublisher(fleet, lambda: source, transfer, PROBES, limit)


def test_all_engines_serve_the_new_version_and_only_its_files_stay(tmp_path: Path) -> None:
    engines = [Engine("worker 0"), Engine("worker 1", noise=np.full(3, 2e-5, np.float32))]
    learner = Learner()
    publish = publisher(tmp_path, *engines, learner=learner)
    for version in (0, 1, 2):
        learner.weights = float(version)
        report = simulate(publish.publish(version))
        assert [engine.weights for engine in engines] == [version, version]
        assert [engine.serves for engine in engines] == [version, version]
        assert [left.name for left in tmp_path.iterdir()] == [f"v{version}"]
        assert report.max_logprob_difference == pytest.approx(2e-5, abs=1e-6)
    assert engines[0].versions == [0, 1, 2]


def test_an_engine_that_fails_does_not_hold_up_the_others(tmp_path: Path) -> None:
    dead, stuck, good = Engine("dead", dies=True), Engine("stuck", stuck=True), Engine("good")
    fleet = Replaceable([dead, stuck, good])
    report = simulate(publisher(tmp_path, fleet=fleet).publish(3))
    assert fleet == [good]
    assert (good.serves, dead.serves, stuck.serves) == (3, None, None)
    assert report.max_logprob_difference == 0


def test_one_that_starts_between_two_publishes_gets_what_the_others_serve(tmp_path: Path) -> None:
    fleet, joiner = Replaceable([Engine("first")]), Engine("joiner")
    publish = publisher(tmp_path, fleet=fleet, learner=(learner := Learner(5.0)))
    simulate(publish.join(joiner))
    assert joiner.versions == [], "nothing is published yet"
    simulate(publish.publish(5))
    learner.weights = 6.0  # has trained on, and published nothing
    for _ in range(2):
        simulate(publish.join(joiner))
    assert (joiner.weights, joiner.versions, joiner.serves) == (5.0, [5], 5)


def test_a_joiner_with_the_wrong_weights_does_not_serve(tmp_path: Path) -> None:
    fleet, joiner = Replaceable([Engine("first")]), Engine("joiner", stuck=True)
    publish = publisher(tmp_path, fleet=fleet)
    simulate(publish.publish(0))
    fleet.append(joiner)
    simulate(publish.join(joiner))
    assert joiner.serves is None
    assert joiner not in fleet


def test_when_all_are_lost_the_next_one_to_join_verifies_the_publish(tmp_path: Path) -> None:
    fleet = Replaceable([Engine("a", dies=True), Engine("b", dies=True)])
    fleet.spare = Engine("spare", noise=np.full(3, 3e-5, np.float32))
    publish = fleet.publisher = publisher(tmp_path, fleet=fleet)
    report = simulate(publish.publish(1))
    assert fleet.spare.serves == 1
    assert report.max_logprob_difference == pytest.approx(3e-5, abs=1e-6)


def test_what_no_engine_agrees_with_ends_the_run(tmp_path: Path) -> None:
    fleet = Replaceable([Engine("a", stuck=True), Engine("b", stuck=True)])
    with pytest.raises(FaultBudgetSpent, match="a does not hold weights version 1"):
        simulate(publisher(tmp_path, fleet=fleet).publish(1))


def test_weights_that_are_no_numbers_stay_where_they_are(tmp_path: Path) -> None:
    engine, learner = Engine("worker 0"), Learner(1.0)
    publish = publisher(tmp_path, engine, learner=learner)
    simulate(publish.publish(1))
    learner.weights = float("nan")
    with pytest.raises(FaultBudgetSpent, match="not finite: version 2 was not published"):
        simulate(publish.publish(2))
    assert (engine.weights, engine.serves) == (1.0, 1)


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
