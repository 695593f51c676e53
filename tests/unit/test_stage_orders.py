"""`assay experiment stages` over a training that only writes logs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from configs.errors import AssayError, ConfigError
from configs.load import LoadedConfig, load, save_unresolved
from configs.schema import RunConfig
from configs.validate import enabled_stages
from launch.arm_figures import Course, Standing, compare_arms, render_arms
from launch.arms import describe, plan_runs, run_arms
from launch.cli import app
from launch.curriculum_plots import draw_courses
from launch.stage_orders import compare_stages, read_seeds
from launch.tasks import load_held_out
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
    """Writes the logs and the checkpoint of a run; dies in those it is told to, once."""

    def __init__(self, deaths: Sequence[str] = ()) -> None:
        self.deaths = list(deaths)
        self.runs: list[tuple[RunConfig, bool]] = []

    @property
    def names(self) -> list[str]:
        return [config.name for config, _ in self.runs]

    def __call__(self, loaded: LoadedConfig, resume: bool) -> None:
        config = loaded.config
        self.runs.append((config, resume))
        run_dir = Path(config.output) / config.name
        make_model(run_dir / "checkpoints" / "0001-x-000001" / "model")
        (run_dir / "checkpoints" / "latest").write_text("0001-x-000001\n")
        save_unresolved(loaded, run_dir / "config.yaml")
        if config.name in self.deaths:
            self.deaths.remove(config.name)
            raise AssayError(f"{config.name} died")
        tracker = FileTracker(run_dir)
        right = [0, 0] if config.model.path == "" else list(LIFTS["sft"])
        right[0] += config.seed
        evaluate(tracker, config, START, right)
        for name, stage in enabled_stages(config):
            metrics = {"time/step": 2.0} | ({"tokens/generated": 50.0} if name != "sft" else {})
            for step in range(1, stage.steps + 1):
                tracker.log_step(StepRecord(name, stage.kind, step, stage.steps, step, metrics))
            evaluate(tracker, config, name, [9, 9], step=1)  # on the way: not where the stage ends
            right = [was + lift for was, lift in zip(right, LIFTS[name], strict=True)]
            evaluate(tracker, config, name, right)
        tracker.log_event("run_end", status="done")
        tracker.close()


def make_model(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").write_bytes(b"")


def evaluate(
    tracker: FileTracker, config: RunConfig, stage: str, right: Sequence[int], step: int = 0
) -> None:
    results = tuple(
        TaskResult(task.id, {}, True, 10, right[task.env != "finance"], False, 30, 1.0)
        for task in load_held_out(config)
    )
    tracker.log_evaluation(EvaluationRecord(stage, 1, 1.0, results, step=step))


@pytest.fixture
def preset(tmp_path: Path) -> str:
    path = tmp_path / "four.yaml"
    path.write_text(PRESET)
    return str(path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def refused(loaded: LoadedConfig, reasoning: str = "reasoning", agentic: str = "agentic") -> str:
    with pytest.raises(ConfigError) as raised:
        compare_stages(loaded, reasoning, agentic, [1], Path("out"))
    return str(raised.value)


def test_arms_differ_in_their_rl_stages_alone(preset: str, out: Path) -> None:
    train = Trainer()
    run_arms(compare_stages(load(preset), "reasoning", "agentic", [4, 5], out), train)
    assert train.names == [f"seed_{seed}_{arm}" for seed in (4, 5) for arm in FLOWS]
    for config, resume in train.runs:
        seed, arm = config.name.removeprefix("seed_").split("_", 1)
        stages = dict(enabled_stages(config))
        assert list(stages) == FLOWS[arm]
        assert config.seed == int(seed)
        assert not resume
        model = out.absolute() / f"seed_{seed}_start/checkpoints/0001-x-000001/model"
        assert config.model.path == ("" if arm == "start" else str(model))
        # 6 steps of 4 groups of 4 are 96 answers: 10 steps more of 2 groups of 5.
        assert "agentic" not in stages or stages["agentic"].steps == (
            13 if arm == "without_reasoning" else 3
        )


def test_the_table_has_reasoning_tools_and_all_of_them(preset: str, out: Path) -> None:
    loaded = load(preset, ["stages.agentic.tasks.lookup.source=sql"])
    run_arms(compare_stages(loaded, "reasoning", "agentic", [1, 2], out), Trainer())
    page = (out / "report.md").read_text()
    header = "| Arm | Stages | reasoning | tools | mixed | mixed, against full |"
    assert header in page
    # 2 of 6 tasks are finance: (3 + 4 + seed, 1 + 5 of 10) and without Reasoning RL 40 points less.
    assert "| full | reasoning, agentic, general | 85.0% (21.5% to 148.5%) | 60.0% |" in page
    assert "| -13.3% (-13.3% to -13.3%) |" in page or "| -13.3% |" in page
    record = json.loads((out / "report.json").read_text())
    assert record["columns"] == {"reasoning": ["finance"], "tools": ["division", "lookup"]}
    arms = record["arms"]
    assert list(arms) == list(FLOWS)
    assert arms["start"]["accuracy"]["tools"] == pytest.approx([0.1] * 3)
    assert arms["without_reasoning"]["gain"]["reasoning"] == pytest.approx([-0.4] * 3)
    assert arms["agentic_first"]["gain"]["mixed"] == pytest.approx([0] * 3)
    assert [arms[arm]["tokens"][0] for arm in FLOWS] == [0, 550, 750, 550]
    assert arms["full"]["seconds"][0] == 22
    assert [point["stage"] for point in record["courses"][1]["standings"]] == [
        *(START, "reasoning", "agentic", "general"),
    ]
    assert (out / "accuracy.png").stat().st_size > 10_000


def test_sets_that_no_role_trains_have_columns_of_their_own(preset: str) -> None:
    experiment = compare_stages(load(preset), "reasoning", "agentic", [1], Path("out"))
    assert experiment.columns == {
        "reasoning": ["finance"],
        "tools": ["division"],
        "lookup": ["lookup"],
    }


def test_what_is_finished_is_not_trained_again(preset: str, out: Path) -> None:
    experiment = compare_stages(load(preset), "reasoning", "agentic", [1, 2], out)
    train = Trainer(["seed_2_full"])
    with pytest.raises(AssayError, match="seed_2_full died"):
        run_arms(experiment, train)
    assert json.loads((out / "report.json").read_text())["seeds"] == [1]  # what there is so far
    assert [line.split("  ")[-2].strip() for line in describe(plan_runs(experiment))] == [
        *["finished"] * 5,
        "to continue",
        *["to train"] * 2,
    ]
    del train.runs[:]
    run_arms(experiment, train)
    assert train.names == ["seed_2_full", "seed_2_without_reasoning", "seed_2_agentic_first"]
    assert [resume for _, resume in train.runs] == [True, False, False]
    more = compare_stages(load(preset), "reasoning", "agentic", [1, 2, 3], out)
    del train.runs[:]
    run_arms(more, train)
    assert train.names == [f"seed_3_{arm}" for arm in FLOWS]
    assert json.loads((out / "report.json").read_text())["seeds"] == [1, 2, 3]


def test_other_settings_need_another_folder(preset: str, out: Path) -> None:
    train = Trainer()
    run_arms(compare_stages(load(preset), "reasoning", "agentic", [1], out), train)
    del train.runs[:]
    changed = load(preset, ["stages.sft.steps=9"])
    with pytest.raises(ConfigError, match=r"seed_1_start was .+\(stages.sft.steps was 5, is 9\)"):
        run_arms(compare_stages(changed, "reasoning", "agentic", [1, 2], out), train)
    assert not train.runs
    moved = load(preset, ["learner.token_budget=9000", "rollout.cpus=2"])  # another machine
    run_arms(compare_stages(moved, "reasoning", "agentic", [1], out), train)
    assert not train.runs


def test_a_preset_edited_meanwhile_changes_nothing(preset: str, out: Path) -> None:
    class Editing(Trainer):
        def __call__(self, loaded: LoadedConfig, resume: bool) -> None:
            Path(preset).write_text("name: [")
            super().__call__(loaded, resume)

    run_arms(compare_stages(load(preset), "reasoning", "agentic", [1], out), Editing())
    assert (out / "report.md").exists()


def test_roles_are_found_by_name_and_mistakes_told(preset: str) -> None:
    assert "no enabled stage 'agentic' for Agentic RL: there are sft, reasoning; give" in refused(
        load("quickstart", ["stages.agentic.enabled=false"])
        if "agentic" in load("quickstart").config.stages
        else load("quickstart")
    )
    loaded = load(preset)
    assert "did you mean 'agentic'?" in refused(loaded, agentic="agentc")
    assert "stage sft of four is no rl stage" in refused(loaded, reasoning="sft")
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


def test_other_stages_may_play_the_roles(preset: str, out: Path) -> None:
    experiment = compare_stages(load(preset), "general", "reasoning", [1], out)
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
    assert result.output.splitlines() == [
        "seed_1_start              to train     sft (5 steps)",
        f"seed_1_full               to train     {both}",
        "seed_1_without_reasoning  to train     agentic (13 steps), general (2 steps)",
        "seed_1_agentic_first      to train     agentic (3 steps), reasoning (6 steps), "
        "general (2 steps)",
    ]
    assert not out.exists()
