"""The logs of a run, their continuation after a crash, and sinks that misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from configs.errors import DataError
from envs.types import Message, Task
from rl.background import BackgroundSink
from rl.jsonl import read_log
from rl.tracking import (
    EVALUATIONS,
    EVENTS,
    METRICS,
    START,
    TRAJECTORIES,
    EvaluationRecord,
    FileTracker,
    Record,
    StepRecord,
)
from rollout.types import Group, Score, Span, StopReason, Trajectory


def step_record(step: int, **metrics: float) -> StepRecord:
    named = {name.replace("_", "/", 1): value for name, value in metrics.items()}
    return StepRecord("reasoning", "rl", step, 10, step, named)


def group_of(replies: list[str], group_id: int = 5) -> Group:
    task = Task(
        "finance/train/1/42", "finance", (Message("user", "12 + 3?"),), "15", {"level": "1"}
    )
    return Group(
        group_id,
        task,
        tuple(
            Trajectory(
                task,
                index,
                (
                    Span(np.arange(4, dtype=np.int32)),
                    Span(np.arange(3, dtype=np.int32), np.zeros(3, dtype=np.float32), 7),
                ),
                (*task.prompt, Message("assistant", reply)),
                StopReason.STOP,
                score=Score(1.0, {"answer": 1.0}, "equal"),
            )
            for index, reply in enumerate(replies)
        ),
    )


@pytest.fixture
def open_tracker(tmp_path: Path) -> Iterator[Callable[..., FileTracker]]:
    opened: list[FileTracker] = []

    def open_one(**arguments: object) -> FileTracker:
        opened.append(FileTracker(tmp_path, **arguments))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for tracker in opened:
        tracker.close()


def test_a_step_is_one_line_with_its_metrics_beside_its_place(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    tracker = open_tracker()
    tracker.log_step(step_record(1, reward_mean=0.25, time_step=1.5))
    (line,) = read_log(tmp_path / METRICS)
    assert line["reward/mean"] == 0.25
    assert (line["stage"], line["kind"], line["step"], line["num_steps"]) == (
        "reasoning",
        "rl",
        1,
        10,
    )
    assert (line["policy_version"], line["global_step"]) == (1, 1)
    assert abs(line["time"] - time.time()) < 60
    assert line["elapsed_s"] >= 0


def test_values_that_json_lacks_are_written_as_strict_json(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    tracker = open_tracker()
    metrics = {
        "loss/mean": float("nan"),
        "learner/grad_norm": float("inf"),
        "x/y": float(np.float32(0.5)),
    }
    tracker.log_step(StepRecord("sft", "sft", 1, 1, 0, metrics))
    tracker.log_event("fault", where=Path("/tmp"), counts={1: (np.int64(3),)})
    (line,) = read_log(tmp_path / METRICS)
    assert (line["loss/mean"], line["learner/grad_norm"], line["x/y"]) == (None, None, 0.5)
    assert read_log(tmp_path / EVENTS)[-1]["counts"] == {"1": [3]}
    assert "NaN" not in (tmp_path / METRICS).read_text()


def test_a_trajectory_line_holds_what_a_reader_needs_with_control_characters_escaped(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    reply = "\x1b[2J wiped \x7f\x9b \ud800 利润 \n done"
    open_tracker().log_trajectories("reasoning", 1, [group_of([reply])])
    raw = (tmp_path / TRAJECTORIES).read_bytes()
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in raw)
    assert raw.count(b"\n") == 1
    (line,) = read_log(tmp_path / TRAJECTORIES)
    assert line["messages"][-1] == {"role": "assistant", "content": reply}
    assert (line["tokens"], line["reward"], line["terms"]) == (3, 1.0, {"answer": 1.0})
    assert len(line["token_ids"]) == 3
    assert (line["reason"], line["versions"], line["gold"]) == ("equal", [7], "15")


def test_sampled_trajectories_are_few_and_the_same_when_a_step_is_repeated(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    tracker = open_tracker(trajectories_per_step=3)
    groups = [group_of([f"{g}.{i}" for i in range(8)], g) for g in range(6)]
    for step in (1, 1, 2):
        tracker.log_trajectories("reasoning", step, groups)
    texts = [line["messages"][-1]["content"] for line in read_log(tmp_path / TRAJECTORIES)]
    first, again, other = texts[:3], texts[3:6], texts[6:]
    assert first == again != other
    assert len(set(first)) == 3
    tracker.log_trajectories("reasoning", 3, groups, whole=True)
    assert len(read_log(tmp_path / TRAJECTORIES)) == 9 + 48


def test_resuming_continues_at_the_checkpoint_and_keeps_the_lost_lines_aside(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    first = open_tracker()
    first.log_step(step_record(1, reward_mean=0.1))
    first.log_evaluation(EvaluationRecord(START, 0, 1.0, ()))
    state = first.state()
    first.log_step(step_record(2, reward_mean=0.2))
    first.log_event("fault", what="worker died")
    with open(tmp_path / EVENTS, "ab") as events:
        events.write(b'{"kind": "torn')

    second = open_tracker(state=json.loads(json.dumps(state)))
    second.log_step(step_record(2, reward_mean=0.3))

    assert [line["reward/mean"] for line in read_log(tmp_path / METRICS)] == [0.1, 0.3]
    assert [line["global_step"] for line in read_log(tmp_path / METRICS)] == [1, 2]
    assert len(read_log(tmp_path / EVALUATIONS)) == 1
    aside = read_log(tmp_path / "superseded" / "attempt_1" / METRICS)
    assert [line["reward/mean"] for line in aside] == [0.2]
    kinds = [line["kind"] for line in read_log(tmp_path / EVENTS)]
    assert kinds == ["attempt_start", "fault", "attempt_start"]
    assert second.attempt == 2


def test_without_a_checkpoint_the_lines_of_the_attempt_before_do_not_count(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    open_tracker().log_step(step_record(1))
    open_tracker().log_step(step_record(1))
    assert len(read_log(tmp_path / METRICS)) == 1


def test_elapsed_time_goes_on_over_attempts(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    (tmp_path / EVENTS).write_text('{"kind": "attempt_start", "elapsed_s": 1000.0}\n')
    assert 1000.0 <= open_tracker().elapsed_s < 1060.0


def test_a_log_shorter_than_at_the_checkpoint_is_said(
    tmp_path: Path, open_tracker: Callable[..., FileTracker]
) -> None:
    open_tracker(state={METRICS: 100})
    notices = [line for line in read_log(tmp_path / EVENTS) if line["kind"] == "notice"]
    assert [notice["source"] for notice in notices] == [METRICS]


def test_reading_skips_a_torn_last_line_but_not_a_broken_one(tmp_path: Path) -> None:
    log = tmp_path / METRICS
    log.write_text('{"step": 1}\n{"step": ')
    assert read_log(log) == [{"step": 1}]
    log.write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:2"):
        read_log(log)
    assert read_log(tmp_path / "absent") == []


class Remembering:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.records: list[tuple[int, Record]] = []
        self.closed = False

    def write(self, global_step: int, record: Record) -> None:
        self.records.append((global_step, record))

    def close(self) -> None:
        self.closed = True


def test_sinks_see_every_record_in_order(tmp_path: Path) -> None:
    sink = Remembering()
    tracker = FileTracker(tmp_path, {"memory": lambda: sink})
    tracker.log_step(step_record(1))
    tracker.log_step(step_record(2))
    tracker.log_event("publish", version=2)
    tracker.close()
    assert [step for step, _ in sink.records] == [1, 2, 2]
    assert sink.closed


def test_a_sink_that_raises_is_one_notice_and_the_logs_are_complete(tmp_path: Path) -> None:
    class Raising(Remembering):
        def write(self, global_step: int, record: Record) -> None:
            raise ConnectionError("no network")

    tracker = FileTracker(tmp_path, {"wandb": Raising})
    for step in range(1, 51):
        tracker.log_step(step_record(step))
    tracker.close()
    assert len(read_log(tmp_path / METRICS)) == 50
    (notice,) = [line for line in read_log(tmp_path / EVENTS) if line["kind"] == "notice"]
    assert notice["source"] == "wandb"
    assert "no network" in notice["message"]


def test_a_sink_that_blocks_holds_nothing_up_and_is_one_warning() -> None:
    release = threading.Event()
    warnings: list[str] = []

    class Blocking(Remembering):
        def write(self, global_step: int, record: Record) -> None:
            release.wait()

    sink = BackgroundSink[Record](
        "wandb", Blocking, lambda _, what: warnings.append(what), capacity=5, close_timeout_s=0.1
    )
    began = time.monotonic()
    for step in range(1000):
        sink.put(step, step_record(step))
    sink.close()
    assert time.monotonic() - began < 10.0
    assert warnings == ["does not keep up; some records are missing there"]
    release.set()


def test_a_sink_that_cannot_be_opened_is_one_warning() -> None:
    def fail() -> Remembering:
        raise OSError("refused")

    warnings: list[str] = []
    sink = BackgroundSink[Record]("wandb", fail, lambda _, what: warnings.append(what))
    sink.close()
    sink.put(1, step_record(1))
    assert len(warnings) == 1
