"""The pass-rate curriculum over ten million tasks: time a draw, memory, saving and loading."""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.figures import Bound, Figures, Target
from envs.finance import FinanceTasks
from envs.types import Task
from rl.curriculum import Draw, Mixture
from rl.estimates import BINS
from rl.pass_rate import PassRateCurriculum
from rollout.types import Group, Score, Span, StopReason, Trajectory

TARGET: Target = {
    "draw_ms": Bound("<=", 5.0),
    "observe_ms": Bound("<=", 5.0),
    "memory_bytes_per_task": Bound("<=", 64),
    "saved_bytes_per_task": Bound("<=", 32),
    "save_s": Bound("<=", 2.0),
    "load_s": Bound("<=", 2.0),
    "draw_growth": Bound("<=", 4.0),
    "observe_growth": Bound("<=", 4.0),
}

BATCH = 1024
ROUNDS = 31
GROUP_SIZE = 8
SAVES = 3
SMALL = 10_000
REBUILT_DRAWS = 3


def run(tasks: int = 10_000_000) -> Figures:
    """Medians over batches of 1,024 draws and then 1,024 observed groups of 8, in processor time.

    Measured twice, on tasks that were all visited and on tasks that none was; the slower counts.
    `rebuilt_draw_ms` is 1,024 draws of a sampler that makes its weights anew for each, worked out
    from a few. Memory is resident, with every task visited. Saving and loading, with every task
    visited, is by the wall clock and includes the disk, the best of three times; loading includes
    setting up the curriculum.
    """
    small = _speed(_all_visited(SMALL)), _speed(_curriculum(SMALL))
    before = psutil.Process().memory_info().rss
    curriculum = _all_visited(tasks)
    memory = psutil.Process().memory_info().rss - before
    large = _speed(curriculum), _speed(_curriculum(tasks))
    draw, observe = (max(figures) for figures in zip(*large, strict=True))
    saved = [_save_and_load(curriculum, tasks) for _ in range(SAVES)]
    saved_bytes, save_s, load_s = (min(figures) for figures in zip(*saved, strict=True))
    return {
        "draw_ms": draw,
        "observe_ms": observe,
        "rebuilt_draw_ms": _rebuilt_draw_ms(tasks),
        "memory_bytes_per_task": memory / tasks,
        "saved_bytes_per_task": saved_bytes / tasks,
        "save_s": save_s,
        "load_s": load_s,
        "draw_growth": max(b[0] / a[0] for a, b in zip(small, large, strict=True)),
        "observe_growth": max(b[1] / a[1] for a, b in zip(small, large, strict=True)),
        "new_draw_ms": large[1][0],
        "new_observe_ms": large[1][1],
        "small_draw_ms": max(figures[0] for figures in small),
        "small_observe_ms": max(figures[1] for figures in small),
    }


def _curriculum(tasks: int) -> PassRateCurriculum:
    mixture: Mixture[Task] = Mixture({"main": FinanceTasks(size=tasks)}, {"main": 1.0})
    return PassRateCurriculum(mixture, seed=17, batch_size=BATCH)


def _all_visited(tasks: int) -> PassRateCurriculum:
    """Every task seen once, with a pass rate of its own, in a random order."""
    state = _curriculum(tasks).state()
    rng = np.random.default_rng(0)
    correct = rng.binomial(GROUP_SIZE, rng.random(tasks))
    main = state["sets"]["main"]
    main["clock"] = main["drawn"] = main["explored"] = tasks
    main["rows"] = {
        "visits": (GROUP_SIZE << 8 | correct).astype(np.uint64),
        "ids": rng.integers(1, 1 << 63, tasks).astype(np.uint64),
        "indices": rng.permutation(tasks).astype(np.uint32),
        "stamps": rng.permutation(tasks).astype(np.uint32),
        "draws": np.ones(tasks, np.uint16),
        "versions": np.zeros(tasks, np.uint16),
        "pools": np.ones(tasks, np.uint8),
    }
    curriculum = _curriculum(tasks)
    curriculum.restore(state)
    return curriculum


def _speed(curriculum: PassRateCurriculum) -> tuple[float, float]:
    """Milliseconds for a batch of draws and for a batch of observed groups."""
    groups = [_group(correct) for correct in range(GROUP_SIZE + 1)]
    luck = random.Random(0)
    draw_s, observe_s = [], []
    for _ in range(ROUNDS):
        draws: list[Draw] = []
        draw_s.append(_seconds(partial(_draw, curriculum, draws)))
        chosen = luck.choices(groups, k=BATCH)
        observe_s.append(_seconds(partial(_observe, curriculum, draws, chosen)))
    return 1000 * statistics.median(draw_s), 1000 * statistics.median(observe_s)


def _seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _draw(curriculum: PassRateCurriculum, out: list[Draw]) -> None:
    for _ in range(BATCH):
        out.append(curriculum.next())


def _observe(curriculum: PassRateCurriculum, draws: list[Draw], groups: Sequence[Group]) -> None:
    for draw, group in zip(draws, groups, strict=True):
        curriculum.observe(draw, group)


def _group(correct: int) -> Group:
    task = Task(f"finance/{correct}", "finance", (), "")
    tokens = np.zeros(4, np.int32)
    spans = (Span(tokens), Span(tokens, np.zeros(4, np.float32), 0))
    samples = (
        Trajectory(task, i, spans, (), StopReason.STOP, score=Score(float(i < correct)))
        for i in range(GROUP_SIZE)
    )
    return Group(0, task, tuple(samples))


def _save_and_load(curriculum: PassRateCurriculum, tasks: int) -> tuple[int, float, float]:
    """Bytes on disk, seconds to save and seconds to load, by the wall clock."""
    with tempfile.TemporaryDirectory() as folder:
        file, rest = Path(folder) / "arrays.npz", Path(folder) / "state.json"
        began = time.monotonic()
        arrays: dict[str, Any] = {}
        rest.write_text(json.dumps(_set_aside(curriculum.state(), "", arrays)))
        with file.open("wb") as opened:
            np.savez(opened, allow_pickle=False, **arrays)
            opened.flush()
            os.fsync(opened.fileno())
        save_s = time.monotonic() - began
        arrays.clear()
        began = time.monotonic()
        with np.load(file, allow_pickle=False) as loaded:
            state = _put_back(json.loads(rest.read_text()), loaded)
        _curriculum(tasks).restore(state)
        load_s = time.monotonic() - began
        return file.stat().st_size + rest.stat().st_size, save_s, load_s


def _set_aside(value: Any, where: str, arrays: dict[str, Any]) -> Any:
    """As checkpoints do it: a tree with the names of its arrays in their place."""
    if isinstance(value, dict):
        return {key: _set_aside(item, f"{where}.{key}", arrays) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        arrays[where] = value
        return {"array": where}
    return value


def _put_back(value: Any, arrays: Any) -> Any:
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        return {key: _put_back(item, arrays) for key, item in value.items()}
    return value


def _rebuilt_draw_ms(tasks: int) -> float:
    """What 1,024 draws cost where the weights of all tasks are made anew for each."""
    rng = np.random.default_rng(0)
    rates = rng.integers(0, BINS, tasks).astype(np.float32) / BINS

    def draw() -> None:
        for _ in range(REBUILT_DRAWS):
            cumulative = np.cumsum(rates * (1 - rates))
            np.searchsorted(cumulative, rng.random() * cumulative[-1])

    return 1000 * _seconds(draw) / REBUILT_DRAWS * BATCH
