"""What a run leaves behind, stages that are skipped or begin elsewhere, real rows, presets."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from configs.load import preset_names
from rl.durable import load_tensors, read_json
from tests.integration.conftest import Assay
from tests.integration.runs import ROOT, Run, environment, train
from tests.integration.runs import assay as assay_process

pytestmark = pytest.mark.timeout(1800)


def test_the_report_holds_what_it_promises(whole: Run) -> None:
    report = read_json(whole.directory / "report.json")
    assert list(report["stages"]) == ["start", "sft", "reasoning"]
    for stage in report["stages"].values():
        figures = {"pass_at_1", "ci_low", "ci_high", "pass_at_10", "seconds", "generated_tokens"}
        assert figures <= stage.keys()
    assert report["groups"] == {"dispatched": 32, "trained": 32, "dropped": {}, "owed": 0}
    assert 0 < report["peak_memory_gb"] < 10
    assert 0 < report["max_logprob_difference"] < 1e-4
    assert 0 < report["controller_overhead"] < 1
    assert (whole.directory / "report.md").read_text().startswith("# tiny")
    assert {path.name for path in (whole.directory / "plots").iterdir()} >= {"accuracy.png"}


def test_the_report_agrees_with_the_raw_logs(whole: Run) -> None:
    command = [sys.executable, "-m", "benchmarks.recompute_report", str(whole.directory)]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_a_stage_is_skipped_and_the_next_begins_with_a_checkpoint(
    whole: Run, tmp_path: Path
) -> None:
    run = Run(tmp_path / "tiny")
    start = whole.checkpoint().path
    changes = (f"stages.reasoning.start_from={start}", "stages.reasoning.steps=1")
    finished = train(run.directory, "stages.sft.enabled=false", *changes)
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    [step] = run.log("metrics")
    assert (step["stage"], step["step"]) == ("reasoning", 1)
    reference = load_tensors(run.directory / "references" / "reasoning" / "model.safetensors")
    for name, tensor in load_tensors(start / "model" / "model.safetensors").items():
        np.testing.assert_array_equal(tensor, reference[name], err_msg=name)
    [publish, again] = [e for e in run.log("events") if e["kind"] == "publish"]
    assert max(publish["max_logprob_difference"], again["max_logprob_difference"]) < 1e-4


def test_real_rows_are_all_accounted_for(assay_data: Path, tmp_path: Path) -> None:
    changes = ("rollout.cpus=1", "learner.cpus=1", "stages.reasoning.steps=3")
    finished = assay_process("train", "tatqa_tiny", f"output={tmp_path}", *changes)
    run = Run(tmp_path / "tatqa_tiny")
    assert finished.code == 0, f"{finished}\n{run.process_logs()}"
    groups = read_json(run.directory / "report.json")["groups"]
    assert groups == {"dispatched": 12, "trained": 12, "dropped": {}, "owed": 0}
    assert len(run.log("evaluations")) == 2


@pytest.mark.parametrize("preset", preset_names())
def test_every_preset_passes_the_dry_run(preset: str, assay: Assay, assay_data: Path) -> None:
    done = assay("train", preset, "--dry-run")
    assert (done.code, done.err) == (0, "")
    assert "Nothing was started" in done.out
