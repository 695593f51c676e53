"""Models built from scratch: the same files every time, which plain transformers loads."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from configs.errors import ConfigError
from configs.schema import BuildConfig
from rl.model import build_model, load_policy
from rl.tokenizer import CONTROL_TOKENS, MARKER_TOKENS, SMALLEST_VOCABULARY, train_tokenizer

TEXTS = ["Deposits were 755 in October and 901 in November. What is the total?", "5+1=6 0+5=5"] * 40
TINY = BuildConfig(
    num_layers=1, hidden_size=64, intermediate_size=96, num_heads=2, num_kv_heads=1, vocab_size=320
)
TOKENIZER = train_tokenizer(TEXTS, TINY.vocab_size)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("model")
    build_model(TINY, 17, directory, TEXTS)
    return directory


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_same_arguments_give_the_same_bytes(built: Path, tmp_path: Path) -> None:
    torch.manual_seed(99)  # the state of the global generator must not matter
    build_model(TINY, 17, tmp_path, TEXTS)
    assert files(tmp_path) == files(built)


def test_another_seed_changes_the_weights_alone(built: Path, tmp_path: Path) -> None:
    build_model(TINY, 18, tmp_path, TEXTS)
    first, second = files(built), files(tmp_path)
    assert {name for name in first if first[name] != second[name]} == {"model.safetensors"}


def test_building_leaves_the_global_generator_alone(tmp_path: Path) -> None:
    state = torch.random.get_rng_state()
    build_model(TINY, 1, tmp_path, TEXTS)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_plain_transformers_loads_and_generates(built: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(built)
    tokenizer = AutoTokenizer.from_pretrained(built)
    assert model.config.model_type == "qwen3"
    assert model.dtype == torch.float32
    assert not model.config.tie_word_embeddings
    assert model.lm_head.weight.data_ptr() != model.model.embed_tokens.weight.data_ptr()
    assert model.generation_config.eos_token_id == tokenizer.convert_tokens_to_ids("<|im_end|>")
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "2 + 3?"}], add_generation_prompt=True, return_tensors="pt"
    )
    answer = model.generate(**prompt, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > prompt["input_ids"].shape[1]


def test_loaded_tokenizer_encodes_like_the_trained_one(built: Path) -> None:
    """Loading must not swap in the pre-tokenizer or normalizer of a class of its own."""
    loaded = AutoTokenizer.from_pretrained(built)
    for text in (*TEXTS[:2], "  a\n\n b\t12.5%", "e\u0301 净利润", "<think>\nx\n</think>\n\n"):
        assert loaded(text, add_special_tokens=False)["input_ids"] == TOKENIZER.encode(text).ids


@given(st.text())
def test_any_text_round_trips(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(text).ids, skip_special_tokens=False) == text


def test_digits_stand_alone() -> None:
    tokenizer = train_tokenizer(["2023 2023 2023 12,345.67 -> 100%"] * 50, 1024)
    for token in tokenizer.encode("In 2023: 12,345.67 (100%), x86 v2 -50 $3").tokens:
        assert not any(c.isdigit() for c in token) or len(token) == 1, token


def test_special_tokens_are_one_id_each_and_come_first() -> None:
    specials = [*CONTROL_TOKENS, *MARKER_TOKENS]
    assert [TOKENIZER.token_to_id(token) for token in specials] == list(range(len(specials)))
    ids = TOKENIZER.encode("".join(specials)).ids
    assert ids == list(range(len(specials)))
    assert TOKENIZER.decode(ids) == "".join(MARKER_TOKENS)  # control tokens are left out by default


def test_vocabulary_too_small_for_the_bytes_is_refused() -> None:
    with pytest.raises(ConfigError, match="vocab_size"):
        train_tokenizer(TEXTS, SMALLEST_VOCABULARY - 1)


def test_heads_must_divide_the_width(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        build_model(BuildConfig(hidden_size=100, num_heads=3), 0, tmp_path, TEXTS)


@pytest.mark.parametrize(
    ("dtype", "expected"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_load_policy_gives_the_dtype_asked_for(
    built: Path, dtype: str, expected: torch.dtype
) -> None:
    assert {p.dtype for p in load_policy(built, dtype).parameters()} == {expected}


def test_load_policy_names_what_is_wrong(built: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        load_policy(tmp_path / "nowhere", "float32")
    with pytest.raises(ConfigError, match="does not load"):
        load_policy(tmp_path, "float32")  # a directory, but no model in it
    shutil.copyfile(built / "config.json", tmp_path / "config.json")
    weights = load_file(built / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(ConfigError, match=r"safetensors"):
        load_policy(tmp_path, "float32")  # weights in pickle may run code
    with pytest.raises(ConfigError, match="float16"):
        load_policy(built, "float16")
