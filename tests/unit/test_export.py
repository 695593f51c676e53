import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from configs.errors import ConfigError
from configs.schema import ModelConfig, RewardConfig, RunConfig, StageConfig, StageKind, TasksConfig
from rl.checkpoint import Checkpoint, CheckpointError, CheckpointStore, RunState
from rl.durable import load_tensors, read_json, save_tensors, write_json
from rl.export import copy_settings, export_checkpoint, model_card
from rl.provenance import Fingerprints
from tests.tiny_model import build_tiny

STATE = RunState(
    stage="reasoning",
    step=60,
    policy_version=61,
    curriculum={},
    ledger={},
    rng={},
    tracker={},
    fingerprints=Fingerprints({"reasoning/finance": "d4d4"}, "70c0", "b0b0", 1),
    config="""\
name: demo
model:
  path: ${oc.env:MODEL}
reward:
  args: {token: "${oc.env:TOKEN}"}
stages:
  sft:
    tasks: {finance: {args: {levels: [1]}}}
""",
    code_version="v0.1.0",
    packages={"torch": "2.13.0"},
)
CONFIG = RunConfig(
    name="demo",
    seed=23,
    reward=RewardConfig(args={"token": "resolved secret"}),
    stages={
        "sft": StageConfig(
            kind=StageKind.SFT,
            order=1,
            steps=400,
            tasks={"finance": TasksConfig(args={"levels": [1]})},
        ),
        "reasoning": StageConfig(
            order=2, steps=60, tasks={"rows": TasksConfig("rows", "/private/a|b.jsonl")}
        ),
        "agentic": StageConfig(order=3, steps=10),
    },
)
FIGURES = {"ci_low": 0.3, "ci_high": 0.4, "pass_at_10": 0.8, "seconds": 1, "generated_tokens": 1}
REPORT = {
    "stages": {
        "start": FIGURES | {"pass_at_1": 0.0123},
        "sft": FIGURES | {"pass_at_1": 0.3511},
        "reasoning": FIGURES | {"pass_at_1": 0.7654},
        "agentic": FIGURES | {"pass_at_1": 0.9999},
    }
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("base"))


def save(base: Path, directory: Path) -> Checkpoint:
    """A checkpoint whose weights differ from those of the base model."""

    def write(tmp: Path) -> None:
        copy_settings(base, tmp / "model")
        tensors = load_tensors(base / "model.safetensors")
        torch.manual_seed(1)
        trained = {name: tensor + torch.rand_like(tensor) for name, tensor in tensors.items()}
        save_tensors(tmp / "model" / "model.safetensors", trained)

    return CheckpointStore(directory, keep=2).save(write, STATE)


def test_plain_transformers_loads_what_was_trained(base: Path, tmp_path: Path) -> None:
    checkpoint = save(base, tmp_path / "checkpoints")
    out = tmp_path / "out"
    out.mkdir()
    export_checkpoint(checkpoint.path, out, model_card(CONFIG, STATE, REPORT, "apache-2.0"))

    trained = load_tensors(checkpoint.model_dir / "model.safetensors")
    loaded = AutoModelForCausalLM.from_pretrained(out).state_dict()
    assert loaded.keys() == trained.keys()
    assert all(torch.equal(loaded[name], trained[name]) for name in trained)
    tokenizer = AutoTokenizer.from_pretrained(out)
    assert tokenizer.encode("12 + 3") == AutoTokenizer.from_pretrained(base).encode("12 + 3")
    assert tokenizer.chat_template
    assert {entry.name for entry in out.iterdir()} >= {
        *("config.json", "generation_config.json", "model.safetensors", "README.md"),
        *("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"),
    }
    assert not list(tmp_path.glob("*.partial"))

    (code,) = re.findall(r"```python\n(.*?)```", (out / "README.md").read_text(), re.DOTALL)
    exec(code, {"PATH": str(out), "print": lambda text: None})


def test_a_model_directory_exports_too(base: Path, tmp_path: Path) -> None:
    export_checkpoint(base, tmp_path / "out", "# card\n")
    assert (tmp_path / "out" / "README.md").read_text() == "# card\n"


