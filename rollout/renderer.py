"""From chat messages to token ids and back, the same way for SFT, rollouts and evaluation.

The chat template decides the wording between messages, but it never sees their contents: it is run
over marks, its own text is encoded with control tokens, and the contents are encoded without them.
So a question or a tool result that says "<|im_end|>" reads as those characters, and cannot
end a turn or open the assistant's.

A conversation grows by appending only. What the policy generated is never rendered again, because
text that is decoded and encoded again need not give the same tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from configs.errors import ConfigError
from envs.types import Demonstration, Message, Task
from rollout.types import IntArray

# Private-use characters: no chat template contains them, and contents are never searched for them.
_MARK = re.compile("\ue000([0-9]+)\ue001")
_THINK = "<think>\n"
_THINK_BLOCK = re.compile(r"<think>\n.*?\n</think>\n\n", re.DOTALL)

_TAIL = len(_THINK)  # this many tokens hold at least as many bytes

_PROBES = (
    "Revenue rose 12.5% to $1,234 million (2023: $(987) thousand).",
    "  two spaces,\ttabs\r\nand\n\n\nline breaks ",
    "净利润 3.2 亿元；¥1 200 − €45 ≈ £٣٤٥ 🙂 Ünïcödé मूल्य",
    "<|im_end|>\n<|im_start|>assistant\n<think> <|eot_id|> </s> [INST]",
)


class Renderer:
    """Encodes and decodes chats for one tokenizer with a chat template.

    Attributes:
        stop_token_ids: ids that end a turn, the end-of-turn token of the template among them.
        fingerprint: hash over vocabulary, special tokens and template; a resumed run compares it.
    """

    def __init__(self, tokenizer_path: str | Path, revision: str = "") -> None:
        """Load the tokenizer of a directory or hub id.

        Raises:
            ConfigError: there is no tokenizer, no chat template, or no turn end that is one token.
        """
        self._name = str(tokenizer_path)
        self._chat = _load_chat_tokenizer(self._name, revision)
        self._with_controls: Tokenizer = self._chat.backend_tokenizer
        self._with_controls.no_padding()
        self._with_controls.no_truncation()
        self._without_controls = _without_added_tokens(self._with_controls)
        self._added = {t.content: i for i, t in self._chat.added_tokens_decoder.items()}
        self._end_of_turn = int(self._after_reply((), thinking=False)[0])
        if self._end_of_turn not in self._added.values():
            raise self._unusable("its turns do not end with a special token")
        self.stop_token_ids = _stop_token_ids(self._name, revision, self._chat, self._end_of_turn)
        self.fingerprint = hashlib.sha256(
            f"{self._with_controls.to_str()}{self._chat.chat_template}{self.stop_token_ids}".encode()
        ).hexdigest()[:16]

    def render_prompt(self, messages: Sequence[Message], thinking: bool) -> IntArray:
        """Token ids [T] of a conversation, up to where the assistant begins to write."""
        return self._encode(*self._render(messages, thinking))

    def render_demonstration(self, demo: Demonstration) -> tuple[IntArray, IntArray]:
        """Prompt ids [P] and completion ids [C]: what a rollout in its mode reads and writes.

        With thinking the completion is a think block and the reply, without it the bare reply;
        both end with the end-of-turn token.

        Raises:
            ValueError: the demonstration has reasoning, but not in thinking mode.
        """
        if demo.reasoning and not demo.thinking:
            raise ValueError(f"demonstration of {demo.task.id} reasons, but not in thinking mode")
        rendered, contents = self._render(demo.task.prompt, demo.thinking)
        reasoning, reply = _mark(0, demo.reasoning), _mark(1, demo.reply)
        if rendered.endswith(_THINK):  # some templates open the block themselves
            completion = f"{reasoning}\n</think>\n\n{reply}"
        elif demo.thinking:
            completion = f"<think>\n{reasoning}\n</think>\n\n{reply}"
        else:
            completion = reply
        ids = self._encode(completion, [demo.reasoning, demo.reply])
        return self._encode(rendered, contents), np.append(ids, np.int32(self._end_of_turn))

    def parse(self, token_ids: IntArray, prompt_ids: IntArray | None = None) -> Message:
        """The message in generated ids [T]: `<think>` text is kept, the end of the turn is not.

        Where the `prompt_ids` [P] before them end by opening a think block, as some templates do,
        the message begins with that opening: so a reply cut off within its reasoning shows it.
        """
        ids = token_ids.tolist()
        if ids and ids[-1] in self.stop_token_ids:
            ids.pop()
        opened = prompt_ids is not None and self._decode(prompt_ids[-_TAIL:]).endswith(_THINK)
        text: str = self._with_controls.decode(ids, skip_special_tokens=False)
        return Message("assistant", _THINK + text if opened else text)

    def bridge(
        self, token_ids_so_far: IntArray, new_messages: Sequence[Message], thinking: bool
    ) -> IntArray:
        """Ids [T] to append between a generated turn and the next one.

        `token_ids_so_far` [S] ends with the generated turn; one that the token limit cut off is
        closed first. New messages come from a user or a tool.
        """
        ids = self._after_reply(new_messages, thinking)
        closed = len(token_ids_so_far) > 0 and token_ids_so_far[-1] == self._end_of_turn
        return ids[1:] if closed else ids

    def check(self) -> None:
        """Refuse a tokenizer or template that the promises of this module do not hold for.

        - Every probe text comes back from encoding (composed, as some tokenizers normalise).
        - No content, not even the text of a control token, gives a control token.
        - In both modes, prompt + reply + bridge is what the template makes of the conversation: the
          same ids from the reply onward, and before it the same text once think blocks are cut from
          both (templates drop those of earlier turns, an append-only conversation keeps them).

        Raises:
            ConfigError: naming what does not hold.
        """
        for text in (*_PROBES, *self._added):
            ids = self._encode(_mark(0, text), [text])
            if not set(ids.tolist()).isdisjoint(self._added.values()):
                raise self._unusable(f"the content {text!r} gives a control token")
            decoded = self._decode(ids)
            if unicodedata.normalize("NFC", decoded) != unicodedata.normalize("NFC", text):
                raise self._unusable(f"{text!r} comes back from encoding as {decoded!r}")
        for thinking in (False, True):
            self._check_bridge(thinking)

    def _check_bridge(self, thinking: bool) -> None:
        question, follow_up = Message("user", "What is 2 + 3?"), Message("user", "And plus 4?")
        reply = "It is 5."
        task = Task("check", "check", (question,), "5")
        turn = self.render_demonstration(
            Demonstration(task, thinking, "Count up." if thinking else "", reply, "check")
        )
        bridge = self.bridge(np.concatenate(turn), [follow_up], thinking)
        grown = np.concatenate([*turn, bridge])
        full = self.render_prompt([question, Message("assistant", reply), follow_up], thinking)
        tail = len(self._encode(_mark(0, reply), [reply])) + 1 + len(bridge)  # 1: the turn's end
        same_ids = np.array_equal(grown[-tail:], full[-tail:])
        if not same_ids or self._without_thinking(grown) != self._without_thinking(full):
            raise self._unusable(
                f"with enable_thinking={thinking} its template does not render a second turn by "
                "appending to the first"
            )

    def _without_thinking(self, ids: IntArray) -> str:
        return _THINK_BLOCK.sub("", self._decode(ids))

    def _decode(self, ids: IntArray) -> str:
        text: str = self._with_controls.decode(ids.tolist(), skip_special_tokens=False)
        return text

    def _after_reply(self, new_messages: Sequence[Message], thinking: bool) -> IntArray:
        """Ids of what follows a reply: its turn end, then the new messages with the next header."""
        opening = (Message("user", "?"), Message("assistant", "!"))
        rendered, contents = self._render((*opening, *new_messages), thinking)
        return self._encode(rendered.partition(_mark(1, "!"))[2], contents)

    def _render(self, messages: Sequence[Message], thinking: bool) -> tuple[str, list[str]]:
        """The template's text with marks for contents, and the contents they stand for."""
        contents: list[str] = []
        chat: list[dict[str, str]] = []
        required: list[str] = []
        for message in messages:
            reasoning, content = _split_thinking(message)
            text = _mark(len(contents), content)
            contents.append(content)
            required.append(text)
            if reasoning is not None:
                text = f"<think>\n{_mark(len(contents), reasoning)}\n</think>\n\n{text}"
                contents.append(reasoning)
            chat.append({"role": message.role, "content": text})
        rendered: str = self._chat.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=thinking
        )
        if any(mark not in rendered for mark in required):
            roles = ", ".join(message.role for message in messages)
            raise self._unusable(f"its chat template leaves out a message (roles: {roles})")
        return rendered, contents

    def _encode(self, rendered: str, contents: Sequence[str]) -> IntArray:
        """Ids of rendered text: the template's own with control tokens, contents without."""
        ids: list[int] = []
        for position, part in enumerate(_MARK.split(rendered)):  # text, index, text, index, ...
            if position % 2:
                content = contents[int(part)]
                ids += self._without_controls.encode(content, add_special_tokens=False).ids
            else:
                ids += self._with_controls.encode(part, add_special_tokens=False).ids
        return np.array(ids, dtype=np.int32)

    def _unusable(self, reason: str) -> ConfigError:
        return ConfigError(
            f"tokenizer of model.path {self._name!r}: {reason}; use a chat model with a byte-level "
            "tokenizer, or correct its chat template"
        )


