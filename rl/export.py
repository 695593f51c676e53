"""A checkpoint as a Hugging Face model: loads in plain transformers and in vLLM, with a card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from configs.errors import ConfigError
from configs.load import written
from configs.schema import RunConfig, StageConfig, StageKind, TasksConfig
from rl.checkpoint import MANIFEST, RunState, verify
from rl.durable import load_tensors, read_json, save_tensors, write_bytes, write_json
from rl.model import load_policy
from rl.tracking import START
from rollout.renderer import Renderer

_SETTINGS = (
    *("config.json", "generation_config.json", "chat_template.jinja"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "merges.txt"),
    *("special_tokens_map.json", "added_tokens.json", "LICENSE", "NOTICE"),
)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def copy_settings(source: Path, target: Path) -> None:
    """Copy all of a model directory but its weights: configuration, tokenizer, template, licence.

    Code that came with a model stays behind. Files that `source` lacks are left out.
    """
    target.mkdir(parents=True, exist_ok=True)
    for name in _SETTINGS:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def untied(source: Path, target: Path) -> Path:
    """A directory that an engine can be given new weights in: `source` itself, unless its output
    head is tied to the embedding. Reloading leaves a tied head stale on a CPU, so then `target`
    becomes a copy with a head of its own, equal to the embedding.
    """
    config = read_json(source / "config.json")
    if not config.get("tie_word_embeddings", False):
        return source
    tensors = _tensors(source)
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    copy_settings(source, target)
    write_json(target / "config.json", config | {"tie_word_embeddings": False})
    save_tensors(target / "model.safetensors", tensors)
    return target


def export_checkpoint(source: Path, out: Path, card: str) -> None:
    """Write the model of a checkpoint, or of a model directory, to `out`; `card` is its README.

    `out` appears only once the copy has been loaded by transformers, with every tensor equal.

    Raises:
        ConfigError: `out` holds something, or the model does not load completely.
        CheckpointError: a file of the checkpoint is missing or damaged.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty: name a new directory to export to")
    is_checkpoint = (source / MANIFEST).is_file()
    model_dir = verify(source).model_dir if is_checkpoint else source
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
    try:
        copy_settings(model_dir, partial)
        for weights in model_dir.glob("*.safetensors*"):  # the index of several files too
            shutil.copyfile(weights, partial / weights.name)
        _complete_settings(partial, model_dir)
        _check_loads(partial, model_dir)
        write_bytes(partial / "README.md", card.encode())
        partial.replace(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _complete_settings(directory: Path, source: Path) -> None:
    """Mend what the copied settings no longer say of the weights."""
    if not (directory / "config.json").is_file():
        raise ConfigError(f"{source} has no config.json: name a checkpoint or a model directory")
    config = read_json(directory / "config.json")
    if not (directory / "generation_config.json").is_file():
        ids = ("bos_token_id", "eos_token_id", "pad_token_id")
        known = {key: config[key] for key in ids if config.get(key) is not None}
        write_json(directory / "generation_config.json", known)
    if config.get("tie_word_embeddings") and "lm_head.weight" in _tensors(directory):
        # The learner stores the head on its own; a tied configuration would throw it away.
        write_json(directory / "config.json", config | {"tie_word_embeddings": False})


def _tensors(directory: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for file in sorted(directory.glob("*.safetensors")):
        tensors |= load_tensors(file)
    return tensors


def _check_loads(directory: Path, source: Path) -> None:
    """Transformers fills tensors that it misses with random numbers and only warns, so compare."""
    stored = _tensors(directory)
    if not stored:
        raise ConfigError(f"{source} has no safetensors weights: name a checkpoint or a model")
    dtype = str(next(iter(stored.values())).dtype).removeprefix("torch.")
    model = load_policy(directory, dtype)
    loaded, needed = model.state_dict(), {name for name, _ in model.named_parameters()}
    wrong = [
        name
        for name in sorted(needed | stored.keys())
        if name not in loaded or name not in stored or not torch.equal(loaded[name], stored[name])
    ]
    if wrong:
        raise ConfigError(
            f"{source} does not load completely: {len(wrong)} tensors are missing, unknown or "
            f"changed ({', '.join(wrong[:3])}): its config.json belongs to other weights"
        )
    Renderer(directory).check()


def model_card(
    config: RunConfig, state: RunState, report: Mapping[str, Any] | None, licence: str
) -> str:
    """The card as Markdown with the front matter that the hub reads.

    `report` is the content of the run's report.json, None where there is none yet; `licence` an
    identifier such as "apache-2.0", which for a trained model is that of the one it began as.
    """
    parts = [
        _front_matter(config, licence),
        f"# {config.name}\n\n"
        f"A causal language model for questions about financial figures, {_origin(config)} and "
        f"trained with Assay. These are the weights after step {state.step} of stage "
        f"`{state.stage}` (policy version {state.policy_version}).",
        _results(config, state, report),
        "## Training\n\n" + _training(config, state),
        "## Reward\n\n" + _reward(config, state),
        "## Use\n\n" + _USE,
        "## Reproduce\n\n" + _provenance(config, state),
        "## Limits\n\nThe figures above hold for the tasks named above and for nothing else. "
        "Answers may be wrong; they are no financial advice.",
    ]
    return "\n\n".join(parts) + "\n"


_USE = """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(PATH)
model = AutoModelForCausalLM.from_pretrained(PATH)
inputs = tokenizer.apply_chat_template(
    [{"role": "user", "content": "Fees were 12, now 15. What is the change?"}],
    add_generation_prompt=True,
    enable_thinking=True,  # False: answer at once
    return_dict=True,
    return_tensors="pt",
)
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=128)[0]))
```"""


def _front_matter(config: RunConfig, licence: str) -> str:
    fields: dict[str, Any] = {
        "license": licence,
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["assay", "finance", "reinforcement-learning"],
    }
    if _HUB_ID.fullmatch(config.model.path):
        fields["base_model"] = config.model.path
    # JSON values are YAML values, whatever characters they hold.
    return "\n".join(["---", *(f"{key}: {json.dumps(fields[key])}" for key in fields), "---"])


def _origin(config: RunConfig) -> str:
    if not config.model.path:
        build = config.model.build
        return f"built from scratch ({build.num_layers} layers, {build.hidden_size} wide)"
    is_id = _HUB_ID.fullmatch(config.model.path)
    return f"begun as `{config.model.path if is_id else Path(config.model.path).name}`"


def _results(config: RunConfig, state: RunState, report: Mapping[str, Any] | None) -> str:
    """Held-out accuracy after each stage that these weights have been through to the end."""
    figures: Mapping[str, Mapping[str, float | None]] = report["stages"] if report else {}
    earlier = [name for name, stage in _stages(config, state) if name != state.stage]
    finished = state.step >= config.stages[state.stage].steps
    names = [START, *earlier, *([state.stage] if finished else [])]
    rows = [
        [
            "before training" if name == START else f"after `{name}`",
            _percent(figures[name]["pass_at_1"]),
            _interval(figures[name]),
            _percent(figures[name]["pass_at_10"]),
        ]
        for name in names
        if name in figures
    ]
    lines = ["## Held-out accuracy", ""]
    if not rows:
        return "\n".join([*lines, "No evaluation of these weights was at hand at export."])
    if not finished:
        lines += ["The weights were saved within a stage and were not evaluated themselves.", ""]
    evaluation = config.evaluation
    data = _data(evaluation.tasks, state, "evaluation")
    lines += [
        _table(["", "pass@1", "95 % interval", "pass@10"], rows),
        "",
        f"pass@1 is the mean over {evaluation.samples} samples a task at temperature 1, "
        f"on {evaluation.num_tasks} tasks never trained on "
        f"({data}), at most {evaluation.max_tokens} tokens an answer, "
        f"{evaluation.thinking_share:.0%} of them in thinking mode; the interval is a bootstrap "
        "over tasks.",
    ]
    return "\n".join(lines)


def _interval(figures: Mapping[str, float | None]) -> str:
    low, high = figures["ci_low"], figures["ci_high"]
    return "-" if low is None or high is None else f"{low:.1%} to {high:.1%}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _stages(config: RunConfig, state: RunState) -> list[tuple[str, StageConfig]]:
    """The enabled stages in order, up to the one that the weights come from."""
    enabled = [(name, stage) for name, stage in config.stages.items() if stage.enabled]
    last = config.stages[state.stage].order
    return sorted((item for item in enabled if item[1].order <= last), key=lambda i: i[1].order)


def _training(config: RunConfig, state: RunState) -> str:
    rows = []
    for name, stage in _stages(config, state):
        algorithm = stage.algorithm
        is_rl = stage.kind is StageKind.RL
        method = f"{algorithm.advantage}, {algorithm.loss}" if is_rl else "cross-entropy"
        size = f"{stage.batch_size} x {stage.group_size}" if is_rl else f"{stage.batch_size}"
        steps = state.step if name == state.stage else stage.steps
        data = _data(stage.tasks, state, "stages", name)
        rate = f"{stage.learning_rate:g}"
        rows.append([f"`{name}`", stage.kind, f"{steps}", size, rate, method, data])
    header = ["stage", "kind", "steps", "batch", "learning rate", "algorithm", "data"]
    return _table(header, rows) + "\n\nA batch is sequences (sft) or tasks x samples (rl)."


def _data(sets: Mapping[str, TasksConfig], state: RunState, *section: str) -> str:
    return ", ".join(
        f"`{f'{tasks.source} {Path(tasks.path).name}'.strip()}`"
        + _arguments(state, *section, "tasks", name)
        for name, tasks in sets.items()
    )


def _reward(config: RunConfig, state: RunState) -> str:
    return (
        f"Verifier `{config.reward.verifier}`{_arguments(state, 'reward')}. "
        "A sample without a verdict is left out, never scored 0."
    )


def _arguments(state: RunState, *section: str) -> str:
    """The `args` of a section as they were written: what `${...}` stands for may be a secret."""
    node: Any = written(state.config)
    for name in (*section, "args"):
        node = node.get(name, {})
    return f" {json.dumps(node)}" if node else ""


def _provenance(config: RunConfig, state: RunState) -> str:
    prints = state.fingerprints
    rows = [
        ["seed", f"{config.seed}"],
        ["Assay", state.code_version],
        *([name, version] for name, version in state.packages.items()),
        ["base model", prints.model],
        ["tokenizer", prints.tokenizer],
        *([f"data {name}", print_] for name, print_ in prints.data.items()),
    ]
    fence = "````"
    return (
        _table(["", "version or fingerprint"], rows)
        + f"\n\nConfiguration as written:\n\n{fence}yaml\n{state.config.rstrip()}\n{fence}"
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(" ".join(c.replace("|", "\\|").split()) for c in cells) + " |"

    return "\n".join([line(header), "|" + " --- |" * len(header), *map(line, rows)])
