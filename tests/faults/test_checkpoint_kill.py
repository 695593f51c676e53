"""A saving process is killed with SIGKILL at every named point, and cut off by a full disk."""

import itertools
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs import faultpoints
from configs.errors import MissingCapability
from rl.checkpoint import CheckpointStore, RunState, latest_checkpoint, load_state
from rl.durable import load_tensors, save_tensors
from rl.provenance import Fingerprints

KEEP = 2
POINTS = [name for name in faultpoints.POINTS if name.startswith("ckpt.")]
ROOT = Path(__file__).resolve().parents[2]


def run_state(step: int) -> RunState:
    return RunState(
        stage="reasoning",
        step=step,
        policy_version=step,
        curriculum={"visits": np.full(8, step)},
        ledger={},
        rng={},
        tracker={"metrics.jsonl": step},
        fingerprints=Fingerprints({}, "t", "m", 1),
        config="",
        code_version="",
        packages={},
    )


def write_shards(directory: Path, step: int) -> None:
    for rank in range(2):
        save_tensors(directory / "learner" / f"{rank}.safetensors", {"w": torch.full((4,), step)})


def save_next(directory: Path, fault: str) -> None:
    """One period of a run: resume from the latest checkpoint, take a step, save."""
    store = CheckpointStore(directory, KEEP)
    found = store.latest()
    step = load_state(found).step + 1 if found else 1
    faultpoints.arm(fault)
    store.save(lambda tmp: write_shards(tmp, step), run_state(step))


def latest_step(directory: Path) -> int:
    """Step of the latest checkpoint, all of whose parts must belong to that step; 0 without one."""
    checkpoint = latest_checkpoint(directory)
    if checkpoint is None:
        return 0
    state = load_state(checkpoint)
    assert (state.curriculum["visits"] == state.step).all()
    for rank in range(2):
        weights = load_tensors(checkpoint.learner_dir / f"{rank}.safetensors")["w"]
        assert (weights == state.step).all()
    return state.step


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children of a server that has torch imported: milliseconds each, no threads inherited."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def run(context: ForkServerContext, target: Callable[..., None], *args: Any) -> int | None:
    process = context.Process(target=target, args=args)
    process.start()
    process.join(timeout=120)
    assert process.exitcode is not None, "the run hangs"
    return process.exitcode


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("saves_before", [0, 3])
def test_killed_at_every_hit_of_a_point(
    processes: ForkServerContext, tmp_path: Path, name: str, saves_before: int
) -> None:
    for _ in range(saves_before):
        save_next(tmp_path, "")
    for hit in itertools.count(1):
        before = latest_step(tmp_path)
        code = run(processes, save_next, tmp_path, f"{name}=kill@{hit}")
        after = latest_step(tmp_path)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert after in {before, before + 1}, "more than one period was lost"
    assert after == before + 1
    assert hit > 1 or (name == "ckpt.mid_prune" and not saves_before), "never reached"
    save_next(tmp_path, "")
    save_next(tmp_path, "")
    assert latest_step(tmp_path) == after + 2
    kept = sorted(entry.name for entry in tmp_path.iterdir())
    assert len(kept) == KEEP + 1, "two checkpoints and `latest`, nothing left over"


@pytest.mark.brief
def test_the_environment_variable_kills_a_fresh_process(tmp_path: Path) -> None:
    save_next(tmp_path, "")
    code = (
        "import sys; from pathlib import Path; from tests.faults import test_checkpoint_kill as t;"
        "store = t.CheckpointStore(Path(sys.argv[1]), 2);"
        "store.save(lambda tmp: t.write_shards(tmp, 2), t.run_state(2))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {faultpoints.VARIABLE: "ckpt.before_rename=kill"},
        timeout=120,
    )
    assert done.returncode == -signal.SIGKILL
    assert len(list(tmp_path.glob("tmp-*"))) == 1
    assert latest_step(tmp_path) == 1


def write_rank(directory: Path, fault: str) -> None:
    faultpoints.arm(fault)
    write_shards(directory, 2)


def test_a_killed_learner_rank_leaves_the_checkpoint_before(
    processes: ForkServerContext, tmp_path: Path
) -> None:
    save_next(tmp_path, "")

    def write(tmp: Path) -> None:
        code = run(processes, write_rank, tmp, "ckpt.after_tensors=kill@2")
        raise RuntimeError(f"a learner rank ended with {code}")

    store = CheckpointStore(tmp_path, KEEP)
    with pytest.raises(RuntimeError, match="ended with -9"):
        store.save(write, run_state(2))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["0001-reasoning-000001", "latest"]
    assert latest_step(tmp_path) == 1


def save_on_a_full_disk(directory: Path, part: str) -> None:
    """Exit status 0 if the save failed as it should."""
    sizes = {"tensors": 4, "arrays": 8, "config": 0} | {part: 20_000}
    state = replace(
        run_state(2), curriculum={"visits": np.zeros(sizes["arrays"])}, config=" " * sizes["config"]
    )
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
    try:
        CheckpointStore(directory, KEEP).save(
            lambda tmp: save_tensors(tmp / "w.safetensors", {"w": torch.zeros(sizes["tensors"])}),
            state,
        )
    except MissingCapability as error:
        sys.exit(0 if "File too large" in str(error) and "intact" in str(error) else 2)
    sys.exit(1)


@pytest.mark.brief
@pytest.mark.parametrize("part", ["tensors", "arrays", "config"])
def test_a_full_disk_fails_loudly_and_costs_nothing(
    processes: ForkServerContext, tmp_path: Path, part: str
) -> None:
    save_next(tmp_path, "")
    assert run(processes, save_on_a_full_disk, tmp_path, part) == 0
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["0001-reasoning-000001", "latest"]
    assert latest_step(tmp_path) == 1
    save_next(tmp_path, "")
    assert latest_step(tmp_path) == 2
