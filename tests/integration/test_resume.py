"""A run that is killed, stopped and interrupted ends as one that was left alone."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from configs.load import load
from launch.memory import SHARED_FOLDER
from launch.tasks import load_stages
from rl.curriculum import UniformCurriculum
from rl.durable import load_tensors, read_json
from tests.integration.conftest import Assay, Killed
from tests.integration.runs import (
    TINY,
    Finished,
    Run,
    assert_same_steps,
    comparable,
    running,
    train,
    where,
)

pytestmark = pytest.mark.timeout(1800)


@dataclass(frozen=True)
class Disturbed:
    """One run in five attempts; the last one went to the end."""

    run: Run
    attempts: tuple[Finished, ...]


def disturb(run: Run, number: signal.Signals, reached: Callable[[], bool], *more: str) -> Finished:
    """Train and send a signal to the driver once the run has come so far."""
    with running("train", str(TINY), *where(run.directory), *more) as attempt:
        attempt.wait_until(reached, f"the moment for {number.name}")
        attempt.process.send_signal(number)
        return attempt.finish()


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    run = Run(tmp_path_factory.mktemp("disturbed") / "tiny")
    attempts: list[Finished] = []

    def ended(attempt: Finished, code: int) -> None:
        assert attempt.code == code, f"{attempt}\n{run.process_logs()}"
        attempts.append(attempt)

    def done(step: int) -> Callable[[], bool]:
        return lambda: len(run.steps("reasoning")) >= step

    ended(disturb(run, signal.SIGINT, lambda: bool(run.log("events"))), 130)
    after_four_steps_of_sft = "ckpt.before_latest=kill@2"
    ended(train(run.directory, fault=after_four_steps_of_sft), -signal.SIGKILL)
    ended(disturb(run, signal.SIGKILL, done(3), "--resume"), -signal.SIGKILL)
    ended(disturb(run, signal.SIGTERM, done(5), "--resume"), 6)
    ended(train(run.directory, "--resume"), 0)
    return Disturbed(run, tuple(attempts))


def test_every_attempt_says_how_it_ended(disturbed: Disturbed) -> None:
    assert disturbed.attempts[0].err == "interrupted: no checkpoint\n"
    stopped = disturbed.attempts[3].err
    assert stopped.count("\n") == 1
    assert "stopped after step" in stopped
    assert "--resume" in stopped
    ends = [e["status"] for e in disturbed.run.log("events") if e["kind"] == "run_end"]
    assert ends == ["interrupted", "stopped", "done"]


def test_steps_tokens_and_evaluations_are_those_of_the_undisturbed_run(
    whole: Run, disturbed: Disturbed
) -> None:
    assert len(whole.steps("sft")) == 6
    assert len(whole.steps("reasoning")) == 8
    assert any(line["learner/grad_norm"] > 1e-3 for line in whole.steps("reasoning"))
    assert_same_steps(whole.log("metrics"), disturbed.run.log("metrics"))
    answers = comparable(whole.log("trajectories"))
    assert len(answers) == 8 * 4 * 4
    assert answers == comparable(disturbed.run.log("trajectories"))
    assert comparable(whole.log("evaluations")) == comparable(disturbed.run.log("evaluations"))


def test_what_was_lost_is_what_was_done_again(whole: Run, disturbed: Disturbed) -> None:
    lost = disturbed.run.superseded("metrics")
    assert lost, "no attempt lost a step: the test disturbs nothing"
    again = {(line["stage"], line["step"]): line for line in whole.log("metrics")}
    assert_same_steps([again[line["stage"], line["step"]] for line in lost], lost)


def test_the_final_state_and_weights_are_those_of_the_undisturbed_run(
    whole: Run, disturbed: Disturbed
) -> None:
    one, other = whole.state(), disturbed.run.state()
    for name in ("stage", "step", "policy_version", "curriculum", "ledger", "fingerprints"):
        assert getattr(one, name) == getattr(other, name), name
    weights = load_tensors(whole.checkpoint().model_dir / "model.safetensors")
    for name, tensor in load_tensors(
        disturbed.run.checkpoint().model_dir / "model.safetensors"
    ).items():
        np.testing.assert_allclose(tensor, weights[name], atol=1e-5, err_msg=name)


def test_the_next_tasks_would_be_the_same(whole: Run, disturbed: Disturbed) -> None:
    config = load(str(TINY)).config
    mixture = load_stages(config)["reasoning"]

    def next_tasks(run: Run) -> list[str]:
        curriculum = UniformCurriculum(mixture.sizes, mixture.weights, config.seed)
        curriculum.restore(run.state().curriculum)
        return [mixture[curriculum.next().index].id for _ in range(8)]

    seen = {line["task_id"] for line in whole.log("trajectories")}
    assert next_tasks(whole) == next_tasks(disturbed.run)
    assert seen.isdisjoint(next_tasks(whole))


def test_the_report_counts_every_group_once(disturbed: Disturbed) -> None:
    report = read_json(disturbed.run.directory / "report.json")
    assert report["groups"] == {"dispatched": 32, "trained": 32, "dropped": {}, "owed": 0}
    assert (report["status"], report["attempts"]) == ("done", 5)


def test_nothing_stays_in_shared_memory(disturbed: Disturbed) -> None:
    left = {path.name for path in Path("/dev/shm").glob(f"{SHARED_FOLDER}*")}
    assert left.isdisjoint(f"{SHARED_FOLDER}{a.run_id}" for a in disturbed.attempts)


def test_a_finished_run_is_not_run_again(disturbed: Disturbed, assay: Assay) -> None:
    before = disturbed.run.log("events")
    done = assay("train", str(TINY), *where(disturbed.run.directory), "--resume")
    assert (done.code, done.err) == (0, "")
    assert "is finished" in done.out
    assert disturbed.run.log("events") == before


def test_a_new_run_does_not_write_over_an_earlier_one(whole: Run, assay: Assay) -> None:
    refused = assay("train", str(TINY), *where(whole.directory))
    assert refused.code == 2
    assert f"{whole.directory} holds an earlier run" in refused.err


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        ("stages.sft.tasks.finance.args={levels: [1, 2]}", ["data sft/finance"]),
        ("seed=6", ["data order (checkpoint seed 5, now seed 6)"]),
        ("model.build.num_layers=3", ["model"]),
        ("learner.ranks=2", ["learner.ranks (checkpoint 1, now 2)"]),
        ("learner.zero_stage=3", ["learner.zero_stage (checkpoint 0, now 3)"]),
        ("model.dtype=bfloat16", ["model.dtype (checkpoint float32, now bfloat16)"]),
        ("model.path=OTHER", ["tokenizer", "model"]),
    ],
)
def test_another_run_is_not_continued(
    change: str, differing: list[str], whole: Run, other_model: Path, assay: Assay
) -> None:
    files = sorted(whole.directory.rglob("*"))
    config = (whole.directory / "config.yaml").read_text()
    changed = change.replace("OTHER", str(other_model))
    refused = assay("train", str(TINY), *where(whole.directory), "--resume", changed)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("error: cannot resume, not the same run: ")
    assert refused.err.count("\n") == 1
    assert refused.err.count("(checkpoint ") == refused.err.count(", now ") == len(differing)
    assert all(name in refused.err for name in differing)
    assert (whole.directory / "config.yaml").read_text() == config
    new = {path.name for path in set(whole.directory.rglob("*")) - set(files)}
    assert new <= {"attempt_2", "driver.log"}


def test_there_must_be_something_to_resume(tmp_path: Path, assay: Assay) -> None:
    refused = assay("train", str(TINY), *where(tmp_path / "none"), "--resume")
    assert refused.code == 2
    assert refused.err == (
        f"error: {tmp_path / 'none'} has no checkpoint to resume from; start without --resume\n"
    )
    assert not (tmp_path / "none").exists()


def test_groups_in_flight_are_issued_again(tmp_path: Path) -> None:
    run = Run(tmp_path / "tiny")
    ahead = "stages.reasoning.max_staleness=1"
    killed = disturb(run, signal.SIGKILL, lambda: len(run.steps("reasoning")) >= 5, ahead)
    assert killed.code == -signal.SIGKILL
    state = run.state()
    assert state.stage == "reasoning"
    owed = [group_id for group_id, *_ in state.ledger["owed"]]
    assert len(owed) == 4
    finished = train(run.directory, ahead, "--resume")
    assert finished.code == 0, finished
    answers = Counter((line["group"], line["index"]) for line in run.log("trajectories"))
    assert set(answers.values()) == {1}, "a group was trained twice"
    groups = Counter(line["group"] for line in run.log("trajectories"))
    assert sorted(groups) == list(range(32))
    assert set(groups.values()) == {4}
    after = {line["group"] for line in run.log("trajectories") if line["step"] > state.step}
    assert set(owed) <= after
    report = read_json(run.directory / "report.json")["groups"]
    assert report == {"dispatched": 32, "trained": 32, "dropped": {}, "owed": 0}
    assert max(line["staleness/max"] for line in run.steps("reasoning")) <= 1


def test_two_ranks_of_zero_3_publish_checkpoint_and_resume(sharded: Killed) -> None:
    run = sharded.run
    assert len(sharded.lost) == 8, "killed when the stage was about to be saved"
    assert_same_steps(sharded.lost, run.steps("reasoning"))
    assert comparable(run.superseded("trajectories")) == comparable(run.log("trajectories"))
    publishes = [e["max_logprob_difference"] for e in run.log("events") if e["kind"] == "publish"]
    publishes += [line["publish/max_logprob_difference"] for line in run.steps("reasoning")]
    assert len(publishes) == 4 + 8
    assert max(publishes) < 1e-4
