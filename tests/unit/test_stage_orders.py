"""`assay experiment stages` over a training that only writes logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configs.errors import AssayError, ConfigError
from configs.load import LoadedConfig, load, save_unresolved
from configs.schema import RunConfig
from configs.validate import enabled_stages
from envs.types import Task
from launch.arm_figures import Course, Standing, compare_arms, render_arms
from launch.arms import Experiment, describe, plan_runs, run_arms
from launch.cli import app
from launch.curriculum_plots import draw_courses
from launch.gold import GRADED
from launch.stage_orders import compare_stages, read_seeds
from launch.tasks import load_held_out
from rl.checkpoint import CheckpointStore, RunState
from rl.provenance import Fingerprints
from rl.statistics import mean_interval
from rl.tracking import START, EvaluationRecord, FileTracker, StepRecord, TaskResult

PRESET = """
name: four
stages:
  sft: {kind: sft, order: 1, steps: 5, tasks: {finance: {source: finance, args: {levels: [1]}}}}
  reasoning:
    order: 2
    steps: 6
    batch_size: 4
    group_size: 4
    tasks: {finance: {source: finance, args: {levels: [1]}}}
  agentic:
    order: 4
    steps: 3
    batch_size: 2
    group_size: 5
    max_turns: 3
    tasks: {division: {source: calculator, args: {levels: [1]}}}
  general: {order: 7, steps: 2, tasks: {finance: {source: finance, args: {levels: [2]}}}}
evaluation:
  num_tasks: 6
  max_turns: 3
  tasks:
    finance: {source: finance, split: heldout, args: {levels: [1]}}
    division: {source: calculator, split: heldout, args: {levels: [1]}}
    lookup: {source: sql, split: heldout, args: {levels: [1]}}
