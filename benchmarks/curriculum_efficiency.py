"""Generated tokens that the curriculum needs to come as far as uniform GRPO, on a mix in thirds.

The tasks are the preset `curriculum_mix`: finance questions that are easy, learnable and hopeless
for a tiny model after its SFT. `assay experiment curriculum` trains all arms under every seed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.figures import Bound, Figures, Target
from launch.figures import accuracy_of, read_evaluations
from rl.tracking import START

TARGET: Target = {"pass_rate/token_share": Bound("<=", 0.6)}

ARMS = "uniform,pruned,pass_rate"


def run(
    seeds: int = 3,
    tokens: int = 200_000,
    profile_tasks: int = 0,
    pruned_batch_size: int = 8,
    model: str = "",
    out: str = "",
) -> Figures:
    """Train `seeds` runs of `tokens` generated tokens an arm; the runs are kept where `out` names a
    folder, and those that are there already are not trained again.

    token_share is the tokens at which an arm has uniform's final held-out accuracy, those of its
    profile included, as a share of uniform's; None where a seed never came there. Raises
    CalledProcessError when a run fails.
    """
    with tempfile.TemporaryDirectory(prefix="assay-curriculum-") as folder:
        runs = Path(out or folder)
        options = {"arms": ARMS, "seeds": seeds, "tokens": tokens, "out": runs, "model": model}
        options |= {"profile-tasks": profile_tasks, "pruned-batch-size": pruned_batch_size}
        command = [sys.executable, "-m", "launch.cli", "experiment", "curriculum"]
        given = [f"--{name}={value}" for name, value in options.items() if value != ""]
        subprocess.run([*command, *given], check=True)
        report = json.loads((runs / "report.json").read_text())
        return figures_of(report) | difficulty(runs)


def figures_of(report: dict[str, Any]) -> Figures:
    """What the benchmark takes from a report.json of the experiment."""
    figures: Figures = {}
    for arm, found in report["arms"].items():
        for name in ("token_share", "arrival", "final_accuracy", "gradient_share"):
            mean, low, high = found[name] or (None, None, None)
            figures |= {f"{arm}/{name}": mean, f"{arm}/{name}_low": low, f"{arm}/{name}_high": high}
        for number, share in enumerate(found["token_shares"]):
            figures[f"{arm}/token_share_of_seed_{number}"] = share
        figures[f"{arm}/profile_tokens"] = float(report["profile_tokens"].get(arm, 0))
    return figures


def difficulty(runs: Path) -> Figures:
    """Held-out pass@1 of each kind of question before RL: what makes it easy or hopeless."""
    run_dir = sorted(runs.glob("seed_*/"))[0]
    [start] = [e for e in read_evaluations(run_dir) if e.stage == START]
    kinds = sorted({result.labels["task"] for result in start.results})
    return {
        f"start/{kind}": accuracy_of(
            [result for result in start.results if result.labels["task"] == kind], seed=0
        ).pass_at_1
        for kind in kinds
    }
