"""Training samples per second with a slow tool, beside TRL's tool loop.

Same model, tasks, tool, group size and threads, one process after the other. Each sample calls a
tool whose time is log-normal (median 50 ms, 99th percentile 2 s) and then answers. One step is
generation with the calls, scoring and training; on our side publishing with its check, too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figures import Bound, Figures, Target
from benchmarks.loop_vs_trl import ENVIRONMENT, THREADS
from benchmarks.tool_workload import build_config, build_fitted
from configs.load import load
from rl.jsonl import read_log

TARGET: Target = {"times_trl": Bound(">=", 3)}
CONFIG = Path(__file__).with_name("tools_vs_trl.yaml")
WARM_UP_STEPS = 2


def run(steps: int = 5) -> Figures:
    """Medians over `steps` steps a side, after two that are not counted."""
    stage = load(str(CONFIG)).config.stages["loop"]
    samples = stage.batch_size * stage.group_size
    with tempfile.TemporaryDirectory(prefix="assay-tools-") as folder:
        model = Path(folder) / "model"
        build_fitted(model, build_config(), kinds=(1,))
        ours, called = _ours(model, Path(folder), WARM_UP_STEPS + steps)
        theirs = _theirs(model, WARM_UP_STEPS + steps)
    ours_s = median(step["time/step"] for step in ours[WARM_UP_STEPS:])
    theirs_s = median(theirs["seconds"][WARM_UP_STEPS:])
    return {
        "times_trl": theirs_s / ours_s,
        "samples_per_s": samples / ours_s,
        "trl_samples_per_s": samples / theirs_s,
        "step_s": ours_s,
        "trl_step_s": theirs_s,
        "calls_a_sample": called,
        "trl_calls_a_sample": theirs["calls"],
        "tokens_a_sample": median(step["length/mean"] for step in ours),
        "trl_tokens_a_sample": theirs["tokens"],  # with those of the tool's reply
    }


def _ours(model: Path, folder: Path, steps: int) -> tuple[list[dict[str, Any]], float]:
    changes = [f"model.path={model}", f"output={folder}/runs", f"stages.loop.steps={steps}"]
    command = [sys.executable, "-m", "launch.cli", "train", str(CONFIG), *changes]
    subprocess.run(command, check=True, env={**os.environ, **ENVIRONMENT})
    logged = list(read_log(folder / "runs" / "tools_vs_trl" / "metrics.jsonl"))
    return logged, median(step.get("tools/calls", 0.0) for step in logged)


def _theirs(model: Path, steps: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.tools_trl", str(model), str(THREADS), str(steps)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env={**os.environ, **ENVIRONMENT}
    )
    reply: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return reply
