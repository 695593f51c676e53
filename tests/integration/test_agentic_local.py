"""Two steps of training on environments of every kind: what tools told is in the traces, what the
policy wrote is trained. The engine writes a call in some of its turns, as a trained policy would.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.load import load
from configs.schema import RunConfig
from envs.mcp_server import load_mcp
from envs.types import Demonstration, Message, Task, ToolCall
from launch.local import local_fleets
from launch.machine import free_port
from launch.models import Models
from launch.pipeline import Pipeline
from launch.train import prepare
from rl.checkpoint import CheckpointStore
from rl.jsonl import read_log
from rl.tracking import FileTracker, StepRecord
from rollout.types import Completion, IntArray, Sampling
from tests.integration.test_mcp import SCRIPT, once_it_is_up, serving
from tests.integration.test_openenv import guess, python
from tests.integration.torch_engine import TorchEngine

__all__ = ["guess", "python"]  # fixtures

PRESET = """
name: agentic
model: {max_length: 400, build: {num_layers: 1, hidden_size: 64, intermediate_size: 96,
  num_heads: 2, num_kv_heads: 1, vocab_size: 400}}
learner: {token_budget: 2048}
reward: {verifier: tool_use}
stages:
  agentic:
    kind: rl
    steps: 2
    batch_size: 2
    group_size: 4
    max_turns: 3
    max_tokens: 90
    warmup_steps: 0
    keep_zero_variance: true
evaluation: {num_tasks: 2, samples: 1, max_turns: 2, max_tokens: 40}
checkpoint: {every: 100}
tracking: {trajectories_per_step: 100}
"""


class CallingEngine(TorchEngine):
    """Opens about every other episode with a call; its tokens have the policy's probabilities."""

    call: IntArray
    first_turns: set[int]

    async def generate(self, token_ids: IntArray, sampling: Sampling, seed: int) -> Completion:
        luck = random.Random(seed).random()
        if luck < 0.5 or sampling.max_tokens < len(self.call) or self.was_called(token_ids):
            short = Sampling(sampling.temperature, min(8, sampling.max_tokens))
            return await super().generate(token_ids, short, seed)
        ids = [*token_ids.tolist(), *self.call.tolist()]
        logprobs = torch.log_softmax(self._logits(ids), -1)
        start = len(token_ids)
        chosen = [float(logprobs[i - 1, ids[i]]) for i in range(start, len(ids))]
        versions = ((0, self.policy_version),)
        return Completion(self.call, np.array(chosen, np.float32), "stop", versions)

    def was_called(self, token_ids: IntArray) -> bool:
        opening = int(self.call[0])
        return opening in token_ids.tolist()


def calling(call: ToolCall) -> Callable[[RunConfig, Models], Awaitable[CallingEngine]]:
    async def start(config: RunConfig, models: Models) -> CallingEngine:
        engine = CallingEngine(models.engine, config.model.max_length, models.stop_token_ids)
        turns = (Message("assistant", "", (call,)), Message("tool", ""))
        task = Task("t", "t", (Message("user", "?"),), "")
        demo = Demonstration(task, False, "", "", "t", turns=turns)
        engine.call = models.renderer.render_demonstration(demo)[1]
        return engine

    return start


class WatchedTracker(FileTracker):
    """Tells of every step when it is over."""

    on_step: Callable[[StepRecord], None]

    def log_step(self, record: StepRecord) -> None:
        super().log_step(record)
        self.on_step(record)


def train(
    folder: Path,
    call: ToolCall,
    *changes: str,
    on_step: Callable[[StepRecord], None] = lambda record: None,
) -> tuple[list[Any], list[Any]]:
    """Train; returns the steps and the samples that were logged."""
    preset = folder / "agentic.yaml"
    preset.write_text(PRESET)
    run_dir = folder / "run"
    setup = prepare(load(str(preset), changes), run_dir)
    tracker = WatchedTracker(run_dir, trajectories_per_step=100)
    tracker.on_step = on_step
    (run_dir / "weights").mkdir()
    store = CheckpointStore(run_dir / "checkpoints", keep=2)
    pipeline = Pipeline(setup, store, tracker, run_dir / "weights")

    async def go() -> None:
        async with local_fleets(setup.config, setup.models, calling(call)) as fleets:
            await pipeline.run(fleets)

    try:
        asyncio.run(go())
    finally:
        tracker.close()
    steps = list(read_log(run_dir / "metrics.jsonl"))
    samples = list(read_log(run_dir / "trajectories.jsonl"))
    assert len(steps) == setup.config.stages["agentic"].steps
    trained = [step for step in steps if step["group/trained"]]
    assert all(step["mismatch_kl"] < 1e-4 for step in trained), "engine and learner agree"
    return steps, samples


