"""The tokenizer of models built from scratch: a small byte-level BPE with Qwen's special tokens.

Its alphabet is the 256 bytes, so any text of any language is representable and round-trips; a
digit is always a token of its own, because numbers cut at arbitrary places are hard to add.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from configs.errors import ConfigError

END_OF_TEXT = "<|endoftext|>"
END_OF_TURN = "<|im_end|>"
CONTROL_TOKENS = (END_OF_TEXT, "<|im_start|>", END_OF_TURN)
MARKER_TOKENS = (
    *("<think>", "</think>"),
    *("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>"),
)
"""One token each, but part of the visible text: decoding keeps them, as in Qwen's tokenizers."""

SMALLEST_VOCABULARY = 256 + len(CONTROL_TOKENS) + len(MARKER_TOKENS)

# Words keep their leading space; a digit stands alone; punctuation and line breaks stay in runs.
PIECES = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# ChatML with Qwen3's thinking switch: without thinking an empty think block follows the assistant's
# header; a turn before the last question loses its thinking; tool results stand in a user's turn.
# Tools are told of in one short line each, since a small model has room for little more.
CHAT_TEMPLATE = r"""
{%- if tools is defined and tools -%}
  {{- '<|im_start|>system\n' -}}
  {%- if messages[0].role == 'system' -%}{{- messages[0].content + '\n' -}}{%- endif -%}
  {{- 'Tools:' -}}
  {%- for tool in tools -%}
    {{- '\n' + tool.function.name + '(' -}}
    {{- tool.function.parameters.get('properties', {}) | join(', ') + ')' -}}
  {%- endfor -%}
  {{- '<|im_end|>\n' -}}
{%- endif -%}
{%- set last = namespace(question=-1) -%}
{%- for message in messages -%}
  {%- if message.role == 'user' -%}{%- set last.question = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- for message in messages -%}
  {%- if message.role == 'tool' -%}
    {%- if loop.first or loop.previtem.role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' -}}
    {%- if loop.last or loop.nextitem.role != 'tool' -%}{{- '<|im_end|>\n' -}}{%- endif -%}
  {%- elif message.role == 'assistant' -%}
    {%- set parts = (message.content or '').split('</think>') -%}
    {%- set thinking = parts[0].split('<think>')[-1].strip('\n') if parts | length > 1 else '' -%}
    {{- '<|im_start|>assistant\n' -}}
    {%- if loop.index0 > last.question and (loop.last or thinking) -%}
      {{- '<think>\n' + thinking + '\n</think>\n\n' -}}
    {%- endif -%}
    {{- parts[-1].lstrip('\n') -}}
    {%- for call in message.tool_calls or [] -%}
      {%- set function = call.function or call -%}
      {{- ('' if loop.first and not message.content else '\n') + '<tool_call>\n' -}}
      {{- '{"name": "' + function.name + '", "arguments": ' + (function.arguments | tojson) -}}
      {{- '}\n</tool_call>' -}}
    {%- endfor -%}
    {{- '<|im_end|>\n' -}}
  {%- elif not (loop.first and message.role == 'system' and tools is defined and tools) -%}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\n' -}}
  {%- if enable_thinking is defined and not enable_thinking -%}
    {{- '<think>\n\n</think>\n\n' -}}
  {%- endif -%}
{%- endif -%}
""".strip()


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """A tokenizer of exactly or, where `texts` hold too little, at most `vocab_size` tokens.

    Special tokens come first, so that their ids do not depend on `texts`. Deterministic: the same
    texts in the same order give the same tokenizer.

    Raises:
        ConfigError: the bytes and special tokens alone do not fit.
    """
    if vocab_size < SMALLEST_VOCABULARY:
        raise ConfigError(
            f"model.build.vocab_size is {vocab_size}, but bytes and special tokens alone take "
            f"{SMALLEST_VOCABULARY}; set it to that or more (1024 is usual)"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            min_frequency=2,
            show_progress=False,
            special_tokens=[*CONTROL_TOKENS, *MARKER_TOKENS],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        ),
    )
    return _with_visible_markers(tokenizer)


def _with_visible_markers(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer with MARKER_TOKENS not special, as the trainer makes all of them."""
    state = json.loads(tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["content"] in CONTROL_TOKENS
    return Tokenizer.from_str(json.dumps(state))
