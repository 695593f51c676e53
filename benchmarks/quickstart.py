"""The quickstart run, for several seeds: minutes, memory, and what reinforcement learning adds."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.figures import Bound, Figures, Target

TARGET: Target = {
    "max_minutes": Bound("<=", 12),
    "max_peak_memory_gb": Bound("<=", 10),
    "mean_gain_points": Bound(">=", 40),
    "min_gain_points": Bound(">=", 30),
    "max_controller_overhead": Bound("<=", 0.10),
    "max_logprob_difference": Bound("<", 1e-4),
}


def run(seeds: str = "17,18,19") -> Figures:
    """Train one run a seed, one after the other; about ten minutes each on two cores.

    Minutes are those of the whole command. Raises CalledProcessError when a run fails.
    """
    runs = {seed: train(seed) for seed in seeds.split(",")}
    gains = [figures["gain_points"] for figures in runs.values()]
    return {
        "max_minutes": max(figures["minutes"] for figures in runs.values()),
        "max_peak_memory_gb": max(figures["peak_memory_gb"] for figures in runs.values()),
        "mean_gain_points": mean(gains),
        "min_gain_points": min(gains),
        "max_controller_overhead": max(f["controller_overhead"] for f in runs.values()),
        "max_logprob_difference": max(f["max_logprob_difference"] for f in runs.values()),
        **{f"seed_{s}/{name}": figure for s, f in runs.items() for name, figure in f.items()},
    }


def train(seed: str) -> dict[str, float]:
    """The figures of one run, which leaves no files behind."""
    with tempfile.TemporaryDirectory(prefix="assay-quickstart-") as folder:
        name = f"seed_{seed}"
        command = [sys.executable, "-m", "launch.cli", "train", "quickstart"]
        began = time.perf_counter()
        subprocess.run([*command, f"seed={seed}", f"name={name}", f"output={folder}"], check=True)
        seconds = time.perf_counter() - began
        report = json.loads((Path(folder) / name / "report.json").read_text())
    return {"minutes": seconds / 60, **figures_of(report)}


def figures_of(report: dict[str, Any]) -> dict[str, float]:
    """What the benchmark takes from a report.json."""
    accuracy = {name: stage["pass_at_1"] for name, stage in report["stages"].items()}
    return {
        "peak_memory_gb": report["peak_memory_gb"],
        "controller_overhead": report["controller_overhead"],
        "max_logprob_difference": report["max_logprob_difference"],
        **{f"pass_at_1_{name}": value for name, value in accuracy.items()},
        "gain_points": 100 * (accuracy["reasoning"] - accuracy["sft"]),
    }
