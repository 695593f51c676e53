"""`assay experiment verifiers`: what rules, a judge, and both teach, all measured by both.

All arms start from one model: what the stages before the RL stage of a preset make of it. They
differ in who scores the tasks of the routes that ask a judge, and in nothing else. In the end every
model answers the same held-out tasks and is scored by rules and judge alike.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from configs.errors import ConfigError
from configs.load import LoadedConfig
from configs.schema import RunConfig, StageConfig
from configs.validate import enabled_stages
from launch.arms import state_of
from launch.evaluate import evaluate_directory
from launch.experiment import (
    SFT_RUN,
    Train,
    keep_config,
    rl_stage,
    starting_model,
    train_once,
)
from launch.figures import accuracy_of, evaluation_of
from launch.judging import asks_anyone, load_routes
from launch.models import weights_of
from launch.report_judge import OpenScore, open_scores
from launch.tiny_judge import must_be_trained, with_judge
from rewards.routing import Mode
from rl.checkpoint import CHECKPOINTS, latest_checkpoint
from rl.jsonl import read_log
from rl.statistics import mean_interval
from rl.tracking import EVENTS, METRICS

ARMS: Mapping[str, Mode] = {"rule": Mode.RULE, "judge": Mode.JUDGE, "both": Mode.BOTH}
START = "start"
REPORT = "report"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to compare: each of `arms` under so many `seeds`. `model` is where all start, empty:
    what the preset's stages before its RL stage make."""

    arms: Sequence[str]
    seeds: int
    model: str
    out: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """A model on the held-out tasks, by kind of task, "all" of them at first; `accuracy` is the
    share of answers with a full score."""

    arm: str
    seed: int
    accuracy: float
    scores: Mapping[str, OpenScore]


def run_experiment(loaded: LoadedConfig, plan: Plan, train: Train) -> list[Outcome]:
    """Train and evaluate whatever is missing, and write report.json and report.md.

    Called again after an interruption it goes on where it was.

    Raises:
        ConfigError: the preset has no RL stage, no route of its asks a judge, an arm is unknown, or
            `out` holds another experiment.
        AssayError: a run ended before its last step; call again to go on.
    """
    name, stage = _checked(loaded.config, plan)
    given = weights_of(plan.model).absolute() if plan.model else None
    plan.out.mkdir(parents=True, exist_ok=True)
    base, _ = with_judge(replace(loaded.config, output=str(plan.out)), plan.out / "judge")
    model = given or starting_model(base, name, train)
    base = replace(base, model=replace(base.model, path=str(model)))
    outcomes = [_outcome(base, START, base.seed, model, plan.out)]
    for seed in range(base.seed, base.seed + plan.seeds):
        for arm in plan.arms:
            config = arm_config(base, arm, seed, name, stage)
            train_once(config, plan.out, train)
            checkpoint = latest_checkpoint(plan.out / config.name / CHECKPOINTS)
            assert checkpoint is not None, "a run that is done has saved its last step"
            outcomes.append(_outcome(base, arm, seed, checkpoint.model_dir.absolute(), plan.out))
    _write(plan, outcomes)
    return outcomes


def describe(loaded: LoadedConfig, plan: Plan) -> list[str]:
    """A line for each training and evaluation, in order, and what is left of it; nothing is
    written. Raises ConfigError as `run_experiment` does."""
    name, stage = _checked(loaded.config, plan)
    before = [n for n, _ in enabled_stages(loaded.config) if n != name]
    evaluated = [f"{START}_{loaded.config.seed}"]
    lines = (
        [_told("judge", "to train")] if must_be_trained(loaded.config, plan.out / "judge") else []
    )
    if plan.model:
        weights_of(plan.model)
    elif before:
        lines.append(_told(SFT_RUN, state_of(plan.out / SFT_RUN), ", ".join(before)))
    for seed in range(loaded.config.seed, loaded.config.seed + plan.seeds):
        for arm in plan.arms:
            evaluated.append(f"{arm}_{seed}")
            state = state_of(plan.out / evaluated[-1])
            lines.append(_told(evaluated[-1], state, f"{name} ({stage.steps:,} steps)"))
    missing = [arm for arm in evaluated if not (plan.out / f"evaluation_{arm}.json").exists()]
    return [*lines, _told("evaluation", "to do" if missing else "finished", ", ".join(missing))]


def _told(name: str, state: str, what: str = "") -> str:
    return f"{name:<12}  {state:<11}  {what}".rstrip()


def _checked(config: RunConfig, plan: Plan) -> tuple[str, StageConfig]:
    """The RL stage. Raises ConfigError where there is nothing to compare, or an arm is unknown."""
    found = rl_stage(config)
    if not asks_anyone(config.reward):
        raise ConfigError(f"no route of {config.name} asks a judge: there is nothing to try")
    for arm in plan.arms:
        if arm not in ARMS:
            raise ConfigError(f"unknown arm '{arm}'; there are {', '.join(ARMS)}")
    return found


