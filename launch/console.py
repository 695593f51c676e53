"""What a person sees while a run goes on, and where everything else that is printed goes.

Ray, vLLM and DeepSpeed print a lot, partly from C++ and from child processes, so the file
descriptors themselves are sent to files under `logs/attempt_N/`, one per process:

    logs = log_dir(run_dir, next_attempt(run_dir))
    with quiet_output(logs / "driver.log") as terminal:
        tracker = FileTracker(run_dir, {"console": lambda: Console(terminal)})
        ray.init(log_to_driver=False)  # each actor begins with send_output_to(logs / "NAME.log")

and only the console writes to the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from rewards.logs import loggable
from rl.evaluate import SET_LABEL
from rl.tracking import BOOKKEEPING, START, EvaluationRecord, Record, StepRecord, TaskResult

ETA_WINDOW = 20  # steps whose mean duration predicts the rest


class Console:
    """A tracker sink: one line a step and an evaluation, with a live bar below on a terminal.

    `live` False leaves the bar out: it would write over the prompt of a debugger.
    """

    def __init__(self, file: TextIO | None = None, live: bool = True) -> None:
        self._rich = RichConsole(
            file=file,
            force_terminal=None if live else False,
            highlight=False,
            markup=False,
            emoji=False,
        )
        self._durations: deque[float] = deque(maxlen=ETA_WINDOW)
        self._progress: Progress | None = None
        self._stage = ""

    def write(self, global_step: int, record: Record) -> None:
        if isinstance(record, StepRecord):
            self._write_step(record)
        elif isinstance(record, EvaluationRecord):
            self._print(evaluation_line(record), "bold cyan")
        elif record.kind not in BOOKKEEPING:
            self._print(event_line(record.kind, record.fields), "yellow")

    def close(self) -> None:
        if self._progress:
            self._progress.stop()

    def _write_step(self, record: StepRecord) -> None:
        if record.stage != self._stage:
            self._stage = record.stage
            self._durations.clear()
        self._durations.append(record.metrics.get("time/step", 0.0))
        mean_s = sum(self._durations) / len(self._durations)
        eta = clock((record.num_steps - record.step) * mean_s)
        self._print(step_line(record, eta), "")
        if self._rich.is_terminal:
            self._move_bar(record, eta)

    def _move_bar(self, record: StepRecord, eta: str) -> None:
        if self._progress is None:
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=40),
                TextColumn("{task.completed}/{task.total}  {task.fields[eta]} left"),
                console=self._rich,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar = self._progress.add_task("", total=1, eta="")
            self._progress.start()
        self._progress.update(
            self._bar,
            description=printable(record.stage),
            completed=record.step,
            total=record.num_steps,
            eta=eta,
        )

    def _print(self, line: str, style: str) -> None:
        self._rich.print(Text(line, style), soft_wrap=True)


def step_line(record: StepRecord, eta: str) -> str:
    """The line of one step; what a record does not hold is left out.

    Example: `reasoning 12/200  reward 0.412  accuracy 41.2 %  1,234 tok/s  length 32
    gradient 71%  stale 0  dropped 5 (zero_variance 4, fault 1)  1.9 s  ETA 6:20`
    """
    metrics = record.metrics
    width = len(str(record.num_steps))
    parts = [f"{printable(record.stage)} {record.step:>{width}}/{record.num_steps}"]
    for template, name in (
        ("reward {:.3f}", "reward/mean"),
        ("accuracy {:5.1%}", "reward/accuracy"),
        ("loss {:.4f}", "loss/mean" if record.kind == "sft" else ""),
        ("lr {:.1e}", "learner/lr" if record.kind == "sft" else ""),
    ):
        if name in metrics:
            parts.append(template.format(metrics[name]))
    seconds = metrics.get("time/step", 0.0)
    tokens = metrics.get("tokens/generated") or metrics.get("tokens/trained", 0.0)
    if seconds > 0:
        parts.append(f"{tokens / seconds:>6,.0f} tok/s")
    if "length/mean" in metrics:
        parts.append(f"length {metrics['length/mean']:.0f}")
    if "tokens/gradient_share" in metrics:
        parts.append(f"gradient {metrics['tokens/gradient_share']:.0%}")
    if record.kind == "rl":
        parts.append(f"stale {metrics.get('staleness/max', 0):.0f}")
        parts.append(dropped_by_cause(metrics))
    parts += [f"{seconds:.1f} s", f"ETA {eta}"]
    return "  ".join(parts)


def dropped_by_cause(metrics: Mapping[str, float]) -> str:
    """Example: `dropped 5 (zero_variance 4, fault 1)`, the most frequent cause first."""
    prefix = "group/dropped/"
    causes = {n.removeprefix(prefix): v for n, v in metrics.items() if n.startswith(prefix) and v}
    ordered = sorted(causes.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{printable(cause)} {count:.0f}" for cause, count in ordered)
    return f"dropped {sum(causes.values()):.0f}" + (f" ({named})" if named else "")


def evaluation_line(record: EvaluationRecord) -> str:
    """Example: `held-out after sft: pass@1 20.5 % (finance 23.5 %, price 17.5 %), greedy ...`."""
    when = "before training" if record.stage == START else f"after {printable(record.stage)}"
    when += f" {record.step}" if record.step else ""
    if not record.results:
        return f"held-out {when}: no task was evaluated"
    modes = {
        "thinking": [result for result in record.results if result.thinking],
        "non-thinking": [result for result in record.results if not result.thinking],
    }
    parts = [f"pass@1 {_pass_at_1(record.results):.1%}{_by_set(record.results)}"]
    parts.append(f"greedy {_share([result.greedy_correct for result in record.results]):.1%}")
    parts += [f"{mode} {_pass_at_1(results):.1%}" for mode, results in modes.items() if results]
    parts.append(f"{len(record.results)} tasks in {record.seconds:.1f} s")
    if record.prompts_too_long:
        parts.append(f"{record.prompts_too_long} left out: prompt too long")
    return f"held-out {when}: " + ", ".join(parts)


def event_line(kind: str, fields: Mapping[str, object]) -> str:
    """Example: `fault: worker rollout-1, cause deadline`; a notice: its source and message."""
    if kind == "notice":
        return printable(f"{fields['source']}: {fields['message']}")
    named = ", ".join(f"{key} {value}" for key, value in fields.items())
    return printable(f"{kind}: {named}" if named else kind)


def printable(text: str, limit: int = 300) -> str:
    """The text as one line that cannot steer a terminal: see `loggable`."""
    return loggable(text, limit)


def clock(seconds: float) -> str:
    """Example: 3671 -> `1:01:11`, 71 -> `1:11`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def log_dir(run_dir: Path, attempt: int) -> Path:
    """Where the processes of one attempt (1, 2, ...) put what they and their libraries print."""
    return run_dir / "logs" / f"attempt_{attempt}"


