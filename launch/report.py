"""What is written at the end of a run: report.json, report.md and the curves."""

from __future__ import annotations

import html
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from launch.console import clock, printable
from launch.figures import (
    Accuracy,
    Cost,
    Generation,
    Report,
    StageFigures,
    compute_report,
    read_evaluations,
)
from launch.plots import draw_all
from launch.report_judge import judge_section
from rl.evaluate import SET_LABEL
from rl.jsonl import read_log
from rl.pruning import ADVICE
from rl.tracking import BOOKKEEPING, EVENTS, METRICS, START, TRAJECTORIES, EvaluationRecord

NUM_EXAMPLES = 3
NUM_NOTICES = 5
WORTH_ADVICE = 0.1  # share of the generated tokens that went to one reason


def write_report(run_dir: Path) -> Report:
    """Writes report.json, report.md and plots/*.png of a run and returns the figures.

    Call it when the tracker is closed: what is logged later is not in it. Raises DataError where
    there is no run to report on.
    """
    report = compute_report(run_dir)
    plots = draw_all(report, read_log(run_dir / METRICS), run_dir / "plots")
    (run_dir / "report.json").write_text(json.dumps(report.as_dict(), indent=2) + "\n")
    page = render_page(
        report,
        {plot.stem: plot.relative_to(run_dir).as_posix() for plot in plots},
        read_log(run_dir / TRAJECTORIES),
        read_log(run_dir / EVENTS),
        read_evaluations(run_dir),
    )
    (run_dir / "report.md").write_text(page, encoding="utf-8")
    return report


