"""Relations between keys, and the range of every number."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest

from configs import derived, schema
from configs.errors import ConfigError, DataError
from configs.load import load
from configs.ranges import RANGES, Range
from configs.validate import enabled_stages, is_hub_id, task_sets

SMALL = str(Path(__file__).parent / "small_run.yaml")
RL = "stages.reasoning"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["learner.zero_stage=4"], "learner.zero_stage: must be from 0 to 3, is 4"),
        (["learner.grad_clip=nan"], "learner.grad_clip: must be over 0, is nan"),
        (["learner.grad_clip=inf"], "learner.grad_clip: must be over 0, is inf"),
        (["rollout.gpu_memory_utilization=1.5"], "must be over 0 and at most 1, is 1.5"),
        (["seed=-1"], "seed: must be at least 0, is -1"),
        ([f"{RL}.group_size=1"], f"{RL}.group_size: must be at least 2, is 1"),
        ([f"{RL}.batch_size=0"], f"{RL}.batch_size: must be at least 1"),
        ([f"{RL}.max_staleness=-1"], f"{RL}.max_staleness: must be at least 0"),
        ([f"{RL}.thinking_share=1.1"], f"{RL}.thinking_share: must be from 0 to 1"),
        (["checkpoint.keep=1"], "checkpoint.keep: must be at least 2, is 1"),
        ([f"{RL}.tasks.finance.weight=0"], f"{RL}.tasks.finance.weight: must be over 0"),
        (["model.dtype=bf16"], "must be one of float32, bfloat16, is 'bf16'"),
        (["model.dtype=float23"], "did you mean 'float32'?"),
        ([f"{RL}.tasks.finance.split=dev"], "must be one of train, heldout"),
        ([f"{RL}.tasks.finance.split=heldout"], "must be train: held-out tasks only evaluate"),
        ([f"{RL}.algorithm.kl_estimator=k4"], "must be one of k1, k2, k3"),
        ([f"{RL}.algorithm.loss=gspoo"], "did you mean 'gspo'?"),
        ([f"{RL}.algorithm.loss=mine:"], 'nor "package.module:attribute"'),
        (["reward.verifier=numerc"], "did you mean 'numeric'?"),
        ([f"{RL}.tasks.finance.source=tatqq"], "did you mean 'tatqa'?"),
        ([f"{RL}.tasks.finance.source=gsm8k"], "reads a file: set this to its path"),
        ([f"{RL}.tasks.finance.path=x"], "reads no file"),
        (["name=../elsewhere"], "name: must be letters, digits"),
        (["name=.."], "name: must be letters, digits"),
        (["stages.sft.order=2"], "order: is 2, as that of stage"),
        (["stages.sft.enabled=false", f"{RL}.enabled=false"], "there is no enabled stage"),
        (["stages.x.order=5"], "stages.x.tasks: the stage has no tasks"),
        (["stages.start.order=5"], "and not 'start'"),
        ([f"{RL}.start_from=/no/such"], "there is no checkpoint '/no/such'"),
        ([f"{RL}.max_tokens=256"], "256 leaves no room for a prompt within model.max_length, 256"),
        (["evaluation.max_tokens=300"], "evaluation.max_tokens: 300 leaves no room"),
        (["evaluation.tasks.finance.split=train"], "must be heldout"),
        (["learner.token_budget=100"], "must hold one sequence of model.max_length, 256"),
        (["model.build.num_heads=3"], "model.build.num_heads: must divide hidden_size, 128"),
        (["model.build.num_heads=8"], "gives heads of size 16; vLLM has 32, 64"),
        (["model.build.num_kv_heads=3"], "must divide num_heads, 4"),
        (["learner.flash_attention=true"], "needs a GPU"),
        (["learner.gpus=1"], "the same kind of device"),
        (["fleet.min_rollout_workers=3"], "3 is more than rollout.workers, 1"),
        (["rollout.workers=3", "fleet.max_rollout_workers=2"], "2 is less than rollout.workers, 3"),
        (["fleet.resources={wheels: {a: 1}}"], "fleet.resources.wheels: no such role"),
        (["fleet.resources={rollout: {a: 0}}"], "fleet.resources.rollout: must map names"),
        (["fleet.resources={rollout: 2}"], "fleet.resources.rollout: must map names"),
        (["learner.colocate=true"], "needs learner.gpus=1 and rollout.gpus=1"),
        (
            ["learner.colocate=true", "learner.gpus=1", "rollout.gpus=1", "rollout.workers=2"],
            "learner.ranks, 1, must equal rollout.workers, 2",
        ),
        (
            ["learner.flash_attention=true", "learner.gpus=1", "rollout.gpus=1"],
            "set model.dtype=bfloat16",
        ),
        ([f"{RL}.lookahead=2"], "must be at most batch_size * max_staleness + 1"),
        ([f"{RL}.algorithm.num_minibatches=33"], "is over batch_size, 32 groups"),
        ([f"{RL}.algorithm.dual_clip=0.5"], "must be over 1, or 0 for off"),
        ([f"{RL}.algorithm.importance_cap=0.5"], "must be at least 1"),
        (["deadlines.tool_s=60"], "60 s must be under deadlines.turn_s, 60 s"),
        (["deadlines.watchdog_s=10"], "must be under deadlines.watchdog_s, 10 s"),
    ],
)
def test_a_problem_is_one_line_that_names_the_key(overrides: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(SMALL, overrides)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_number_of_the_schema_has_a_range() -> None:
    classes = [k for k in vars(schema).values() if dataclasses.is_dataclass(k)]
    numbers = {
        f"{kind.__name__}.{name}"
        for kind in classes
        for name, hint in get_type_hints(kind).items()
        if hint in (int, float)
    }
    assert numbers == set(RANGES)


def test_the_defaults_lie_in_their_ranges() -> None:
    for key, allowed in RANGES.items():
        owner, name = key.split(".")
        default = vars(vars(schema)[owner]())[name]
        assert default in allowed, key


def test_ranges_say_what_they_allow() -> None:
    assert str(Range(low=2)) == "at least 2"
    assert str(Range(above=0)) == "over 0"
    assert str(Range(low=0, high=1)) == "from 0 to 1"
    assert 0.0 not in Range(above=0)
    assert float("nan") not in Range()


def test_a_missing_data_file_is_an_error_of_the_data() -> None:
    changes = [f"{RL}.tasks.finance.source=rows", f"{RL}.tasks.finance.path=/no/such.jsonl"]
    with pytest.raises(DataError, match=r"command line: .*path: there is no file '/no/such.jsonl'"):
        load(SMALL, changes)
    load(SMALL, [*changes, f"{RL}.enabled=false"])  # what is not run is not read


def test_model_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(SMALL, ["model.path=org/name"]).config.model.path == "org/name"
    for path in ("/no/such", "./org/name", "name", "a/b/c"):
        with pytest.raises(ConfigError, match="there is no directory"):
            load(SMALL, [f"model.path={path}"])
    (tmp_path / "runs" / "empty").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        load(SMALL, ["model.path=runs/empty"])
    assert not is_hub_id("runs/tiny")  # "runs" is a folder here, so this is a missing directory
    (tmp_path / "runs" / "empty" / "config.json").write_text("{}")
    load(SMALL, ["model.path=runs/empty"])
    with pytest.raises(ConfigError, match="only a hub model has revisions"):
        load(SMALL, ["model.path=runs/empty", "model.revision=abc"])
    for revision in ("main", "v1.0", "0123abc", "g" * 40, "0" * 41):
        with pytest.raises(ConfigError, match=r"model\.revision: must be a whole commit"):
            load(SMALL, ["model.path=org/name", f"model.revision={revision}"])
    load(SMALL, ["model.path=org/name", f"model.revision={'0a' * 20}"])


def test_a_run_without_evaluation_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("stages: {sft: {kind: sft, tasks: {a: {source: finance}}}}")
    with pytest.raises(ConfigError, match=r"evaluation\.tasks: there are none: add"):
        load(str(file))


def test_a_file_is_split_in_one_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").touch()
    sets = (f"{RL}.tasks.mine", "evaluation.tasks.mine")
    paths = ("a.jsonl", f"{tmp_path}/a.jsonl")
    given = [f"{key}.source=rows" for key in sets]
    given += [f"{key}.path={path}" for key, path in zip(sets, paths, strict=True)]
    given += ["evaluation.tasks.mine.split=heldout"]
    load(SMALL, given)
    with pytest.raises(ConfigError, match=rf"is 0\.2, but {RL}\.tasks\.mine has 0\.1 for the same"):
        load(SMALL, [*given, "evaluation.tasks.mine.held_out_share=0.2"])
    (tmp_path / "b.jsonl").touch()
    other = [f"evaluation.tasks.mine.{change}" for change in ("path=b.jsonl", "held_out_share=1")]
    load(SMALL, [*given, *other])


@pytest.mark.parametrize(
    ("changes", "limit"),
    [
        ([], 1e-4),
        (["model.dtype=bfloat16"], 0.2),
        (["model.dtype=bfloat16", "publish.max_logprob_difference=0.5"], 0.5),
    ],
)
def test_the_limit_of_a_publish_follows_the_type(changes: list[str], limit: float) -> None:
    assert derived.logprob_limit(load(SMALL, changes).config) == limit


def test_stages_come_by_order_and_only_what_runs_is_read() -> None:
    config = load(SMALL, ["stages.sft.order=7"]).config
    assert [name for name, _ in enabled_stages(config)] == ["reasoning", "sft"]
    config = load(SMALL, ["stages.sft.enabled=false"]).config
    assert [key for key, _ in task_sets(config)] == [
        "stages.reasoning.tasks.finance",
        "evaluation.tasks.finance",
    ]


def test_the_source_of_a_bad_value_is_named() -> None:
    with pytest.raises(ConfigError, match=r"^command line: checkpoint\.keep: "):
        load(SMALL, ["checkpoint.keep=1"])