"""
FLOWS = {
    "start": ["sft"],
    "full": ["reasoning", "agentic", "general"],
    "without_reasoning": ["agentic", "general"],
    "agentic_first": ["agentic", "reasoning", "general"],
}
LIFTS = {"sft": (3, 1), "reasoning": (4, 0), "agentic": (0, 5), "general": (0, 0)}
"""Right answers of 10 that a stage adds on finance tasks, and on others."""


class Trainer:
    """Writes the logs and the checkpoint of a run; dies in that one which it is told to, and spoils
    a file if it is given one."""

    def __init__(self, dies_in: str = "", edits: Path | None = None) -> None:
        self.dies_in, self.edits = dies_in, edits
        self.runs: list[tuple[RunConfig, bool]] = []

    def __call__(self, loaded: LoadedConfig, resume: bool) -> None:
        config = loaded.config
        self.runs.append((config, resume))
        run_dir = Path(config.output) / config.name
        state = RunState("x", 1, 1, {}, {}, {}, {}, Fingerprints({}, "", "", 1), "", "", {})
        CheckpointStore(run_dir / "checkpoints", 2).save(lambda d: make_model(d / "model"), state)
        save_unresolved(loaded, run_dir / "config.yaml")
        if config.reward.judge.get("model") == GRADED:
            make_model(run_dir / "judge")
        if self.edits:
            self.edits.write_text("name: [")
        if config.name == self.dies_in:
            raise AssayError(f"{config.name} died")
        tracker = FileTracker(run_dir)
        right = [0, 0] if config.model.path == "" else list(LIFTS["sft"])
        right[0] += config.seed
        tasks = load_held_out(config)
        evaluate(tracker, tasks, START, right)
        for name, stage in enabled_stages(config):
            metrics = {"time/step": 2.0} | ({"tokens/generated": 50.0} if name != "sft" else {})
            for step in range(1, stage.steps + 1):
                tracker.log_step(StepRecord(name, stage.kind, step, stage.steps, step, metrics))
            evaluate(tracker, tasks, name, [9, 9], step=1)  # on the way: not where the stage ends
            right = [was + lift for was, lift in zip(right, LIFTS[name], strict=True)]
            evaluate(tracker, tasks, name, right)
        tracker.log_event("run_end", status="done")
        tracker.close()


def make_model(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"")


def evaluate(
    tracker: FileTracker, tasks: Sequence[Task], stage: str, right: Sequence[int], step: int = 0
) -> None:
    results = tuple(
        TaskResult(task.id, {}, True, 10, right[task.env != "finance"], False, 30, 1.0)
        for task in tasks
    )
    tracker.log_evaluation(EvaluationRecord(stage, 1, 1.0, results, step=step))


@dataclass(frozen=True)
class Done:
    """An experiment that died in the first arm of its second seed, and was called again on another
    machine."""

    experiment: Experiment
    preset: Path
    page_before: str
    states_before: list[str]
    first: Trainer
    second: Trainer


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("stages")
    preset = folder / "four.yaml"
    preset.write_text(PRESET)
    loaded = load(str(preset), ["stages.agentic.tasks.lookup.source=sql"])
    experiment = compare_stages(loaded, "reasoning", "agentic", [1, 2], folder / "out")
    first, second = Trainer(dies_in="seed_2_full"), Trainer(edits=preset)
    with pytest.raises(AssayError, match="seed_2_full died"):
        run_arms(experiment, first)
    page = (experiment.out / "report.md").read_text()
    states = describe(plan_runs(replace(experiment, seeds=[2])))
    elsewhere = load(str(preset), [*loaded.overrides, "learner.token_budget=9000"])
    run_arms(replace(experiment, loaded=elsewhere), second)
    preset.write_text(PRESET)
    return Done(experiment, preset, page, states, first, second)


@pytest.fixture
def preset(tmp_path: Path) -> str:
    path = tmp_path / "four.yaml"
    path.write_text(PRESET)
    return str(path)


def refused(loaded: LoadedConfig, reasoning: str = "reasoning", agentic: str = "agentic") -> str:
    with pytest.raises(ConfigError) as raised:
        compare_stages(loaded, reasoning, agentic, [1], Path("out"))
    return str(raised.value)


def test_arms_differ_in_their_rl_stages_alone(done: Done) -> None:
    for config, _ in [*done.first.runs, *done.second.runs]:
        seed, arm = config.name.removeprefix("seed_").split("_", 1)
        stages = dict(enabled_stages(config))
        assert list(stages) == FLOWS[arm]
        assert config.seed == int(seed)
        model = done.experiment.out / f"seed_{seed}_start/checkpoints/0001-x-000001/model"
        assert config.model.path == ("" if arm == "start" else str(model))
        # 6 steps of 4 groups of 4 are 96 answers: 10 steps more of 2 groups of 5.
        steps = {"reasoning": 6, "agentic": 13 if arm == "without_reasoning" else 3}
        assert all(stages[name].steps == n for name, n in steps.items() if name in stages)


def test_what_is_finished_is_not_trained_again(done: Done) -> None:
    begun = [f"seed_1_{arm}" for arm in FLOWS] + ["seed_2_start", "seed_2_full"]
    assert [(config.name, resume) for config, resume in done.first.runs] == [
        (name, False) for name in begun
    ]
    assert [(config.name, resume) for config, resume in done.second.runs] == [
        ("seed_2_full", True),
        ("seed_2_without_reasoning", False),
        ("seed_2_agentic_first", False),
    ]
    states = [" ".join(line.split()[1:3]) for line in done.states_before]
    assert states == ["finished sft", "to continue", "to train", "to train"]
    assert "; seed 1." in done.page_before  # a seed that is complete is reported at once
    assert "| full | reasoning, agentic, general | 80.0% | 60.0% | 66.7% |  |" in done.page_before


def test_the_table_has_reasoning_tools_and_all_of_them(done: Done) -> None:
    page = (done.experiment.out / "report.md").read_text()
    assert "| Arm | Stages | reasoning | tools | mixed | mixed, points against full | Gen" in page
    # 2 tasks of 6 are finance, of which 3 + 4 + seed answers of 10 are right; of others 1 + 5.
    assert "| full | reasoning, agentic, general | 85.0% (21.5% to 100.0%) | 60.0% |" in page
    assert "| -13.3 |" in page
    record = json.loads((done.experiment.out / "report.json").read_text())
    assert record["seeds"] == [1, 2]
    assert record["columns"] == {"reasoning": ["finance"], "tools": ["division", "lookup"]}
    arms = record["arms"]
    assert list(arms) == list(FLOWS)
    assert arms["start"]["accuracy"]["tools"] == pytest.approx([0.1] * 3)
    assert arms["without_reasoning"]["gain"]["reasoning"] == pytest.approx([-0.4] * 3)
    assert arms["agentic_first"]["gain"]["mixed"] == pytest.approx([0] * 3)
    assert [arms[arm]["tokens"][0] for arm in FLOWS] == [0, 550, 750, 550]
    assert arms["full"]["seconds"][0] == 22
    stages = [point["stage"] for point in record["courses"][1]["standings"]]
    assert stages == [START, "reasoning", "agentic", "general"]
    assert (done.experiment.out / "accuracy.png").stat().st_size > 10_000


def test_the_arms_of_a_seed_ask_the_judge_of_their_start(preset: str, tmp_path: Path) -> None:
    changes = ["reward.judge.model=graded", "reward.routes.commentary.mode=both"]
    changes.append("reward.routes.commentary.rubric=commentary")
    experiment = compare_stages(load(preset, changes), "reasoning", "agentic", [1], tmp_path / "o")
    trainer = Trainer()
    run_arms(experiment, trainer)
    judges = [config.reward.judge["model"] for config, _ in trainer.runs]
    assert judges == [GRADED] + [str((tmp_path / "o/seed_1_start/judge").resolve())] * 3
    assert not any("to train" in line for line in describe(plan_runs(experiment)))


def test_other_settings_need_another_folder(done: Done) -> None:
    loaded = load(str(done.preset), [*done.experiment.loaded.overrides, "stages.sft.steps=9"])
    with pytest.raises(ConfigError, match=r"seed_1_start was .+\(stages.sft.steps was 5, is 9\)"):
        plan_runs(replace(done.experiment, loaded=loaded, seeds=[1]))


def test_a_key_that_is_new_since_then_is_no_other_setting(done: Done) -> None:
    saved = done.experiment.out / "seed_1_full" / "config.yaml"
    text = saved.read_text()
    saved.write_text(text.replace("  verifier: numeric\n", ""))
    try:
        assert text != saved.read_text()
        assert plan_runs(replace(done.experiment, seeds=[1]))
    finally:
        saved.write_text(text)


def test_sets_that_no_role_trains_have_columns_of_their_own(preset: str) -> None:
    experiment = compare_stages(load(preset), "reasoning", "agentic", [1], Path("out"))
    assert experiment.columns == {
        "reasoning": ["finance"],
        "tools": ["division"],
        "lookup": ["lookup"],
    }


def test_roles_are_found_by_name_and_mistakes_told(preset: str) -> None:
    assert "no enabled stage 'agentic' for Agentic RL: there are sft, reasoning; give" in refused(
        load("curriculum_mix")
    )
    loaded = load(preset)
    assert "did you mean 'agentic'?" in refused(loaded, agentic="agentc")
    assert "stage sft of four is no rl stage" in refused(loaded, reasoning="sft")
    assert "give that in place of seed=" in refused(load(preset, ["seed=4"]))
    no_tools = load(preset, ["evaluation.max_turns=1"])
    assert "answered without tools: set it to that of stage agentic, 3" in refused(no_tools)
    assert "both name the stage agentic" in refused(loaded, reasoning="agentic")
    model = Path(preset).parent / "model"
    make_model(model)
    given = load(preset, [f"stages.general.start_from={model}"])
    assert "stages.general.start_from is set" in refused(given)
    alone = ["stages.sft.enabled=false"]
    assert "nothing comes before the stages" in refused(load(preset, alone))
    from_model = load(preset, [*alone, f"model.path={model}"])
    experiment = compare_stages(from_model, "reasoning", "agentic", [1], Path("out"))
    assert [run.arm for run in plan_runs(experiment)] == list(FLOWS)[1:]


def test_other_stages_may_play_the_roles(preset: str) -> None:
    experiment = compare_stages(load(preset), "general", "reasoning", [1], Path("out"))
    flows = {
        r.arm: [name for name, _ in enabled_stages(r.loaded.config)] for r in plan_runs(experiment)
    }
    assert flows == {
        "start": ["sft"],
        "full": ["general", "agentic", "reasoning"],
        "without_reasoning": ["reasoning", "agentic"],
        "agentic_first": ["reasoning", "agentic", "general"],
    }


@pytest.mark.parametrize(
    "text", ["", "1,", "1,1", "1,01", "a", "-1", "1.5", "1;2", ",".join(map(str, range(11)))]
)
def test_seeds_are_different_numbers(text: str) -> None:
    assert read_seeds("3,1") == [3, 1]
    with pytest.raises(ConfigError, match="give 1 to 10 different numbers"):
        read_seeds(text)


def test_the_first_seed_may_lack_a_verdict() -> None:
    def course(arm: str, seed: int, tools: float | None) -> Course:
        points = (Standing(START, 0, 0.0, {"tools": 0.1, "mixed": 0.2}),)
        return Course(arm, seed, (*points, Standing("rl", 10, 1.0, {"tools": tools, "mixed": 0.5})))

    courses = [course("full", 1, None), course("full", 2, 0.3), course("other", 1, 0.4)]
    courses.append(course("other", 2, 0.6))
    figures = compare_arms(courses, "full")
    assert figures["full"].accuracy["tools"] is None
    assert figures["other"].accuracy["tools"] == pytest.approx(mean_interval([0.4, 0.6]))
    assert figures["other"].gain["tools"] is None
    assert "| full | rl | no verdict | 50.0% |" in render_arms("T", [1, 2], figures, "full")
    assert draw_courses(courses).axes


def test_a_dry_run_says_what_would_run_and_writes_nothing(preset: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["experiment", "stages", preset, "--seeds", "1", f"--out={out}", "--dry-run"]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    both = "reasoning (6 steps), agentic (3 steps), general (2 steps)"
    assert result.output.splitlines()[:4] == [
        "seed_1_start              to train     sft (5 steps)",
        f"seed_1_full               to train     {both}",
        "seed_1_without_reasoning  to train     agentic (13 steps), general (2 steps)",
        "seed_1_agentic_first      to train     agentic (3 steps), reasoning (6 steps), "
        "general (2 steps)",
    ]
    assert not out.exists()
