"""Recomputes the figures of a run's report.json from its raw logs, with no code of the product.

    python -m benchmarks.recompute_report RUN_DIR

Prints one line a figure and ends with 1 when one differs, 2 when there is nothing to compare. Sums,
means, pass@k and the accounting of groups must agree to rounding. A bootstrap interval must be one
by a resampling of this script's own: close to 2.5 % of the resampled means lie beyond each end.
"""

from __future__ import annotations

import functools
import json
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Line = dict[str, Any]
Figures = dict[str, Any]

ABSENT = "absent"
RESAMPLES = 10_000
TAIL = 0.025
TAIL_TOLERANCE = 0.02  # five standard errors of a share of 2.5 % over the report's 2,000 resamples
RELATIVE_TOLERANCE = 1e-9
NOT_COUNTED = {"attempt_start", "run_start", "run_end", "publish", "memory", "calibration"}


class Row(NamedTuple):
    """One compared figure."""

    name: str
    reported: Any
    recomputed: Any
    agrees: bool


class IntervalEnd(NamedTuple):
    """An end of an interval over tasks, to be judged by the tasks' values."""

    values: tuple[float, ...]
    upper: bool

    def shares_beyond(self, end: float) -> tuple[float, float]:
        """Shares of resampled means strictly beyond the end, and beyond it or at it."""
        means = resampled_means(self.values)
        distance = means - end if self.upper else end - means
        return float((distance > 1e-9).mean()), float((distance > -1e-9).mean())


@functools.cache
def resampled_means(values: tuple[float, ...]) -> NDArray[np.float64]:
    """Means over tasks drawn with replacement, as many as there are."""
    draws = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    means: NDArray[np.float64] = np.array(values)[draws].mean(axis=1)
    return means


def compare(run_dir: Path) -> list[Row]:
    """Every figure of report.json beside its recomputation; a figure on one side only disagrees."""
    reported = dict(leaves(json.loads((run_dir / "report.json").read_text())))
    recomputed = recompute(run_dir)
    names = dict.fromkeys([*recomputed, *reported])
    rows = [judge(n, reported.get(n, ABSENT), recomputed.get(n, ABSENT)) for n in names]
    fates = {n: value for n, value in reported.items() if n.startswith("groups.")}
    dispatched = fates.pop("groups.dispatched", ABSENT)
    return [*rows, judge("groups add up", dispatched, sum(fates.values()))]


def judge(name: str, reported: Any, recomputed: Any) -> Row:
    """Whether two values of a figure agree: to rounding, or for an interval's end in its tail."""
    if isinstance(recomputed, IntervalEnd):
        if not isinstance(reported, float):
            return Row(name, reported, "an interval end", False)
        below, up_to = recomputed.shares_beyond(reported)
        agrees = below <= TAIL + TAIL_TOLERANCE and up_to >= TAIL - TAIL_TOLERANCE
        return Row(name, reported, f"{below:.2%} to {up_to:.2%} beyond", agrees)
    if isinstance(reported, float) and isinstance(recomputed, float):
        agrees = math.isclose(reported, recomputed, rel_tol=RELATIVE_TOLERANCE, abs_tol=1e-9)
    else:
        agrees = reported == recomputed
    return Row(name, reported, recomputed, agrees)


