"""How weights get from the learner to engines in other processes and on other machines.

On one machine they go through shared memory (rl/publish.py); here are the ways between machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from launch.fleet import RayLearnerGroup, RolloutFleet, RolloutWorker
from launch.remote import within
from rl.publish import WeightSource


@dataclass(slots=True)
class ObjectStoreTransfer:
    """Through Ray's object store, for engines on other machines than the learner: each machine
    fetches the weights once, whatever the number of its engines."""

    _offered: Any = None

    async def offer(self, learner: WeightSource, version: int) -> None:
        assert isinstance(learner, RayLearnerGroup)
        self._offered = None  # the version before makes room first
        self._offered = await learner.export()

    async def deliver(self, engine: RolloutWorker, version: int) -> bool:
        await engine.load_shipped(self._offered, version)
        return True


@dataclass(slots=True)
class NcclTransfer:
    """Weights over NCCL to all engines at once; the sending rank drives them (launch/nccl.py).

    The group is opened anew when engines have come or gone. One that starts between two publishes
    waits for the next.
    """

    fleet: RolloutFleet
    gpus_each: int
    _connected: tuple[Any, ...] = ()

    async def offer(self, learner: WeightSource, version: int) -> None:
        assert isinstance(learner, RayLearnerGroup)
        engines = self.fleet.ready()
        actors = tuple(e.member.process.handle for e in engines if e.member.process is not None)
        members = (*learner.ranks, *actors)
        if members != self._connected:
            deadline = self.fleet.deadlines.step_s
            address = await within(
                deadline, "learner rank 0", "answering", learner.ranks[0].address.remote()
            )
            await learner.call(
                "connect_engines", "connecting to the engines",
                list(actors), address, self.gpus_each, deadline,
            )  # fmt: skip
            self._connected = members
        await learner.call("send_weights", "sending weights over NCCL", version)

    async def deliver(self, engine: RolloutWorker, version: int) -> bool:
        """The broadcast has delivered already, to those that were in the group."""
        process = engine.member.process
        return process is not None and process.handle in self._connected
