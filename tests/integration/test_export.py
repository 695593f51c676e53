"""A trained model outside of Assay: plain transformers, vLLM, and `assay evaluate`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from configs.load import load
from launch.tasks import load_held_out
from rl.durable import load_tensors
from rollout.renderer import Renderer
from tests.integration.conftest import Assay, Killed
from tests.integration.digits import share_of_digits
from tests.integration.runs import ROOT, START_S, TINY, Run, comparable, environment
from tests.integration.runs import assay as assay_process

NUM_TASKS = 32
MAX_TOKENS = 16

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def exported(whole: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    done = assay_process("export", str(whole.directory), str(out))
    assert (done.code, done.err) == (0, "")
    assert done.out == f"wrote {out} from {whole.checkpoint().path}\n"
    return out


def test_the_export_is_the_latest_checkpoint(whole: Run, exported: Path) -> None:
    stored = load_tensors(whole.checkpoint().model_dir / "model.safetensors")
    loaded = AutoModelForCausalLM.from_pretrained(exported).state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in stored.items())


def test_the_card_tells_what_the_model_is(whole: Run, exported: Path) -> None:
    card = (exported / "README.md").read_text()
    report = json.loads((whole.directory / "report.json").read_text())
    for stage in ("start", "sft", "reasoning"):
        assert f"{report['stages'][stage]['pass_at_1']:.1%}" in card
    assert "after step 8 of stage `reasoning`" in card
    assert "tests.integration.digits:DigitShare" in card
    assert re.search(r"^license: \"apache-2.0\"$", card, re.MULTILINE)


def test_transformers_and_vllm_give_the_same_answers(exported: Path, tmp_path: Path) -> None:
    tasks = load_held_out(load(str(TINY), [f"evaluation.num_tasks={NUM_TASKS}"]).config)
    renderer = Renderer(exported)
    prompts = [
        renderer.render_prompt(task.prompt, thinking=number % 2 == 0).tolist()
        for number, task in enumerate(tasks)
    ]
    model = AutoModelForCausalLM.from_pretrained(exported)
    tokenizer = AutoTokenizer.from_pretrained(exported)
    (tmp_path / "prompts.json").write_text(json.dumps(prompts))
    command = [sys.executable, "-m", "tests.integration.vllm_answers", str(exported), str(tmp_path)]
    done = subprocess.run(
        [*command, str(MAX_TOKENS)], cwd=ROOT, env=environment(), capture_output=True, text=True,
        timeout=START_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert len(answers) == NUM_TASKS
    scores = {"vllm": 0.0, "transformers": 0.0}
    for prompt, answer in zip(prompts, answers, strict=True):
        with torch.no_grad():
            row = model.generate(
                torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)),
                do_sample=False, max_new_tokens=MAX_TOKENS,
            )  # fmt: skip
            logits = model(row).logits[0, len(prompt) - 1 : -1]
        ids = row[0, len(prompt) :]
        assert ids.tolist() == answer["token_ids"]
        logprobs = torch.log_softmax(logits, -1).gather(1, ids[:, None])[:, 0]
        np.testing.assert_allclose(logprobs, answer["logprobs"], atol=1e-4)
        scores["transformers"] += share_of_digits(tokenizer.decode(ids))
        scores["vllm"] += share_of_digits(tokenizer.decode(answer["token_ids"]))
    assert scores["vllm"] == scores["transformers"] > 0


def test_evaluating_the_export_repeats_the_last_evaluation_of_the_run(
    whole: Run, exported: Path, tmp_path: Path
) -> None:
    file = tmp_path / "figures.json"
    done = assay_process("evaluate", str(exported), "--preset", str(TINY), "--json", str(file))
    assert done.code == 0, done
    assert done.err == ""
    figures = json.loads(file.read_text())
    [*_, last] = whole.log("evaluations")
    assert comparable(figures["results"]) == comparable(last["results"])
    report = json.loads((whole.directory / "report.json").read_text())["stages"]["reasoning"]
    for name in ("pass_at_1", "ci_low", "ci_high", "pass_at_10", "greedy", "tasks", "tokens"):
        assert figures[name] == report[name], name
    assert figures["by_mode"].keys() == report["by_mode"].keys()
    rows = {line.split("  ")[0].strip() for line in done.out.splitlines()}
    assert {"all", "thinking", "non-thinking", "level 1"} <= rows
    assert any(row.startswith("scene ") for row in rows)


def test_evaluation_of_a_model_that_is_not_there(assay: Assay, tmp_path: Path) -> None:
    done = assay("evaluate", str(tmp_path / "none"), "--tasks", "finance")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"error: command line: model.path: there is no directory '{tmp_path / 'none'}'; "
        "a hub id has the form org/name\n"
    )


def test_a_checkpoint_of_zero_3_exports_whole(
    sharded: Killed, assay: Assay, tmp_path: Path
) -> None:
    checkpoint = sharded.run.checkpoint()
    done = assay("export", str(checkpoint.path), str(tmp_path / "out"))
    assert done.code == 0, done
    stored = load_tensors(checkpoint.model_dir / "model.safetensors")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    assert stored.keys() == loaded.keys()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in stored.items())


def test_an_export_writes_over_nothing_and_needs_a_checkpoint(
    whole: Run, exported: Path, assay: Assay, tmp_path: Path
) -> None:
    done = assay("export", str(whole.directory), str(exported))
    assert done.code == 2
    assert done.err == f"error: {exported} is not empty: name a new directory to export to\n"
    done = assay("export", str(tmp_path), str(tmp_path / "out"))
    assert done.code == 2
    assert "is neither a run with a checkpoint nor a checkpoint" in done.err
    assert not (tmp_path / "out").exists()