def results(samples: list[Any]) -> list[str]:
    return [c["result"] for s in samples for turn in s["turns"] for c in turn["calls"]]


def test_the_calculator_by_the_name_of_its_environment(tmp_path: Path) -> None:
    call = ToolCall("calculate", {"expression": "384 / 12"})
    steps, samples = train(tmp_path, call, "envs.calculator={}")
    assert set(results(samples)) == {"32"}
    assert any(step["tools/calls"] > 0 for step in steps)
    assert {"reward/answer", "reward/validity", "reward/grounding"} <= steps[0].keys()
    told = next(s for s in samples if s["turns"] and s["turns"][0]["calls"])
    assert [m["role"] for m in told["messages"][:3]] == ["user", "assistant", "tool"]
    assert told["tokens"] == len(told["token_ids"]), "only what the policy wrote"


def test_an_object_in_trls_form(tmp_path: Path) -> None:
    source = "factory: 'tests.unit.test_objects:Counter', size: 20"
    steps, samples = train(tmp_path, ToolCall("add", {"amount": 1}), f"envs.object={{{source}}}")
    assert "1" in results(samples)
    assert {s["env_reward"] for s in samples} <= {0.0, 1.0}
    assert "reward/state" in steps[0]


def test_an_openenv_server(tmp_path: Path, guess: str) -> None:
    _, samples = train(
        tmp_path, ToolCall("act", {"number": 4}), f"envs.openenv={{url: '{guess}', size: 20}}"
    )
    assert set(results(samples)) <= {"right", "higher", "lower"}
    assert results(samples)


@pytest.mark.parametrize("tool", ["divide", "die"])
def test_an_mcp_server_even_one_that_is_killed(tmp_path: Path, tool: str) -> None:
    script = Path(__file__).with_name("mcp_tools.py")
    arguments = {"a": 6, "b": 4} if tool == "divide" else {}
    source = f"command: ['{sys.executable}', '{script}'], size: 20"
    digits = "reward.verifier=tests.integration.digits:DigitShare"  # the tasks have no answer
    _, samples = train(tmp_path, ToolCall(tool, arguments), f"envs.mcp={{{source}}}", digits)
    if tool == "divide":
        assert set(results(samples)) == {"1.5"}
        return
    faults = [s for s in samples if s["stop_reason"] == "error"]
    assert 0 < len(faults) < len(samples)
    assert {s["reward"] for s in faults} == {None}
    assert all("ServerGone" in s["error"] for s in faults)


GONE = re.compile("ServerGone|ServerAway")


def test_an_mcp_server_over_http_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("envs.mcp_server.AWAY_S", 1.0)
    port = free_port("127.0.0.1")
    url = f"http://127.0.0.1:{port}/mcp"
    task = load_mcp(url=url, size=1)[0]
    outages: list[int] = []
    with ExitStack() as server:

        def start() -> None:
            server.enter_context(serving(SCRIPT, port))
            once_it_is_up(task)

        def on_step(record: StepRecord) -> None:
            if record.step == 2:
                server.close()  # killed, while the groups of the next step are played
            elif not record.metrics["group/trained"]:
                outages.append(record.step)
                start()

        start()
        steps, samples = train(
            tmp_path,
            ToolCall("divide", {"a": 6, "b": 4}),
            f"envs.mcp={{url: '{url}', size: 20}}",
            "reward.verifier=tests.integration.digits:DigitShare",
            "stages.agentic.steps=6",
            "stages.agentic.max_staleness=1",
            on_step=on_step,
        )
    [outage] = outages
    assert 2 < outage < 6, "what was played before the kill is trained"
    for step in steps:
        of_step = [s for s in samples if s["step"] == step["step"]]
        faults = [s for s in of_step if s["stop_reason"] == "error"]
        assert all(s["reward"] is None and GONE.search(s["error"]) for s in faults)
        if step["step"] == outage:
            assert step["group/dropped/error"] > 0
            assert faults == of_step
        elif not 2 < step["step"] < outage:
            assert (step["group/trained"], faults) == (2, [])
            assert set(results(of_step)) == {"1.5"}
    ended = sum(
        v for s in steps for k, v in s.items() if k.startswith(("group/tr", "group/dropped/"))
    )
    assert sum(s["group/dispatched"] for s in steps) == ended + steps[-1]["group/owed"]
