"""The figures of a report: worked out by hand, recomputed independently, and made wrong."""

from __future__ import annotations

import ast
import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import recompute_report
from configs.errors import DataError
from launch.figures import Cost, Generation, compute_report
from launch.report import write_report
from rl.statistics import bootstrap_interval
from rl.tracking import START, EvaluationRecord, FileTracker, StepRecord, TaskResult
from tests.unit.synthetic_run import rl_step, write_run


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("runs") / "finished"
    write_run(run_dir)
    write_report(run_dir)
    return run_dir


@pytest.fixture
def run_copy(finished_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path / "copy"))


def write_small_run(run_dir: Path) -> None:
    """Two RL steps and two evaluations of two tasks, small enough to work out by hand."""
    now = 0.0
    tracker = FileTracker(run_dir, clock=lambda: now)
    tracker.log_event("run_start", name="small", seed=3)
    hard = TaskResult("a", {"level": "2", "scene": "funds"}, True, 10, 1, False, 200, 5.0)
    easy = TaskResult("b", {"level": "1", "scene": "funds"}, False, 10, 5, True, 100, 3.0)
    tracker.log_evaluation(EvaluationRecord(START, 0, 2.0, (hard, easy)))
    for step, step_s, dropped, owed in ((1, 10.0, 2.0, 1.0), (2, 6.0, 0.0, 0.0)):
        now += step_s
        metrics = {
            "time/step": step_s,
            "time/generate": 4.0,
            "time/train": 1.0,
            "time/publish": 0.5,
            "tokens/generated": 100.0,
            "tokens/trained": 80.0 if step == 1 else 95.0,
            "tokens/gradient": 60.0 if step == 1 else 90.0,
            "tokens/no_verdict": 0.0 if step == 1 else 5.0,
            "length/mean": 10.0,
            "length/trained": 8.0 if step == 1 else 10.0,
            "staleness/limit": 0.0,
            "group/dispatched": 5.0 if step == 1 else 1.0,
            "group/trained": 2.0,
            "group/owed": owed,
            "publish/max_logprob_difference": 1e-6 * step,
            "mismatch_kl": float("nan") if step == 1 else 2e-8,
        }
        if dropped:  # a cause appears in a step's metrics only when it occurs
            metrics["group/dropped/truncated"] = dropped
            metrics["tokens/dropped/truncated"] = 20.0
            metrics["time/dropped/truncated"] = 3.0
        tracker.log_step(StepRecord("reasoning", "rl", step, 2, step, metrics))
    better = (replace(hard, num_correct=9), replace(easy, num_correct=10))
    tracker.log_evaluation(EvaluationRecord("reasoning", 2, 3.0, better))
    tracker.log_event("publish", version=9, max_logprob_difference=5e-6)
    tracker.log_event("memory", peak_gb=2.0)
    tracker.log_event("memory", peak_gb=2.5)
    now += 9.0
    tracker.log_event("run_end", status="done")
    tracker.close()


def test_the_figures_of_a_small_run_by_hand(tmp_path: Path) -> None:
    write_small_run(tmp_path)
    report = compute_report(tmp_path)

    before, after = report.stages["start"], report.stages["reasoning"]
    assert before.accuracy.pass_at_1 == pytest.approx((0.1 + 0.5) / 2)
    assert before.accuracy.pass_at_10 == 1.0  # each has one right answer among its ten
    assert before.accuracy.greedy == 0.5
    assert (before.accuracy.ci_low, before.accuracy.ci_high) == (0.1, 0.5)
    assert (before.steps, before.seconds, before.generated_tokens) == (0, 0.0, 0)
    assert after.accuracy.pass_at_1 == pytest.approx(0.95)
    assert (after.steps, after.seconds, after.evaluation_seconds) == (2, 16.0, 3.0)
    assert (after.generated_tokens, after.trained_tokens) == (200, 175)
    assert after.by_level["1"].pass_at_1 == 1.0
    assert after.by_level["2"].pass_at_1 == pytest.approx(0.9)
    assert after.by_label.keys() == {"scene"}
    assert after.by_label["scene"]["funds"].tasks == 2
    thinking = before.as_dict()["by_mode"]["thinking"]
    assert (thinking["accuracy"], thinking["tokens"]) == (0.1, 20.0)
    assert thinking["seconds_per_answer"] == 0.5

    assert report.seconds == 25.0
    assert report.phases["rest_of_steps"] == pytest.approx(16.0 - 8.0 - 2.0 - 1.0)
    assert report.phases["outside_steps"] == pytest.approx(25.0 - 16.0 - 5.0)
    assert report.controller_overhead == pytest.approx((16.0 - 8.0 - 2.0) / 16.0)
    assert report.max_logprob_difference == 5e-6
    assert report.max_mismatch_kl == 2e-8
    assert report.peak_memory_gb == 2.5
    groups = report.groups
    assert (groups.dispatched, groups.trained, groups.owed) == (6, 4, 0)
    assert groups.dropped == {"truncated": 2}
    assert groups.add_up
    assert (
        report.generation
        == after.generation
        == Generation(
            tokens=200,
            seconds=8.0,
            gradient_tokens=150,
            gradient_share=0.75,
            length_ratio=0.9,
            no_verdict_tokens=5,
            trained=Cost(groups=4, tokens=175, token_share=0.875, seconds=5.0, second_share=0.625),
            dropped={"truncated": Cost(2, 20, 0.1, 3.0, 0.375)},
        )
    )
    assert report.generation.add_up
    assert before.generation is None


