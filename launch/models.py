"""The model directories of a run: what the learner starts from and what the engines load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from configs.schema import RunConfig
from envs.finance import FinanceDemonstrations, FinanceTasks
from rl.export import untied
from rl.model import build_model, local_directory
from rl.provenance import fingerprint_files
from rollout.renderer import Renderer

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


def prepare_models(config: RunConfig, run_dir: Path) -> Models:
    """Build, find or fetch the base model, and check its tokenizer and chat template.

    Raises:
        ConfigError: there is no such model, or its template breaks a promise of the renderer.
    """
    if config.model.path:
        source = local_directory(config.model.path, config.model.revision)
    else:
        source = run_dir / "base_model"
        if not (source / "model.safetensors").exists():
            build_model(config.model.build, config.seed, source, tokenizer_texts())
    engine = untied(source, run_dir / "engine_model")
    renderer = Renderer(source)
    renderer.check()
    files = [source / "config.json", *source.glob("*.safetensors")]
    return Models(source, engine, renderer, fingerprint_files(files))


def tokenizer_texts() -> Iterator[str]:
    """Questions and worked answers of every level, the same ones always."""
    for level in (1, 2, 3, 4, 5):
        demonstrations = FinanceDemonstrations(FinanceTasks(levels=(level,)), step_share=0.5)
        for index in range(TEXTS_A_LEVEL):
            demonstration = demonstrations[index]
            yield from (message.content for message in demonstration.task.prompt)
            yield from (demonstration.reasoning, demonstration.reply)
