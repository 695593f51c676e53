"""Reading samples in the terminal: the right ones, whole, and harmless."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from envs.types import CallRecord, Message, Task, ToolCall
from launch.cli import app
from launch.trace import Filters, lines_of, matching
from rl.tracking import FileTracker
from rollout.types import Group, Score, Span, StopReason, Trajectory, Turn

ESCAPE = "\x1b[2J\x1b]0;owned\x07"


def sample(index: int, **fields: Any) -> Trajectory:
    call = CallRecord(ToolCall("divide", {"a": 384, "b": 12}), f"32{ESCAPE}", "", 0.012)
    wrong = CallRecord(ToolCall("divde", {}), '{"error": "unknown_tool"}', "unknown_tool")
    messages = (
        Message("user", "384 / 12?"),
        Message("assistant", f"I ask.{ESCAPE}\n== fake step 1", (call.call, wrong.call)),
        Message("tool", call.result),
        Message("tool", wrong.result),
        Message("assistant", "\\boxed{32}"),
    )
    values = {
        "score": Score(1.25, {"answer": 1.0, "grounding": 0.5}, "equal"),
        "stop_reason": StopReason.STOP,
        "turns": (Turn(0.25, 0.02, (call, wrong)), Turn(0.125)),
        **fields,
    }
    task = Task(f"calculator/train/{index}", "envs.x:Y", (), "32")
    span = Span(np.zeros(3, np.int32), np.zeros(3, np.float32), 0)
    return Trajectory(task, index, (span,), messages, num_turns=2, **values)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "config.yaml").write_text("name: x\n")
    tracker = FileTracker(tmp_path, trajectories_per_step=100)
    fault = sample(
        2, score=None, stop_reason=StopReason.ERROR, info={"error": "environment: gone"}, turns=()
    )
    for step in (1, 2, 3):
        samples = (sample(0), sample(1, score=Score(0.0, {}, "different"), turns=()), fault)
        tracker.log_trajectories("agentic", step, [Group(step, samples[0].task, samples)])
    tracker.close()
    return tmp_path


def test_a_sample_is_shown_whole(run: Path) -> None:
    [line] = matching(run, Filters(step=3, tool="divide"), 10)
    text = "\n".join(lines_of(line))
    for part in (
        "== agentic step 3, group 3.0, calculator/train/0",
        "assistant (0.25 s)",
        '-> divide {"a": 384, "b": 12}',
        "<- 32",
        "(0.012 s)",
        '<- unknown_tool {"error": "unknown_tool"}',
        "reward 1.25 [answer 1, grounding 0.5] equal; stop",
        "gold 32; 3 tokens written",
    ):
        assert part in text
    assert text.index("divide") < text.index("\\boxed{32}")


def test_what_was_written_by_others_is_harmless(run: Path) -> None:
    shown = "\n".join(line for s in matching(run, Filters(), 10) for line in lines_of(s))
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "  | == fake step 1" in shown
    assert "\n== fake" not in shown


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        (Filters(), 9),
        (Filters(stage="sft"), 0),
        (Filters(step=2), 3),
        (Filters(task="train/1"), 3),
        (Filters(tool="divide"), 3),
        (Filters(error="unknown_tool"), 3),
        (Filters(error="gone"), 3),
        (Filters(stop_reason="error"), 3),
        (Filters(min_reward=1.0), 3),
        (Filters(max_reward=0.5), 3),
        (Filters(step=1, min_reward=0.0), 2),
    ],
)
def test_filters(run: Path, filters: Filters, count: int) -> None:
    assert len(matching(run, filters, 100)) == count


def test_the_last_ones_and_no_torn_line(run: Path) -> None:
    with (run / "trajectories.jsonl").open("a") as log:
        log.write('{"stage": "agen')
    assert [line["step"] for line in matching(run, Filters(), 4)] == [2, 3, 3, 3]


def test_a_log_without_turns_can_be_read(run: Path) -> None:
    old = {**matching(run, Filters(), 1)[0]}
    for name in ("turns", "env_reward", "error"):
        del old[name]
    assert Filters(error="x").match(old) is False
    assert "gold 32" in "\n".join(lines_of(old))


def test_the_command(run: Path) -> None:
    shown = CliRunner().invoke(app, ["trace", str(run), "--tool", "divide", "--limit", "1"])
    assert "group 3.0" in shown.output
    as_json = CliRunner().invoke(app, ["trace", str(run), "--json", "--step", "1"])
    assert len([json.loads(line) for line in as_json.output.splitlines()]) == 3
    assert "no sample matches" in CliRunner().invoke(app, ["trace", str(run), "--step", "9"]).output
