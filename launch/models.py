"""The model directories of a run: what the learner starts from and what the engines load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from configs.environments import needs_hosts
from configs.errors import ConfigError
from configs.schema import RunConfig
from configs.validate import enabled_stages
from envs.finance import FinanceDemonstrations, FinanceTasks
from envs.finance.general import GeneralDemonstrations
from envs.simulated.calculator import CalculatorTasks
from envs.simulated.sql import SqlTasks
from envs.tool_demonstrations import ToolDemonstrations
from rl.checkpoint import MANIFEST, verify
from rl.durable import read_json
from rl.export import untied
from rl.model import build_model, local_directory
from rl.provenance import fingerprint_files
from rollout.engine import EngineSettings
from rollout.renderer import Renderer
from rollout.tool_format import written

BASE_MODEL, ENGINE_MODEL = "base_model", "engine_model"

TEXTS_A_LEVEL = 600
"""Demonstrations of each level that a new tokenizer is trained on."""


@dataclass(frozen=True, slots=True)
class Models:
    """`source` is the base model; `engine` the same with an untied head, where vLLM needs that."""

    source: Path
    engine: Path
    renderer: Renderer
    fingerprint: str

    @property
    def stop_token_ids(self) -> tuple[int, ...]:
        return tuple(self.renderer.stop_token_ids)


def engine_settings(config: RunConfig, models: Models) -> EngineSettings:
    """How every engine of a run is started."""
    return EngineSettings(
        model=str(models.engine),
        dtype=config.model.dtype,
        max_length=config.model.max_length,
        stop_token_ids=models.stop_token_ids,
        max_num_seqs=config.rollout.max_num_seqs,
        threads=config.rollout.cpus,
        kv_cache_gib=config.rollout.kv_cache_gib,
        compile=config.rollout.compile,
        gpus=config.rollout.gpus,
        gpu_memory_utilization=config.rollout.gpu_memory_utilization,
    )


def prepare_models(config: RunConfig, run_dir: Path) -> Models:
    """Build, find or fetch the base model, and check its tokenizer and chat template.

    Raises:
        ConfigError: there is no such model, or its template breaks a promise of the renderer.
    """
    if config.model.path:
        source = local_directory(config.model.path, config.model.revision)
    else:
        source = run_dir / BASE_MODEL
        if not source.exists():
            partial = source.with_name(f"{BASE_MODEL}.partial")
            build_model(config.model.build, config.seed, partial, tokenizer_texts())
            partial.rename(source)
    engine = untied(source, run_dir / ENGINE_MODEL)
    renderer = Renderer(source)
    renderer.check(tools=needs_hosts(config))
    return Models(source, engine, renderer, _fingerprint(config, source))


def _fingerprint(config: RunConfig, source: Path) -> str:
    """Of the base model's files and, where it was built for the run, of how it was asked for."""
    files = fingerprint_files([source / "config.json", *source.glob("*.safetensors")])
    if config.model.path:
        return files
    return sha256(f"{files} {config.model.build}".encode()).hexdigest()[:16]


def weights_of(start_from: str) -> Path:
    """The model directory of a checkpoint, whose manifest is verified, or of a model.

    Raises:
        ConfigError: there are no weights.
        CheckpointError: a file of the checkpoint is damaged.
    """
    source = Path(start_from)
    model = verify(source).model_dir if (source / MANIFEST).exists() else source
    if not (model / "config.json").exists() or not any(model.glob("*.safetensors")):
        raise ConfigError(f"start_from={start_from}: neither a checkpoint nor a model directory")
    return model


def starting_points(config: RunConfig, models: Models) -> dict[str, str]:
    """Fingerprints of the weights that stages start from, for resume to compare.

    Raises:
        ConfigError: they are of another shape than the run's model.
    """
    found = {}
    for name, stage in enabled_stages(config):
        if stage.start_from:
            model = weights_of(stage.start_from)
            ours, theirs = model_shape(models.source), model_shape(model)
            if ours != theirs:
                raise ConfigError(
                    f"stages.{name}.start_from={stage.start_from} is {theirs}, "
                    f"the run's model {ours}"
                )
            found[f"{name}/start_from"] = fingerprint_files(model.glob("*.safetensors"))
    return found


def model_shape(directory: Path) -> dict[str, object]:
    """What two models must share for one's weights to fit the other."""
    config = read_json(directory / "config.json")
    keys = ("model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")
    return {key: config.get(key) for key in keys}


def tokenizer_texts() -> Iterator[str]:
    """Questions and worked answers of every level, tool calls and general answers, the same ones
    always."""
    for level in (1, 2, 3, 4, 5):
        demonstrations = FinanceDemonstrations(FinanceTasks(levels=(level,)), step_share=0.5)
        for index in range(TEXTS_A_LEVEL):
            demonstration = demonstrations[index]
            yield from (message.content for message in demonstration.task.prompt)
            yield from (demonstration.reasoning, demonstration.reply)
    for tasks in (CalculatorTasks(), SqlTasks()):
        calling = ToolDemonstrations(tasks, tool_share=1.0)
        for index in range(TEXTS_A_LEVEL):
            demonstration = calling[index]
            messages = *demonstration.task.prompt, *demonstration.turns
            yield from (written(message) for message in messages)
    general = GeneralDemonstrations()
    for index in range(TEXTS_A_LEVEL):
        yield general[index].task.prompt[-1].content
        yield general[index].reply