def test_the_page_says_where_generation_went_and_what_to_do(tmp_path: Path) -> None:
    write_small_run(tmp_path)
    write_report(tmp_path)
    page = (tmp_path / "report.md").read_text()
    assert "| dropped: truncated | 2 | 33.3% | 20 | 10.0% | 3.0 | 37.5% |" in page
    assert "| trained | 4 | 66.7% | 175 | 87.5% | 5.0 | 62.5% |" in page
    assert "| **dispatched** | 6 | 100.0% | 200 | 100.0% | 8.0 | 100.0% |" in page
    for said in ("75.0% of the generated tokens", "5 more are", "0.90 times", "raise max_tokens"):
        assert said in page
    assert "its sample has no verdict | yes |" in page


def test_report_json_has_the_promised_shape(finished_run: Path) -> None:
    report = json.loads((finished_run / "report.json").read_text())
    promised = {"seconds", "peak_memory_gb", "max_logprob_difference", "controller_overhead"}
    assert promised | {"groups", "stages", "seed", "versions", "config_digest"} <= report.keys()
    assert list(report["stages"]) == ["start", "sft", "reasoning"]
    assert report["groups"].keys() == {"dispatched", "trained", "dropped", "owed"}
    for stage in report["stages"].values():
        scores = {"pass_at_1", "ci_low", "ci_high", "pass_at_10", "greedy"}
        slices = {"by_label", "by_level", "by_mode"}
        assert scores | slices | {"seconds", "generated_tokens"} <= stage.keys()
        assert stage["ci_low"] <= stage["pass_at_1"] <= stage["ci_high"]
        assert stage["by_mode"].keys() == {"thinking", "non_thinking"}