def render_page(
    report: Report,
    plots: Mapping[str, str],
    trajectories: Sequence[Mapping[str, Any]],
    events: Sequence[Mapping[str, Any]],
    evaluations: Sequence[EvaluationRecord] = (),
) -> str:
    """The report as Markdown; `plots` are paths by name, relative to the page."""
    sections = [
        f"# {_cell(report.name)}",
        _summary(report),
        "## Held-out accuracy",
        _accuracy_section(report),
        _image(plots, "accuracy"),
        _breakdowns(report),
        "## Training",
        *(_image(plots, name) for name in ("reward", "length", "dropped")),
        _groups_section(report),
        judge_section(evaluations, events),
        "## Time and memory",
        _time_section(report),
        _image(plots, "time"),
        "## Checks",
        _checks(report),
        "## Faults and notices",
        _events_section(report, events),
        "## Examples",
        _examples(trajectories),
        "## How to get this again",
        _provenance(report),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _summary(report: Report) -> str:
    cost = f"{clock(report.seconds)} in {_count(report.attempts, 'attempt')}"
    if report.peak_memory_gb is not None:
        cost += f", {report.peak_memory_gb:.1f} GB of memory at most"
    lines = [f"Status: **{_cell(report.status)}**. {cost}."]
    measured = [(n, s.accuracy) for n, s in report.stages.items() if s.accuracy.tasks]
    for (_, before), (name, after) in itertools.pairwise(measured):
        gain = 100 * ((after.pass_at_1 or 0.0) - (before.pass_at_1 or 0.0))
        lines.append(
            f"- Stage {_cell(name)} moved held-out pass@1 from {_percent(before.pass_at_1)} to "
            f"**{_percent(after.pass_at_1)}** ({gain:+.1f} points)."
        )
    return "\n".join([lines[0], "", *lines[1:]]).strip()


def _accuracy_section(report: Report) -> str:
    if not any(stage.accuracy.tasks for stage in report.stages.values()):
        return "No evaluation was made."
    header = ("Stage", "pass@1", "95 % interval", "pass@10", "Greedy", "Tasks")
    costs = ("Steps", "Training", "Tokens generated")
    rows = [
        (_stage_name(name), *_accuracy_cells(stage.accuracy), *_cost_cells(stage))
        for name, stage in report.stages.items()
    ]
    note = (
        "pass@1 is the mean over tasks of the share of right answers among samples at temperature "
        "1, pass@10 is over the tasks with ten samples; intervals are bootstrapped over tasks. "
        "Training time and tokens leave evaluation out."
    )
    return _table((*header, *costs), rows) + "\n\n" + note


def _breakdowns(report: Report) -> str:
    stages = {name: stage for name, stage in report.stages.items() if stage.accuracy.tasks}
    if not stages:
        return ""
    parts = ["### Thinking and non-thinking", _modes_table(stages)]
    by_label = {name: {"level": stage.by_level, **stage.by_label} for name, stage in stages.items()}
    labels = {label for slices in by_label.values() for label in slices}
    for kind in sorted(labels, key=lambda label: (label != SET_LABEL, label != "level", label)):
        by_stage = {name: slices.get(kind, {}) for name, slices in by_label.items()}
        values = sorted({value for slices in by_stage.values() for value in slices})
        if values:
            parts += [f"### pass@1 by {_cell(kind)}", _slices_table(kind, values, by_stage)]
    return "\n\n".join(parts)


def _modes_table(stages: Mapping[str, StageFigures]) -> str:
    rows = [
        (
            _stage_name(name),
            mode.replace("_", "-"),
            *_accuracy_cells(accuracy),
            f"{accuracy.tokens:.1f}",
            f"{accuracy.seconds_per_answer:.2f}",
        )
        for name, stage in stages.items()
        for mode, accuracy in stage.by_mode.items()
    ]
    header = ("Stage", "Mode", "pass@1", "95 % interval", "pass@10", "Greedy", "Tasks")
    return _table((*header, "Tokens an answer", "Seconds an answer"), rows)


def _slices_table(
    kind: str, values: Sequence[str], by_stage: Mapping[str, Mapping[str, Accuracy]]
) -> str:
    empty = Accuracy()
    rows = [
        (
            _cell(value),
            str(max(slices.get(value, empty).tasks for slices in by_stage.values())),
            *(_percent(slices.get(value, empty).pass_at_1) for slices in by_stage.values()),
        )
        for value in values
    ]
    return _table((_cell(kind), "Tasks", *(_stage_name(name) for name in by_stage)), rows)


def _groups_section(report: Report) -> str:
    groups, generation = report.groups, report.generation
    if not groups.dispatched:
        return ""
    fates = {"trained": groups.trained}
    fates |= {f"dropped: {_cell(reason)}": count for reason, count in groups.dropped.items()}
    fates |= {"owed when the run ended": groups.owed, "**dispatched**": groups.dispatched}
    costs: dict[str, Cost] = {}
    if generation is not None:
        costs = {f"dropped: {_cell(reason)}": cost for reason, cost in generation.dropped.items()}
        costs["trained"] = generation.trained
        costs["**dispatched**"] = Cost(0, generation.tokens, 1.0, generation.seconds, 1.0)
    rows = [
        (fate, f"{n:,}", _percent(n / groups.dispatched), *_cost_of(costs.get(fate)))
        for fate, n in fates.items()
    ]
    header = ("Groups", "Number", "Share", "Generated tokens", "Share", "Seconds", "Share")
    parts = ["### Where generation went", _table(header, rows)]
    if generation is not None:
        parts.append(_about_generation(generation))
    return "\n\n".join(parts)


def _about_generation(generation: Generation) -> str:
    """What the table cannot say: the gradient, the bias of selection, and what to do."""
    said = [f"{_percent(generation.gradient_share)} of the generated tokens carried a gradient."]
    if generation.no_verdict_tokens:
        said.append(
            f"{generation.no_verdict_tokens:,} more are of trained groups' samples without a "
            "verdict."
        )
    if generation.length_ratio is not None:
        said.append(
            f"Trained answers were {generation.length_ratio:.2f} times as long as generated ones "
            "(mean over steps)."
        )
    advice = [
        f"- {_cell(reason)} took {_percent(cost.token_share)} of the tokens: {ADVICE[reason]}."
        for reason, cost in generation.dropped.items()
        if cost.token_share >= WORTH_ADVICE and reason in ADVICE
    ]
    return "\n\n".join(part for part in (" ".join(said), "\n".join(advice)) if part)


def _cost_of(cost: Cost | None) -> tuple[str, ...]:
    if cost is None:
        return ("", "", "", "")
    shares = _percent(cost.token_share), _percent(cost.second_share)
    return f"{cost.tokens:,}", shares[0], f"{cost.seconds:.1f}", shares[1]


def _time_section(report: Report) -> str:
    total = max(report.seconds, 1e-9)
    rows = [
        (name.replace("_", " "), f"{seconds:.1f}", _percent(seconds / total))
        for name, seconds in report.phases.items()
    ]
    table = _table(("Phase", "Seconds", "Share"), [*rows, ("**all**", f"{report.seconds:.1f}", "")])
    if report.phases["rest_of_steps"] < 0:
        table += "\n\nPhases overlapped (max_staleness > 0), so their rest is negative."
    return table


def _checks(report: Report) -> str:
    results = {
        "Every group is trained, dropped with a reason, or owed": _yes(report.groups.add_up),
        "So is every generated token, or its sample has no verdict": "-"
        if report.generation is None
        else _yes(report.generation.add_up),
        "Engine against learner, largest log-probability difference after a publish": _number(
            report.max_logprob_difference
        ),
        "Engine against learner, largest mean KL on a training batch": _number(
            report.max_mismatch_kl
        ),
        "Share of a synchronous step that is neither generation nor training": _percent(
            report.controller_overhead
        ),
    }
    return _table(("Check", "Result"), list(results.items()))


def _events_section(report: Report, events: Sequence[Mapping[str, Any]]) -> str:
    if not report.events:
        return "None."
    counts = _table(
        ("Kind", "Number"), [(_cell(kind), str(count)) for kind, count in report.events.items()]
    )
    telling = [event for event in events if event["kind"] not in BOOKKEEPING][-NUM_NOTICES:]
    hidden = ("kind", "time", "elapsed_s")
    lines = [
        f"- {clock(event['elapsed_s'])} {_cell(event['kind'])}: "
        + _cell(", ".join(f"{key} {value}" for key, value in event.items() if key not in hidden))
        for event in telling
    ]
    return "\n\n".join([counts, "The last of them:", "\n".join(lines)])


def _examples(trajectories: Sequence[Mapping[str, Any]]) -> str:
    """The first sampled answer of the run and the last ones, in blocks that no text can close."""
    if not trajectories:
        return "None were sampled."
    chosen = [trajectories[0], *trajectories[1:][-(NUM_EXAMPLES - 1) :]]
    return "\n\n".join(_example(trajectory) for trajectory in chosen)


def _example(trajectory: Mapping[str, Any]) -> str:
    mode = "thinking" if trajectory["thinking"] else "non-thinking"
    said = [
        f"{message['role']}: {line}"
        for message in trajectory["messages"]
        for line in message["content"].splitlines() or [""]
    ]
    body = "\n".join(printable(line, limit=1000) for line in said)
    fence = "`" * max(3, 1 + max((len(run) for run in _backtick_runs(body)), default=0))
    return (
        f"Stage {_cell(trajectory['stage'])}, step {trajectory['step']}, {mode}: "
        f"reward {_number(trajectory['reward'])} ({_cell(trajectory['reason'])}), "
        f"gold {_cell(trajectory['gold'])}\n\n{fence}text\n{body}\n{fence}"
    )


def _provenance(report: Report) -> str:
    rows = [("Seed", str(report.seed)), ("Configuration", report.config_digest or "unknown")]
    rows += [("Code", report.code or "unknown"), *report.versions.items()]
    return _table(("What", "Value"), [(_cell(name), _cell(value)) for name, value in rows])


def _accuracy_cells(accuracy: Accuracy) -> tuple[str, ...]:
    interval = f"{_percent(accuracy.ci_low)} to {_percent(accuracy.ci_high)}"
    return (
        f"**{_percent(accuracy.pass_at_1)}**" if accuracy.tasks else "-",
        interval if accuracy.tasks else "-",
        _percent(accuracy.pass_at_10),
        _percent(accuracy.greedy),
        str(accuracy.tasks),
    )


def _cost_cells(stage: StageFigures) -> tuple[str, ...]:
    return str(stage.steps), clock(stage.seconds), f"{stage.generated_tokens:,}"


def _stage_name(name: str) -> str:
    return "before training" if name == START else _cell(name)


def _image(plots: Mapping[str, str], name: str) -> str:
    return f"![{name}]({plots[name]})" if name in plots else ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    """Foreign text that neither breaks a table nor becomes markup."""
    escaped = html.escape(printable(text), quote=False)
    return "".join("\\" + char if char in "\\|`[]" else char for char in escaped)


def _backtick_runs(text: str) -> list[str]:
    return "".join(char if char == "`" else " " for char in text).split()


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _yes(condition: bool) -> str:
    return "yes" if condition else "**NO**"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
