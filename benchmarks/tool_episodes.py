"""How busy an engine is with 256 episodes whose tools take their time, beside episodes of one turn.

Engine and environment hosts are Ray actors, as in a run. Rounds of questions that need no tool,
with prompts as long, and of episodes with a slow tool take turns. An engine's use is the share of
the episodes that are with it at a time; its tokens a second stand beside, which second turns, each
with a prompt of its own, lower too.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from benchmarks.figures import Bound, Figures, Target
from benchmarks.tool_workload import FigureTasks, build_config, build_fitted
from benchmarks.tools_vs_trl import CONFIG
from configs.load import load
from configs.schema import RunConfig
from launch.cluster import start_rollouts, stop_engines
from launch.connection import connected
from launch.fleet import RolloutFleet
from launch.memory import new_run_id
from launch.models import Models, prepare_models
from rollout.types import RolloutRequest, Sampling, Trajectory

TARGET: Target = {"engine_use": Bound(">=", 0.9)}

MAX_TOKENS = 300
LONGER = ("model.max_length=512", "hosts.cpus=2")
WARM_UP_S = 15.0
RAMP_S = 8.0
"""Of each round, in which the first episodes come to their end."""


def run(seconds: float = 30.0, rounds: int = 3, episodes: int = 256) -> Figures:
    """Medians over `rounds` rounds of each kind, of `seconds` each."""
    with tempfile.TemporaryDirectory(prefix="assay-episodes-") as folder:
        model = Path(folder) / "model"
        build_fitted(model, build_config(), kinds=(0, 1), sentences=16)
        changes = [f"model.path={model}", f"rollout.max_num_seqs={episodes}", *LONGER]
        config = load(str(CONFIG), changes).config
        models = prepare_models(config, Path(folder))
        return asyncio.run(_measure(config, models, Path(folder), seconds, rounds, episodes))


async def _measure(
    config: RunConfig, models: Models, folder: Path, seconds: float, rounds: int, episodes: int
) -> Figures:
    measured: dict[int, list[dict[str, float]]] = {0: [], 1: []}
    with connected(config):
        rollouts = await start_rollouts(config, models, folder, new_run_id())
        for calls in measured:
            await _round(rollouts, calls, WARM_UP_S, episodes)
        for _ in range(rounds):
            for calls, figures in measured.items():
                figures.append(await _round(rollouts, calls, seconds, episodes))
        await stop_engines(rollouts)
    plain, tools = measured[0], measured[1]
    pairs = list(zip(plain, tools, strict=True))
    return {
        "engine_use": median(t["busy"] / p["busy"] for p, t in pairs),
        "sequences_at_a_time": median(t["busy"] for t in tools),
        "plain_sequences_at_a_time": median(p["busy"] for p in plain),
        "tokens_to_plain": median(t["tokens"] / p["tokens"] for p, t in pairs),
        "tokens_per_s": median(t["tokens"] for t in tools),
        "plain_tokens_per_s": median(p["tokens"] for p in plain),
        "episodes_per_s": median(t["samples"] for t in tools),
        "calls_an_episode": median(t["calls"] / max(t["samples"], 1e-9) for t in tools),
        "faults": sum(t["faults"] for t in tools),
    }


async def _round(
    rollouts: RolloutFleet, calls: int, seconds: float, episodes: int
) -> dict[str, float]:
    """Keep so many episodes under way for a while; what ended a second, once all had begun."""
    tasks, began = FigureTasks(calls=calls), time.time()
    done: list[Trajectory] = []
    numbers = iter(range(1_000_000))

    async def keep_asking() -> None:
        while time.time() - began < seconds:
            number = next(numbers)
            request = RolloutRequest(
                group_id=number,
                task=tasks[number % len(tasks)],
                seeds=(number,),
                thinking=False,
                sampling=Sampling(1.0, MAX_TOKENS),
                max_turns=4,
            )
            done.extend((await rollouts.run(request)).trajectories)

    await asyncio.gather(*(keep_asking() for _ in range(episodes)))
    since, until = began + RAMP_S, began + seconds
    took = until - since
    ended = [t for t in done if since <= t.info["ended"] < until]
    shares = [share for t in done for share in _shares_within(t, since, until)]
    return {
        "tokens": sum(tokens for tokens, _ in shares) / took,
        "samples": len(ended) / took,
        "calls": sum(len(t.calls) for t in ended) / took,
        "busy": sum(in_window for _, in_window in shares) / took,
        "faults": sum(t.stop_reason == "error" for t in done),
    }


def _shares_within(t: Trajectory, since: float, until: float) -> Iterator[tuple[float, float]]:
    """Of each turn, the tokens that were generated between two times, and the seconds that took: in
    a window of seconds it matters that questions of one length end together."""
    began = t.info["started"]
    written = [span.token_ids.size for span in t.spans if span.logprobs is not None]
    for turn, tokens in zip(t.turns, written, strict=False):  # one that failed has no spans
        in_window = max(0.0, min(began + turn.generate_s, until) - max(began, since))
        yield tokens * in_window / max(turn.generate_s, 1e-9), in_window
        began += turn.generate_s + turn.env_s
