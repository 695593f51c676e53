"""Training samples per second of the whole loop against TRL's GRPOTrainer, side by side.

Same model, prompts, group size, lengths, dtype, number of threads. One step is generation, scoring,
training and, on our side, publishing with its check. Sides take turns, A B A B, each idle while the
other is timed; the first turns of each are not counted.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from benchmarks.figures import Bound, Figures, Target
from benchmarks.loop_workload import CONFIG, FIXED, HEAVY_TAILED, NUM_SAMPLES, Turn
from configs.load import load

TARGET: Target = {
    "float32/fixed/times_trl": Bound(">=", 1.2),
    "bfloat16/fixed/times_trl": Bound(">=", 1.5),
}

THREADS = 2
TRL_MICRO_BATCH = 32
WARM_UP_TURNS = 2
STOP_S = 120.0
LENGTHS = (FIXED, HEAVY_TAILED)
ENVIRONMENT = {
    "OMP_NUM_THREADS": str(THREADS),
    "OMP_WAIT_POLICY": "PASSIVE",  # what our actors have; threads that spin slow both sides down
    "TOKENIZERS_PARALLELISM": "false",
}
BFLOAT16 = ("publish.max_logprob_difference=1.0",)
"""bfloat16 rounds in other places in the engine than in the learner."""


@dataclass(slots=True)
class Side:
    """One of the two processes, and what it took in each turn that counts."""

    process: subprocess.Popen[str]
    seconds: list[dict[str, float]] = field(default_factory=list)

    def take(self, turn: Turn) -> dict[str, float]:
        """One step; raises RuntimeError when the side has ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(turn.as_line())
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args!r} ended; its output says why")
        reply: dict[str, float] = json.loads(line)
        return reply

    def cpu_seconds(self) -> float:
        """Processor time of the process and its children so far."""
        root = psutil.Process(self.process.pid)
        times = [p.cpu_times() for p in (root, *root.children(recursive=True))]
        return float(sum(t.user + t.system for t in times))


def run(rounds: int = 5, dtypes: str = "float32,bfloat16") -> Figures:
    """`rounds` turns a side for each dtype and distribution of lengths; medians of them."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="assay-loop-") as folder:
        model, endless = build_models(Path(folder))
        for dtype in dtypes.split(","):
            overrides = [f"model.dtype={dtype}", *(BFLOAT16 if dtype == "bfloat16" else ())]
            trl = [str(model), dtype, str(THREADS), str(TRL_MICRO_BATCH)]
            with ExitStack() as stack:
                ours = stack.enter_context(side("loop_ours", [str(endless), *overrides]))
                theirs = stack.enter_context(side("loop_trl", trl))
                for lengths in LENGTHS:
                    measured = measure(ours, theirs, lengths, rounds)
                    figures |= {f"{dtype}/{lengths}/{name}": f for name, f in measured.items()}
    return figures


def build_models(folder: Path) -> tuple[Path, Path]:
    """The model, and the same with no end-of-sequence token in its settings."""
    from launch.models import tokenizer_texts
    from rl.model import build_model

    model, endless = folder / "model", folder / "endless"
    build_model(load(str(CONFIG)).config.model.build, 17, model, tokenizer_texts())
    shutil.copytree(model, endless)
    for name in ("config.json", "generation_config.json"):
        settings = json.loads((endless / name).read_text())
        settings.pop("eos_token_id", None)
        (endless / name).write_text(json.dumps(settings))
    return model, endless


@contextmanager
def side(module: str, arguments: Sequence[str]) -> Iterator[Side]:
    """Start a side, and end it with all its processes when the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"benchmarks.{module}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    try:
        yield Side(process)
    finally:
        process.communicate(timeout=STOP_S)  # the end of its input tells it to stop


def measure(ours: Side, theirs: Side, lengths: str, rounds: int) -> dict[str, Any]:
    """Figures of one distribution of lengths."""
    for number in range(WARM_UP_TURNS):
        for each in (ours, theirs):
            each.take(Turn(lengths, number))
    ours.seconds, theirs.seconds = [], []
    idle: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(WARM_UP_TURNS, WARM_UP_TURNS + rounds):
        for each, other, name in ((ours, theirs, "theirs"), (theirs, ours, "ours")):
            before = other.cpu_seconds()
            each.seconds.append(each.take(Turn(lengths, number)))
            idle[name].append((other.cpu_seconds() - before) / each.seconds[-1]["step"])
    mine, other_step = phases(ours), phases(theirs)
    return {
        "times_trl": other_step["step"] / mine["step"],
        "samples_per_s": NUM_SAMPLES / mine["step"],
        "trl_samples_per_s": NUM_SAMPLES / other_step["step"],
        **{f"{name}_s": value for name, value in mine.items()},
        **{f"trl_{name}_s": value for name, value in other_step.items()},
        "idle_cores": max(idle["ours"]),
        "trl_idle_cores": max(idle["theirs"]),
    }


def phases(one: Side) -> dict[str, float]:
    """Median seconds of a step and of its phases; `rest` is the median of what is left."""
    names = one.seconds[0]
    medians = {name: median(step[name] for step in one.seconds) for name in names}
    rests = [2 * step["step"] - sum(step.values()) for step in one.seconds]
    return {**medians, "rest": median(rests)}