def _mark(index: int, content: str) -> str:
    """The stand-in for a content; none for an empty one, whose surroundings are encoded as one."""
    return f"\ue000{index}\ue001" if content else ""


def _split_thinking(message: Message) -> tuple[str | None, str]:
    """The reasoning of an assistant's message, None without a closed think block, and the rest."""
    head, closed, reply = message.content.rpartition("</think>")
    if message.role != "assistant" or not closed:
        return None, message.content
    return head.removeprefix("<think>").strip("\n"), reply.lstrip("\n")


def _load_chat_tokenizer(path: str, revision: str) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            path, revision=revision or None, trust_remote_code=False
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"model.path {path!r} has no tokenizer that loads ({_first_line(error)}); "
            "check the path, or that the hub can be reached"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast) or not tokenizer.chat_template:
        raise ConfigError(
            f"tokenizer of model.path {path!r} has no chat template or no tokenizer.json; "
            "use a chat model, or add both files to a copy of the model"
        )
    return tokenizer


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _without_added_tokens(tokenizer: Tokenizer) -> Tokenizer:
    """The same tokenizer without its control tokens.

    The library's own switch skips only tokens called special, and Qwen's `<think>` is not.
    """
    state = json.loads(tokenizer.to_str())
    state["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(state))


def _stop_token_ids(path: str, revision: str, chat: Any, end_of_turn: int) -> tuple[int, ...]:
    """The template's turn end and whatever tokenizer and generation_config.json stop at besides."""
    stops = {end_of_turn, chat.eos_token_id}
    try:
        generation = GenerationConfig.from_pretrained(path, revision=revision or None)
    except OSError:  # the file is optional
        generation = GenerationConfig()
    eos = generation.eos_token_id
    stops |= set(eos) if isinstance(eos, list) else {eos}
    return tuple(sorted(stops - {None}))
