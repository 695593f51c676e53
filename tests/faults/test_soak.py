"""Twenty minutes of faults (`make soak`): a killer takes its victims from a fixed seed."""

from __future__ import annotations

import os
import random
import signal
import time
from asyncio import sleep
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from configs.schema import FleetConfig, RolloutConfig
from tests.faults.trials import Trial, answers, kill, play, small_cluster

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

SECONDS = float(os.environ.get("ASSAY_SOAK_S", "1200"))
EVERY_S = 6.0
"""Mean time between two faults."""

LAST_STEPS = 3
CONFIG: dict[str, Any] = {
    "rollout": RolloutConfig(workers=3, max_num_seqs=16),
    "fleet": FleetConfig(probe_every_s=1.0, restarts=10**6),
    "max_staleness": 1,
}
SLOW = {f"rollout-{number}": {"slow": 10} for number in range(50)}


def test_what_is_trained_is_the_same_and_nothing_is_left(tmp_path: Path) -> None:
    """Rollout and reward workers are killed, stopped, drained, added and removed."""
    luck = random.Random(17)
    done: Counter[str] = Counter()

    async def killer(trial: Trial) -> None:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            await sleep(luck.expovariate(1 / EVERY_S))
            what = luck.choice(["kill", "kill", "stop", "kill a scorer", "resize", "drain"])
            pool = trial.rewards if what == "kill a scorer" else trial.pool
            victims = [m for m in pool.staying if m.health.serves and m.place is not None]
            if what == "resize":
                pool.resize(luck.randint(2, 4))
            elif not victims:
                continue
            elif what == "drain":
                if len(pool.staying) > 1:
                    pool.drain(luck.choice(victims), now=luck.random() < 0.5)
            else:
                number = signal.SIGSTOP if what == "stop" else signal.SIGKILL
                with suppress(ProcessLookupError):  # dead already, and nobody has noticed yet
                    kill(luck.choice(victims), number)
            done[what] += 1
        trial.controller.stage.steps = trial.controller.step + LAST_STEPS  # it ends, and drains

    with small_cluster():
        soaked = play(
            tmp_path / "soaked", killer, SLOW, limit_s=SECONDS + 300, steps=10**6, **CONFIG
        )
        steps = len(answers(soaked))
        calm = play(tmp_path / "calm", limit_s=900, steps=steps, **CONFIG)
    ledger = soaked.controller.ledger
    print(f"{steps} steps, {ledger.trained} groups, {ledger.dropped}, {dict(done)}")
    assert steps > LAST_STEPS
    assert answers(soaked) == answers(calm), "what was trained is what an undisturbed run trains"
    assert soaked.events("fault"), "nothing was disturbed"