@pytest.mark.parametrize("seed", [1, 2])
def test_report_and_recomputation_agree(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path, seed, num_sft=7, num_rl=11, num_tasks=23)
    write_report(tmp_path)
    assert recompute_report.main([str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "DIFF" not in shown
    for figure in ("controller_overhead", "stages.reasoning.pass_at_10", "groups add up"):
        assert figure in shown


def test_they_agree_on_a_run_that_crashed_and_was_resumed(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    steps = [rl_step(rng, step, 6, 0.5) for step in range(1, 7)]
    whole = FileTracker(tmp_path / "whole")
    for record in steps:
        whole.log_step(record)
    whole.close()

    crashed = FileTracker(tmp_path / "resumed")
    for record in steps[:3]:
        crashed.log_step(record)
    state = crashed.state()
    for record in steps[3:5]:
        crashed.log_step(record)
    crashed.log_event("fault", what="driver killed")
    crashed.close()
    resumed = FileTracker(tmp_path / "resumed", state=state)
    for record in steps[3:]:
        resumed.log_step(record)
    resumed.close()

    report = write_report(tmp_path / "resumed")
    assert recompute_report.main([str(tmp_path / "resumed")]) == 0
    assert report.groups == compute_report(tmp_path / "whole").groups
    assert report.stages == compute_report(tmp_path / "whole").stages
    assert (report.attempts, report.events) == (2, {"fault": 1})
    assert report.status == "unfinished"


def scaled(factor: float) -> Callable[[Any], Any]:
    return lambda value: value * factor


@pytest.mark.parametrize(
    ("figure", "change"),
    [
        ("stages.reasoning.pass_at_1", scaled(1.001)),
        ("stages.reasoning.pass_at_10", scaled(0.999)),
        ("stages.sft.greedy", scaled(1.1)),
        ("stages.sft.by_level.1.pass_at_1", scaled(1.001)),
        ("stages.sft.by_label.scene.funds.tasks", scaled(2)),
        ("stages.start.by_mode.thinking.seconds_per_answer", scaled(1.001)),
        ("stages.reasoning.generated_tokens", lambda tokens: tokens + 1),
        ("stages.reasoning.ci_low", lambda low: low + 0.02),
        ("stages.reasoning.ci_high", lambda high: high - 0.02),
        ("stages.reasoning.ci_high", lambda _: None),
        ("seconds", scaled(1.001)),
        ("phases.publish", scaled(1.001)),
        ("controller_overhead", scaled(0.99)),
        ("max_logprob_difference", scaled(0.5)),
        ("peak_memory_gb", scaled(0.9)),
        ("groups.trained", lambda trained: trained - 1),
        ("groups.dropped.fault", lambda faults: faults + 1),
        ("generation.gradient_share", scaled(1.001)),
        ("generation.trained.tokens", lambda tokens: tokens + 1),
        ("generation.dropped.zero_variance.seconds", scaled(1.001)),
        ("stages.reasoning.generation.length_ratio", scaled(1.001)),
        ("stages.reasoning.generation.dropped.fault.token_share", scaled(1.001)),
        ("events.notice", lambda _: 0),
    ],
)
def test_a_wrong_figure_is_found(run_copy: Path, figure: str, change: Callable[[Any], Any]) -> None:
    report = json.loads((run_copy / "report.json").read_text())
    *path, last = figure.split(".")
    place = report
    for key in path:
        place = place[key]
    place[last] = change(place[last])
    (run_copy / "report.json").write_text(json.dumps(report))
    differing = {row.name for row in recompute_report.compare(run_copy) if not row.agrees}
    assert figure in differing
    assert differing <= {figure, "groups add up"}
    assert recompute_report.main([str(run_copy)]) == 1


def test_an_interval_of_another_level_is_found(run_copy: Path) -> None:
    report = json.loads((run_copy / "report.json").read_text())
    results = json.loads((run_copy / "evaluations.jsonl").read_text().splitlines()[-1])["results"]
    shares = [result["num_correct"] / result["num_samples"] for result in results]
    stage = report["stages"]["reasoning"]
    stage["ci_low"], stage["ci_high"] = bootstrap_interval(shares, 0, level=0.8)
    (run_copy / "report.json").write_text(json.dumps(report))
    differing = {row.name for row in recompute_report.compare(run_copy) if not row.agrees}
    assert differing == {"stages.reasoning.ci_low", "stages.reasoning.ci_high"}


def test_a_figure_left_out_or_made_up_is_found(run_copy: Path) -> None:
    report = json.loads((run_copy / "report.json").read_text())
    del report["groups"]["dropped"]["fault"]
    report["stages"]["invented"] = {"pass_at_1": 1.0}
    (run_copy / "report.json").write_text(json.dumps(report))
    differing = {row.name for row in recompute_report.compare(run_copy) if not row.agrees}
    made_up = {"stages.invented.pass_at_1"}
    assert differing == {"groups.dropped.fault", "groups add up"} | made_up


def test_changed_logs_are_found(run_copy: Path) -> None:
    log = run_copy / "metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    assert recompute_report.main([str(run_copy)]) == 1


def test_the_recomputation_without_a_report_is_a_usage_error(tmp_path: Path) -> None:
    assert recompute_report.main([str(tmp_path)]) == 2
    assert recompute_report.main([]) == 2


def test_the_recomputation_uses_nothing_of_the_product() -> None:
    tree = ast.parse(Path(recompute_report.__file__).read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in node.names]
        )
    }
    assert imported <= {*sys.stdlib_module_names, "numpy"}


def test_groups_that_do_not_add_up_are_said_loudly(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path)
    metrics = {"group/dispatched": 5.0, "group/trained": 3.0, "group/owed": 1.0, "time/step": 1.0}
    tracker.log_step(StepRecord("reasoning", "rl", 1, 1, 1, metrics))
    tracker.close()
    assert not write_report(tmp_path).groups.add_up
    assert "or owed | **NO** |" in (tmp_path / "report.md").read_text()
    assert recompute_report.main([str(tmp_path)]) == 1


def test_the_page_shows_every_curve_and_the_main_figures(finished_run: Path) -> None:
    page = (finished_run / "report.md").read_text()
    images = re.findall(r"!\[\w+\]\(([^)]+)\)", page)
    assert images == [f"plots/{n}.png" for n in ("accuracy", "reward", "length", "dropped", "time")]
    for image in images:
        assert (finished_run / image).read_bytes().startswith(b"\x89PNG")
        assert (finished_run / image).stat().st_size > 10_000
    accuracy = json.loads((finished_run / "report.json").read_text())["stages"]["reasoning"]
    assert f"**{accuracy['pass_at_1']:.1%}**" in page
    for said in ("| before training |", "zero_variance", "6.2 GB", "9f2c41d0", "2.13.0"):
        assert said in page


def test_text_of_a_model_cannot_leave_its_block_or_steer_a_terminal(finished_run: Path) -> None:
    page = (finished_run / "report.md").read_text()
    assert "\x1b" not in page
    assert "\u202e" not in page
    outside: list[str] = []
    inside: list[str] = []
    fence = ""
    for line in page.splitlines():
        if re.fullmatch(r"`{3,}(text)?", line) and fence in ("", line):
            fence = "" if fence else line.removesuffix("text")
        else:
            (inside if fence else outside).append(line)
    assert any("<script>" in line for line in inside)
    assert not any("<script>" in line or "not a heading" in line for line in outside)
    assert "low \\| \\`so\\`" in page  # a notice, outside of any block


def test_a_run_that_stopped_early_has_a_report_of_what_there_is(tmp_path: Path) -> None:
    FileTracker(tmp_path).close()
    report = write_report(tmp_path)
    assert report.stages == {}
    assert report.controller_overhead is None
    assert recompute_report.main([str(tmp_path)]) == 0
    assert list((tmp_path / "plots").iterdir()) == []
    assert "No evaluation was made." in (tmp_path / "report.md").read_text()


def test_odd_names_and_missing_metrics_do_not_stop_a_report(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path)
    for step in (1, 2):
        metrics = {"group/dropped/$x_{^": 1.0, "group/dispatched": 1.0}
        tracker.log_step(StepRecord("$a|b^{`", "rl", step, 2, step, metrics))
        tracker.log_step(StepRecord("other", "rl", step, 2, step, {"reward/mean": float("nan")}))
    tracker.close()
    write_report(tmp_path)
    assert recompute_report.main([str(tmp_path)]) == 0
    assert {"reward.png", "dropped.png", "time.png"} <= {
        plot.name for plot in (tmp_path / "plots").iterdir()
    }


def test_pass_at_10_is_left_open_with_fewer_samples(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path)
    results = (TaskResult("a", {}, True, 4, 2, True, 10, 1.0),)
    tracker.log_evaluation(EvaluationRecord(START, 0, 1.0, results))
    tracker.close()
    assert write_report(tmp_path).stages[START].accuracy.pass_at_10 is None
    assert recompute_report.main([str(tmp_path)]) == 0


def test_pass_at_10_is_over_the_tasks_with_ten_samples(tmp_path: Path) -> None:
    tracker = FileTracker(tmp_path)
    results = (
        TaskResult("a", {}, True, 10, 1, True, 10, 1.0),
        TaskResult("b", {}, True, 9, 0, True, 10, 1.0),  # one sample had no verdict
        TaskResult("c", {}, True, 10, 0, True, 10, 1.0),
    )
    tracker.log_evaluation(EvaluationRecord(START, 0, 1.0, results))
    tracker.close()
    accuracy = write_report(tmp_path).stages[START].accuracy
    assert (accuracy.pass_at_10, accuracy.pass_at_10_tasks, accuracy.tasks) == (0.5, 2, 3)
    assert recompute_report.main([str(tmp_path)]) == 0


def test_a_folder_that_is_no_run_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run directory"):
        write_report(tmp_path)