def leaves(tree: Figures, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dictionaries with their dotted names."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def recompute(run_dir: Path) -> Figures:
    """The figures by dotted name, from the raw lines."""
    steps, events, evaluations = (
        load(run_dir / f"{name}.jsonl") for name in ("metrics", "events", "evaluations")
    )
    start = {}
    for event in events:
        if event["kind"] == "run_start":
            start = event
    ends = [event["status"] for event in events if event["kind"] == "run_end"]
    figures: Figures = {
        "name": start.get("name", run_dir.name),
        "status": ends[-1] if ends else "unfinished",
        "attempts": len([event for event in events if event["kind"] == "attempt_start"]),
        "seed": start.get("seed", 0),
        "config_digest": start.get("config_digest", ""),
        "code": start.get("code", ""),
        **{f"versions.{k}": v for k, v in start.get("versions", {}).items()},
    }
    counts = Counter(event["kind"] for event in events)
    figures |= {f"events.{kind}": n for kind, n in counts.items() if kind not in NOT_COUNTED}
    figures |= run_figures(steps, events, evaluations)
    figures |= group_figures(steps) | generation_figures(steps)
    for stage in {line["stage"] for line in [*steps, *evaluations]}:
        mine = [line for line in steps if line["stage"] == stage]
        judged = [line for line in evaluations if line["stage"] == stage]
        prefix = f"stages.{stage}."
        figures |= {prefix + name: value for name, value in stage_figures(mine, judged).items()}
    return figures


def load(path: Path) -> list[Line]:
    """The complete lines of a log; one without its newline was never finished."""
    text = path.read_text() if path.exists() else ""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def total(lines: list[Line], name: str) -> float:
    return math.fsum(line[name] for line in lines if line.get(name) is not None)


def run_figures(steps: list[Line], events: list[Line], evaluations: list[Line]) -> Figures:
    """Time, memory and agreement over the whole run."""
    generate, train, publish, stepping = (
        total(steps, f"time/{phase}") for phase in ("generate", "train", "publish", "step")
    )
    evaluating = total(evaluations, "seconds")
    seconds = max(line["elapsed_s"] for line in [*steps, *events, *evaluations])
    publishes = [line.get("publish/max_logprob_difference") for line in steps]
    publishes += [e.get("max_logprob_difference") for e in events if e["kind"] == "publish"]
    kls = [line["mismatch_kl"] for line in steps if line.get("mismatch_kl") is not None]
    memory = [event["peak_gb"] for event in events if event["kind"] == "memory"]
    overhead, whole = 0.0, 0.0
    for line in steps:
        if line["kind"] == "rl" and line.get("staleness/limit") == 0:
            whole += line["time/step"]
            worked = line.get("time/generate", 0.0) + line.get("time/train", 0.0)
            overhead += line["time/step"] - worked
    return {
        "seconds": seconds,
        "phases.generate": generate,
        "phases.train": train,
        "phases.publish": publish,
        "phases.rest_of_steps": stepping - generate - train - publish,
        "phases.evaluation": evaluating,
        "phases.outside_steps": seconds - stepping - evaluating,
        "peak_memory_gb": max(memory, default=None),
        "max_logprob_difference": max((d for d in publishes if d is not None), default=None),
        "max_mismatch_kl": max(kls, default=None),
        "controller_overhead": overhead / whole if whole else None,
    }


def group_figures(steps: list[Line]) -> Figures:
    """What became of the groups."""
    dropped: Counter[str] = Counter()
    owed: dict[str, int] = {}
    for line in steps:
        owed[line["stage"]] = int(line.get("group/owed") or 0)
        for name, value in line.items():
            if name.startswith("group/dropped/"):
                dropped[name.split("/", 2)[2]] += int(value or 0)
    return {
        "groups.dispatched": int(total(steps, "group/dispatched")),
        "groups.trained": int(total(steps, "group/trained")),
        "groups.owed": sum(owed.values()),
        **{f"groups.dropped.{reason}": count for reason, count in dropped.items()},
    }


def generation_figures(steps: list[Line]) -> Figures:
    """Where the generated tokens and the seconds of generation went."""
    lines = [line for line in steps if line["kind"] == "rl"]
    tokens, seconds = total(lines, "tokens/generated"), total(lines, "time/generate")
    if tokens == 0:
        return {"generation": None}
    reasons = {n.split("/", 2)[2] for line in lines for n in line if n.startswith("group/dropped/")}
    spent = {
        f"dropped.{reason}": [total(lines, f"{a}/dropped/{reason}") for a in ("group", "tokens")]
        for reason in reasons
    }
    took = {f"dropped.{reason}": total(lines, f"time/dropped/{reason}") for reason in reasons}
    took["trained"] = seconds - math.fsum(took.values())
    spent["trained"] = [total(lines, "group/trained"), total(lines, "tokens/trained")]
    trained = [line for line in lines if line.get("length/trained") and line.get("length/mean")]
    ratios = math.fsum(line["length/trained"] / line["length/mean"] for line in trained)
    figures: Figures = {
        "generation.tokens": int(tokens),
        "generation.seconds": seconds,
        "generation.gradient_tokens": int(total(lines, "tokens/gradient")),
        "generation.gradient_share": total(lines, "tokens/gradient") / tokens,
        "generation.length_ratio": ratios / len(trained) if trained else None,
        "generation.no_verdict_tokens": int(total(lines, "tokens/no_verdict")),
    }
    for fate, (groups, of_tokens) in spent.items():
        figures |= {
            f"generation.{fate}.groups": int(groups),
            f"generation.{fate}.tokens": int(of_tokens),
            f"generation.{fate}.token_share": of_tokens / tokens,
            f"generation.{fate}.seconds": took[fate],
            f"generation.{fate}.second_share": took[fate] / seconds if seconds else 0.0,
        }
    return figures


def stage_figures(steps: list[Line], evaluations: list[Line]) -> Figures:
    """One stage: its cost, and its last evaluation whole and in slices."""
    results = evaluations[-1]["results"] if evaluations else []
    figures = {
        "seconds": total(steps, "time/step"),
        "evaluation_seconds": total(evaluations, "seconds"),
        "steps": len(steps),
        "generated_tokens": int(total(steps, "tokens/generated")),
        "trained_tokens": int(total(steps, "tokens/trained")),
        **generation_figures(steps),
        **accuracy_figures(results, "pass_at_1"),
    }
    slices: defaultdict[str, list[Line]] = defaultdict(list)
    for result in results:
        mode = "thinking" if result["thinking"] else "non_thinking"
        slices[f"by_mode.{mode}"].append(result)
        for label, value in result["labels"].items():
            place = f"by_level.{value}" if label == "level" else f"by_label.{label}.{value}"
            slices[place].append(result)
    for place, members in slices.items():
        mean_name = "accuracy" if place.startswith("by_mode") else "pass_at_1"
        for name, value in accuracy_figures(members, mean_name).items():
            figures[f"{place}.{name}"] = value
    return figures


def accuracy_figures(results: list[Line], mean_name: str) -> Figures:
    names = ("ci_low", "ci_high", "pass_at_10", "greedy", "tokens", "seconds_per_answer")
    if not results:
        return {**dict.fromkeys((mean_name, *names)), "pass_at_10_tasks": 0, "tasks": 0}
    shares = tuple(result["num_correct"] / result["num_samples"] for result in results)
    answers = sum(result["num_samples"] for result in results)
    return {
        mean_name: math.fsum(shares) / len(shares),
        "ci_low": IntervalEnd(shares, upper=False),
        "ci_high": IntervalEnd(shares, upper=True),
        "pass_at_10": mean_pass_at_10(results),
        "pass_at_10_tasks": sum(result["num_samples"] >= 10 for result in results),
        "greedy": [result["greedy_correct"] for result in results].count(True) / len(results),
        "tasks": len(results),
        "tokens": sum(result["tokens"] for result in results) / answers,
        "seconds_per_answer": math.fsum(result["seconds"] for result in results) / answers,
    }


def mean_pass_at_10(results: list[Line]) -> float | None:
    """One minus the chance that ten of the n samples are all among the n - c wrong ones.

    Over the tasks with ten samples; samples without a verdict leave others with fewer.
    """
    failing = [
        math.comb(r["num_samples"] - r["num_correct"], 10) / math.comb(r["num_samples"], 10)
        for r in results
        if r["num_samples"] >= 10
    ]
    return 1.0 - math.fsum(failing) / len(failing) if failing else None


def main(arguments: list[str]) -> int:
    """Prints the comparison of one run directory; returns the exit code."""
    if len(arguments) != 1 or not (Path(arguments[0]) / "report.json").exists():
        print("usage: python -m benchmarks.recompute_report RUN_DIR (a folder with report.json)")
        return 2
    rows = compare(Path(arguments[0]))
    width = max(len(row.name) for row in rows)
    for row in rows:
        verdict = "ok  " if row.agrees else "DIFF"
        print(f"{verdict}  {row.name:<{width}}  {shown(row.reported):>14}  {shown(row.recomputed)}")
    differing = sum(not row.agrees for row in rows)
    print(f"{len(rows)} figures, {differing} differ")
    return 1 if differing else 0


def shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
