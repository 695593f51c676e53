"""What a run trains with, as its stages see it: Ray (cluster.py), or one process (local.py)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from rewards.calibration import Calibration
from rl.controller import LearnerGroup
from rl.evaluate import Rollouts, Scorer
from rl.publish import Engines, Transfer, WeightSource
from rl.tracking import StepRecord


class Learners(LearnerGroup, WeightSource, Protocol):
    """All learner ranks as one."""

    async def begin_stage(self, reference: Path | None) -> None:
        """Forget the optimizer's moments; `reference` is the model of the KL term, if any."""
        ...

    async def load_reference(self, reference: Path | None) -> None: ...

    async def save(self, directory: Path) -> None: ...

    async def load(self, directory: Path) -> None: ...


class Rewards(Scorer, Protocol):
    """Scores groups, by rule and by a judge."""

    async def calibrate(self) -> Mapping[str, Calibration]:
        """The judge on its gold sets, by kind of task: of each that there is, also where it could
        not be asked."""
        ...


class Fleets(Protocol):
    """What a run trains with: Ray actors (cluster.py) or this very process (local.py)."""

    @property
    def rollouts(self) -> Rollouts: ...

    @property
    def rewards(self) -> Rewards: ...

    @property
    def learner(self) -> Learners: ...

    @property
    def engines(self) -> Engines: ...

    def transfer(self, folder: Path) -> Transfer:
        """How weights travel from the learner to the engines; `folder` is in shared memory."""
        ...

    def attach(self, join: Callable[[Any], Awaitable[None]], late: Callable[[Any], None]) -> None:
        """`join` brings an engine that starts during the run to the current weights; `late` counts
        answers that nobody waits for any more."""
        ...

    def status(self, policy_version: int) -> dict[str, Any]:
        """The workers of each fleet that can be resized, as plain values."""
        ...

    def observe(self, status: Mapping[str, Any], step: StepRecord | None) -> None:
        """Told every second: the run's status, and its last step."""
        ...

    def scale(self, sizes: Mapping[str, int]) -> str:
        """Resize fleets and say what will be. Raises ConfigError where that cannot be done."""
        ...

    def drain(self, worker: str, now: bool) -> str:
        """Let one worker leave. Raises ConfigError where that cannot be done."""
        ...

    async def replace_learner(self, model: Path) -> None:
        """Start the learner anew on other weights, in place of the present one."""
        ...