def test_a_tied_configuration_does_not_throw_the_stored_head_away(
    base: Path, tmp_path: Path
) -> None:
    checkpoint = save(base, tmp_path / "checkpoints")
    model = tmp_path / "tied"
    copy_settings(checkpoint.model_dir, model)
    (model / "generation_config.json").unlink()
    tensors = load_tensors(checkpoint.model_dir / "model.safetensors")
    save_tensors(model / "model.safetensors", tensors)
    write_json(
        model / "config.json", read_json(model / "config.json") | {"tie_word_embeddings": True}
    )
    export_checkpoint(model, tmp_path / "untied", "")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "untied")
    assert torch.equal(loaded.lm_head.weight, tensors["lm_head.weight"])
    assert loaded.generation_config.eos_token_id == loaded.config.eos_token_id is not None

    del tensors["lm_head.weight"]
    save_tensors(model / "model.safetensors", tensors)
    export_checkpoint(model, tmp_path / "still_tied", "")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "still_tied")
    assert loaded.lm_head.weight.data_ptr() == loaded.model.embed_tokens.weight.data_ptr()


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("config.json", r"no config\.json"),
        ("model.safetensors", "no safetensors"),
        ("tokenizer.json", "tokenizer"),
        ("chat_template.jinja", "chat template"),
    ],
)
def test_an_incomplete_model_is_refused(
    base: Path, tmp_path: Path, missing: str, reason: str
) -> None:
    model = tmp_path / "model"
    copy_settings(base, model)
    save_tensors(model / "model.safetensors", load_tensors(base / "model.safetensors"))
    (model / missing).unlink()
    with pytest.raises(ConfigError, match=reason):
        export_checkpoint(model, tmp_path / "out", "")
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("name", ["lm_head.weight", "model.norm.weight"])
def test_a_missing_tensor_is_refused_not_made_up(base: Path, tmp_path: Path, name: str) -> None:
    model = tmp_path / "model"
    copy_settings(base, model)
    tensors = load_tensors(base / "model.safetensors")
    del tensors[name]
    save_tensors(model / "model.safetensors", tensors)
    with pytest.raises(ConfigError, match=rf"1 tensors are missing.*{re.escape(name)}"):
        export_checkpoint(model, tmp_path / "out", "")


def test_a_damaged_checkpoint_is_not_exported(base: Path, tmp_path: Path) -> None:
    checkpoint = save(base, tmp_path / "checkpoints")
    (checkpoint.model_dir / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        export_checkpoint(checkpoint.path, tmp_path / "out", "")


@pytest.mark.parametrize("what", ["file", "full"])
def test_nothing_is_overwritten(base: Path, tmp_path: Path, what: str) -> None:
    out = tmp_path / "out"
    if what == "full":
        out.mkdir()
    (out / "notes" if what == "full" else out).write_text("mine")
    with pytest.raises(ConfigError, match="not empty"):
        export_checkpoint(base, out, "")


def test_the_card_states_the_run() -> None:
    card = model_card(CONFIG, STATE, REPORT, "apache-2.0")
    assert card.startswith('---\nlicense: "apache-2.0"\n')
    assert "| before training | 1.2% | 30.0% to 40.0% | 80.0% |" in card
    assert "| after `sft` | 35.1% |" in card
    assert "| after `reasoning` | 76.5% |" in card
    assert "agentic" not in card, "a later stage is not in these weights"
    assert '| `sft` | sft | 400 | 32 | 0.0001 | cross-entropy | `finance` {"levels": [1]} |' in card
    assert (
        "| `reasoning` | rl | 60 | 32 x 8 | 0.0001 | grpo, ppo_clip | `rows a\\|b.jsonl` |" in card
    )
    assert "/private" not in card
    for row in [
        "| seed | 23 |",
        "| torch | 2.13.0 |",
        "| Assay | v0.1.0 |",
        "| base model | b0b0 |",
    ]:
        assert row in card
    assert "| data reasoning/finance | d4d4 |" in card
    assert "${oc.env:MODEL}" in card
    assert "built from scratch" in card
    assert 'Verifier `numeric` {"token": "${oc.env:TOKEN}"}.' in card
    assert "secret" not in card


def test_the_card_leaves_a_missing_figure_open() -> None:
    """With two samples a task there is no pass@10, and without a verdict no figure at all."""
    few = FIGURES | {"pass_at_1": 0.0123, "pass_at_10": None}
    none = dict.fromkeys(few)
    card = model_card(CONFIG, STATE, {"stages": {"start": few, "sft": none}}, "apache-2.0")
    assert "| before training | 1.2% | 30.0% to 40.0% | - |" in card
    assert "| after `sft` | - | - | - |" in card


def test_the_card_claims_no_accuracy_that_was_not_measured() -> None:
    within = replace(STATE, step=20)
    card = model_card(CONFIG, within, REPORT, "apache-2.0")
    assert "after `sft`" in card
    assert "after `reasoning`" not in card
    assert "saved within a stage" in card
    assert "No evaluation" in model_card(CONFIG, STATE, None, "apache-2.0")


@pytest.mark.parametrize(
    ("path", "said", "front"),
    [
        ("Qwen/Qwen3-8B", "begun as `Qwen/Qwen3-8B`", 'base_model: "Qwen/Qwen3-8B"'),
        ("/home/me/models/tiny", "begun as `tiny`", None),
    ],
)
def test_the_card_names_the_base_model(path: str, said: str, front: str | None) -> None:
    config = RunConfig(model=ModelConfig(path=path), stages=CONFIG.stages)
    card = model_card(config, STATE, REPORT, "other")
    assert said in card
    assert "/home" not in card
    assert (front or "---") in card
    assert ("base_model" in card) is (front is not None)
