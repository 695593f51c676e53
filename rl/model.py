"""Causal language models: any in Hugging Face format, or a tiny Qwen3-shaped one from scratch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from transformers import (
    AttentionInterface,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from configs.errors import ConfigError
from configs.schema import BuildConfig
from rl.attention import packed_attention, packed_flash_attention
from rl.tokenizer import CHAT_TEMPLATE, END_OF_TEXT, END_OF_TURN, train_tokenizer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

MAX_POSITIONS = 4096
INITIALIZER_RANGE = 0.02

# By these names in load_policy.
AttentionInterface.register("packed", packed_attention)
AttentionInterface.register("packed_varlen", packed_flash_attention)


def build_model(build: BuildConfig, seed: int, directory: Path, texts: Iterable[str]) -> None:
    """Write a new model: float32 weights, tokenizer, chat template and generation settings.

    The tokenizer is trained on `texts`. The files load in plain transformers and in vLLM, and are
    the same bytes for the same arguments. Input and output embeddings are untied, because reloading
    tied ones in place leaves a vLLM engine on a CPU with a stale output head.

    Raises:
        ConfigError: heads that do not divide the width, or a vocabulary too small for the bytes.
    """
    if build.hidden_size % build.num_heads or build.num_heads % build.num_kv_heads:
        raise ConfigError(
            f"model.build: hidden_size {build.hidden_size} must be a multiple of num_heads "
            f"{build.num_heads}, and that of num_kv_heads {build.num_kv_heads}"
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(texts, build.vocab_size),
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        model_max_length=MAX_POSITIONS,
        chat_template=CHAT_TEMPLATE,
    )
    config = Qwen3Config(
        vocab_size=build.vocab_size,
        hidden_size=build.hidden_size,
        intermediate_size=build.intermediate_size,
        num_hidden_layers=build.num_layers,
        num_attention_heads=build.num_heads,
        num_key_value_heads=build.num_kv_heads,
        head_dim=build.hidden_size // build.num_heads,
        max_position_embeddings=MAX_POSITIONS,
        max_window_layers=build.num_layers,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def load_policy(
    path: str | Path, dtype: str, attention: str = "sdpa", revision: str = ""
) -> torch.nn.Module:
    """The causal language model at a directory or hub id, on the CPU, in `dtype`.

    `attention` is "packed" or "packed_varlen" (ours, for packed rows) or a name of transformers:
    sdpa, eager. Code that comes with a model is never run.

    Raises:
        ConfigError: unknown dtype, no such directory or hub id, or not a causal language model.
    """
    if dtype not in DTYPES:
        raise ConfigError(f"model.dtype is {dtype!r}; use one of {', '.join(DTYPES)}")
    try:
        model: torch.nn.Module = AutoModelForCausalLM.from_pretrained(
            path,
            revision=revision or None,
            dtype=DTYPES[dtype],
            attn_implementation=attention,
            trust_remote_code=False,
            use_safetensors=True,  # the other format is pickle: loading it may run code
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"model.path {str(path)!r} does not load as a causal language model ({reason}); "
            "check the path, or that the hub can be reached"
        ) from error
    return model


def local_directory(path: str, revision: str) -> Path:
    """The directory of a model: the path itself, or the hub model it names, fetched.

    Raises:
        ConfigError: neither a directory nor a hub model that can be fetched.
    """
    if Path(path).is_dir():
        return Path(path)
    try:
        return Path(snapshot_download(path, revision=revision or None))
    except (OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(
            f"model.path {path!r} is no directory and cannot be fetched from the hub ({reason}); "
            "check the path, or fetch the model to a directory first"
        ) from error
