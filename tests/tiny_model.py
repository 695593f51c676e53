"""The files of a model, small enough to be made in a moment."""

from pathlib import Path

from configs.schema import BuildConfig
from rl.model import build_model

TINY = BuildConfig(
    num_layers=1, hidden_size=64, intermediate_size=96, num_heads=2, num_kv_heads=1, vocab_size=320
)


def build_tiny(directory: Path, seed: int = 3) -> Path:
    """Make it in `directory`, and return that."""
    build_model(TINY, seed, directory, ["Fees were 384 in 2021 and 512 in 2022. What changed?"])
    return directory