def send_output_to(log_file: Path) -> None:
    """Sends all that this process and its later children print to a file, for good.

    Call it first thing in an actor, before a library keeps hold of a stream.
    """
    log_file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


@contextlib.contextmanager
def quiet_output(log_file: Path) -> Iterator[TextIO]:
    """Like `send_output_to` until the block ends; yields what standard output was before."""
    saved = os.dup(1), os.dup(2)
    encoding = sys.stdout.encoding or "utf-8"
    terminal = open(saved[0], "w", encoding=encoding, errors="backslashreplace", closefd=False)  # noqa: SIM115
    send_output_to(log_file)
    try:
        yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        terminal.flush()
        for number, descriptor in enumerate(saved, start=1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _by_set(results: Sequence[TaskResult]) -> str:
    """Example: ` (finance 23.5 %, price 17.5 %)`; nothing where there is one set."""
    sets: dict[str, list[TaskResult]] = {}
    for result in results:
        if SET_LABEL in result.labels:
            sets.setdefault(result.labels[SET_LABEL], []).append(result)
    named = ", ".join(f"{printable(name)} {_pass_at_1(of):.1%}" for name, of in sets.items())
    return f" ({named})" if named else ""


def _pass_at_1(results: Sequence[TaskResult]) -> float:
    return _share([result.num_correct / result.num_samples for result in results])


def _share(values: list[float] | list[bool]) -> float:
    return sum(values) / len(values)