def arm_config(base: RunConfig, arm: str, seed: int, name: str, stage: StageConfig) -> RunConfig:
    """The run of one arm: its own mode on every route that asks the judge."""
    judged = {kind for kind, r in load_routes(base.reward).items() if r.mode is not Mode.RULE}
    routes: dict[str, Any] = {
        kind: {**given, "mode": str(ARMS[arm])} if kind in judged else given
        for kind, given in base.reward.routes.items()
    }
    reward = replace(base.reward, routes=routes)
    return replace(
        base, name=f"{arm}_{seed}", seed=seed, reward=reward, stages={name: replace(stage, order=0)}
    )


def _outcome(base: RunConfig, arm: str, seed: int, model: Path, out: Path) -> Outcome:
    """Evaluate a model by both, or read what an earlier attempt found."""
    file = out / f"evaluation_{arm}_{seed}.json"
    both = arm_config(base, "both", base.seed, *rl_stage(base))
    both = replace(both, model=replace(both.model, path=str(model)))
    keep_config(both, file.with_suffix(".yaml"))
    if not file.exists():
        record = evaluate_directory(both)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(dataclasses.asdict(record)))
        partial.rename(file)
    record = evaluation_of(json.loads(file.read_text()))
    accuracy = accuracy_of(record.results, base.seed).pass_at_1 or 0.0
    return Outcome(arm, seed, accuracy, open_scores(record.results))


def _write(plan: Plan, outcomes: Sequence[Outcome]) -> None:
    rows = [dataclasses.asdict(outcome) for outcome in outcomes]
    calls = {arm: judge_calls(plan, arm) for arm in plan.arms}
    kappas = judge_kappas(plan)
    record = {"outcomes": rows, "judge_calls": calls, "judge_kappas": kappas}
    (plan.out / f"{REPORT}.json").write_text(json.dumps(record, indent=2) + "\n")
    (plan.out / f"{REPORT}.md").write_text(render(plan, outcomes, calls, kappas))


def judge_calls(plan: Plan, arm: str) -> float:
    """Judge calls of all runs of an arm."""
    logs = (read_log(path / METRICS) for path in sorted(plan.out.glob(f"{arm}_*")))
    return sum(step.get("judge/calls") or 0.0 for steps in logs for step in steps)


def judge_kappas(plan: Plan) -> dict[str, float]:
    """By kind of task, the lowest kappa that the judge began a stage with."""
    logs = (read_log(path / EVENTS) for path in sorted(plan.out.glob("*_*")))
    first = [e for log in logs for e in log if e["kind"] == "calibration" and not e["step"]]
    return {
        kind: min(e["kappa"] for e in first if e["task"] == kind)
        for kind in sorted({event["task"] for event in first})
    }


def render(
    plan: Plan,
    outcomes: Sequence[Outcome],
    calls: Mapping[str, float],
    kappas: Mapping[str, float],
) -> str:
    """The comparison as Markdown."""
    seeds = (
        "One seed an arm, so that small differences may be chance"
        if plan.seeds == 1
        else f"{plan.seeds} seeds an arm, mean and 95 % interval (Student's t over seeds)"
    )
    known = ", ".join(f"{kappa:.2f} on {kind}" for kind, kappa in kappas.items())
    lines = [
        "# Rules, judge and both, measured by both",
        "",
        f"{seeds}; held-out tasks, means over sampled answers.",
        "",
        "| Arm | Tasks of kind | Tasks | Full score | Reward of both | Rules | Judge | "
        "Judge calls |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for arm in (START, *plan.arms):
        found = [outcome for outcome in outcomes if outcome.arm == arm]
        for kind in dict.fromkeys(kind for outcome in outcomes for kind in outcome.scores):
            scores = [outcome.scores[kind] for outcome in found if kind in outcome.scores]
            cells = (
                _counts([s.tasks for s in scores]),
                _interval([o.accuracy for o in found]) if kind == "all" else "",
                _interval([s.reward for s in scores]),
                _interval([s.rule for s in scores]),
                _interval([s.judge for s in scores]),
                f"{calls.get(arm, 0.0):,.0f}" if kind == "all" else "",
            )
            lines.append(f"| {arm} | {kind} | {' | '.join(cells)} |")
    trust = (
        f"The judge reaches a Cohen's kappa of {known}, on answers whose grades are known."
        if known
        else "How far the judge can be trusted was not measured: set `gold` on its routes."
    )
    return "\n".join([*lines, "", trust]) + "\n"


def _counts(tasks: Sequence[int]) -> str:
    """Fewer than there are were left out for faults, which gave no verdict."""
    low, high = min(tasks, default=0), max(tasks, default=0)
    return f"{low}" if low == high else f"{low} to {high}"


def _interval(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    mean, low, high = mean_interval(known)
    return f"{mean:.3f}" if len(known) == 1 else f"{mean:.3f} ({low:.3f} to {high:.3f})"
