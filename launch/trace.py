"""`assay trace`: what samples of a run said, called and were told, from its trajectories.jsonl.

Everything a policy, a tool or a data file wrote is spelled out: it can neither steer the terminal
nor pass for a line of ours, since each of its lines stands behind a bar.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

from launch.console import printable
from rl.tracking import TRAJECTORIES

LINE_CHARS = 2000
RESULT_CHARS = 500


@dataclass(frozen=True, slots=True)
class Filters:
    """Which samples are shown; what is empty or None matches all."""

    stage: str = ""
    step: int | None = None
    task: str = ""
    """Part of the task's id."""
    tool: str = ""
    """A tool that was called."""
    error: str = ""
    """What went wrong: a `CallError`, or part of the reason why a sample has no verdict."""
    stop_reason: str = ""
    min_reward: float | None = None
    max_reward: float | None = None

    def match(self, line: Mapping[str, Any]) -> bool:
        calls = [call for turn in line.get("turns", ()) for call in turn["calls"]]
        reward = line["reward"]
        return (
            (not self.stage or line["stage"] == self.stage)
            and self.step in (None, line["step"])
            and self.task in line["task_id"]
            and (not self.tool or any(call["call"]["name"] == self.tool for call in calls))
            and (not self.error or self._went_wrong(line, calls))
            and (not self.stop_reason or line["stop_reason"] == self.stop_reason)
            and (self.min_reward is None or (reward is not None and reward >= self.min_reward))
            and (self.max_reward is None or (reward is not None and reward <= self.max_reward))
        )

    def _went_wrong(self, line: Mapping[str, Any], calls: Iterable[Mapping[str, Any]]) -> bool:
        return any(call["error"] == self.error for call in calls) or self.error in line.get(
            "error", ""
        )


def matching(run_dir: Path, filters: Filters, limit: int) -> list[dict[str, Any]]:
    """The last `limit` samples that match, oldest first. A line that is being written is left out.

    The log is read line by line: it may be far larger than memory.
    """
    last: deque[dict[str, Any]] = deque(maxlen=limit)
    path = run_dir / TRAJECTORIES
    if not path.exists():
        return []
    with path.open("rb") as lines:
        for raw in lines:
            if raw.endswith(b"\n") and filters.match(line := json.loads(raw)):
                last.append(line)
    return list(last)


def lines_of(sample: Mapping[str, Any]) -> Iterator[str]:
    """A sample as text: its head, every message with the calls in it, and the reward by terms."""
    where = f"{sample['stage']} step {sample['step']}, group {sample['group']}.{sample['index']}"
    yield f"== {printable(where)}, {printable(sample['task_id'])}"
    turns = chain(sample.get("turns", ()), repeat(None))
    for message in sample["messages"]:
        turn = next(turns) if message["role"] == "assistant" else None
        spent = f" ({turn['generate_s']:.2f} s)" if turn else ""
        yield f"{printable(message['role'])}{spent}"
        if message["role"] != "tool":  # a tool's results stand with the calls
            yield from _quoted(message["content"])
        for call in turn["calls"] if turn else ():
            yield from _call(call)
    yield from _verdict(sample)


def _call(record: Mapping[str, Any]) -> Iterator[str]:
    call = record["call"]
    arguments = json.dumps(call["arguments"], ensure_ascii=False)
    trouble = f" {printable(record['error'])}" if record["error"] else ""
    name = printable(call["name"] or "?")
    yield f"  -> {name} {printable(arguments, RESULT_CHARS)}"
    yield f"  <-{trouble} {printable(record['result'], RESULT_CHARS)} ({record['seconds']:.3f} s)"


def _verdict(sample: Mapping[str, Any]) -> Iterator[str]:
    terms = ", ".join(f"{printable(name)} {value:g}" for name, value in sample["terms"].items())
    reward = "no verdict" if sample["reward"] is None else f"reward {sample['reward']:g}"
    because = "; ".join(filter(None, (sample["reason"], sample.get("error", ""))))
    yield f"{reward} [{terms}] {printable(because)}; {printable(sample['stop_reason'])}"
    yield f"gold {printable(str(sample['gold']))}; {sample['tokens']} tokens written"


def _quoted(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        yield f"  | {printable(line, LINE_CHARS)}"
