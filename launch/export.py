"""`assay export`: a trained model as one that transformers and vLLM load."""

from __future__ import annotations

import os
from pathlib import Path

from configs.errors import ConfigError
from configs.load import described
from launch.console import quiet_output
from launch.figures import compute_report
from rl.checkpoint import CHECKPOINTS, MANIFEST, Checkpoint, latest_checkpoint, load_state, verify
from rl.export import export_checkpoint, model_card
from rl.tracking import EVENTS


def export(source: Path, out: Path) -> Path:
    """Write the model of a checkpoint, or of a run's latest one, to `out`, with a card.

    Returns the checkpoint that it was.

    Raises:
        ConfigError: there is no checkpoint at `source`, or `out` holds something.
        CheckpointError: the checkpoint is damaged.
    """
    checkpoint = _checkpoint(source)
    state = load_state(checkpoint)
    config = described(state.config)
    run_dir = checkpoint.path.absolute().parents[1]
    report = compute_report(run_dir).as_dict() if (run_dir / EVENTS).exists() else None
    # A model from elsewhere keeps its own licence, whose file comes along.
    licence = "other" if config.model.path else "apache-2.0"
    card = model_card(config, state, report, licence)
    with quiet_output(Path(os.devnull)):  # loading it to check it draws progress bars
        export_checkpoint(checkpoint.path, out, card)
    return checkpoint.path


def _checkpoint(source: Path) -> Checkpoint:
    if (source / MANIFEST).is_file():
        return verify(source)
    checkpoint = latest_checkpoint(source / CHECKPOINTS)
    if checkpoint is None:
        raise ConfigError(
            f"{source} is neither a run with a checkpoint nor a checkpoint: name a run's folder, "
            "such as runs/quickstart, or one of the folders in its checkpoints/"
        )
    return checkpoint
