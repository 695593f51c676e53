"""From chat messages to token ids and back, the same way for SFT, rollouts and evaluation.

The chat template decides the wording between messages, but it never sees their contents: it is run
over marks, its own text is encoded with control tokens, and the contents are encoded without them.
So a question or a tool result that says "<|im_end|>" reads as those characters, and cannot
end a turn or open the assistant's. Tags that are the policy's to write (think blocks and tool calls
in an assistant's message) are the exception: they are encoded as the policy generates them.

A conversation grows by appending only. What the policy generated is never rendered again, because
text that is decoded and encoded again need not give the same tokens.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerFast

from configs.errors import ConfigError
from envs.types import Demonstration, Message, Task, ToolSpec
from rollout.tool_format import CLOSE, OPEN, read_calls, split_blocks, written
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

_TOOLS = (ToolSpec("lookup", "Look a figure up.", {"type": "object", "properties": {}}),)
_TOOL_CHAT = (
    *(Message("user", "Compare."), Message("assistant", ""), Message("tool", "7")),
    *(Message("tool", "8"), Message("assistant", ""), Message("tool", "9")),
    *(Message("assistant", ""), Message("user", "And then?"), Message("assistant", "")),
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
        # It sees marks, not contents, so a run has few different chats.
        self._templated = lru_cache(maxsize=1024)(self._run_template)
        self._added = {t.content: i for i, t in self._chat.added_tokens_decoder.items()}
        self._end_of_turn = int(self._after_reply((), thinking=False)[0])
        if self._end_of_turn not in self._added.values():
            raise self._unusable("its turns do not end with a special token")
        self.stop_token_ids = _stop_token_ids(self._name, revision, self._chat, self._end_of_turn)
        self.fingerprint = hashlib.sha256(
            f"{self._with_controls.to_str()}{self._chat.chat_template}{self.stop_token_ids}".encode()
        ).hexdigest()[:16]

    def render_prompt(
        self, messages: Sequence[Message], thinking: bool, tools: Sequence[ToolSpec] = ()
    ) -> IntArray:
        """Token ids [T] of a conversation, up to where the assistant begins to write."""
        return self._encode(*self._render(messages, thinking, tools))

    def render_demonstration(self, demo: Demonstration) -> list[IntArray]:
        """What a rollout in its mode reads and writes, by turns: the prompt's ids [P], the ids [C]
        that the policy writes, what it is answered, what it writes then, and so on.

        With thinking a turn is a think block and the reply, without it the bare reply; all that
        the policy writes end with the end-of-turn token.

        Raises:
            ValueError: the demonstration has reasoning, but not in thinking mode.
        """
        rendered, contents = self._render(demo.task.prompt, demo.thinking, demo.tools)
        parts = [self._encode(rendered, contents)]
        for message, answers in _by_turns(demo.turns):
            reasoning, calls = _split_thinking(message)
            turn = self._encode_turn(reasoning or "", calls, demo, rendered)
            rendered, contents = self._rendered_after_reply(answers, demo.thinking)
            parts += [turn, self._encode(rendered, contents)[1:]]
        reply = Message("assistant", demo.reply)
        parts.append(self._encode_turn(demo.reasoning, reply, demo, rendered))
        return parts

    def parse(self, token_ids: IntArray, prompt_ids: IntArray | None = None) -> Message:
        """The message in generated ids [T], with the tool calls in it: `<think>` text is kept, the
        end of the turn is not.

        Where the `prompt_ids` [P] before them end by opening a think block, as some templates do,
        the message begins with that opening: so a reply cut off within its reasoning shows it.
        """
        ids = token_ids.tolist()
        if ids and ids[-1] in self.stop_token_ids:
            ids.pop()
        opened = prompt_ids is not None and self._decode(prompt_ids[-_TAIL:]).endswith(_THINK)
        text: str = self._with_controls.decode(ids, skip_special_tokens=False)
        text = _THINK + text if opened else text
        return Message("assistant", text, read_calls(text))

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

    def check(self, tools: bool = False) -> None:
        """Refuse a tokenizer or template that the promises of this module do not hold for; with
        `tools` also one that does not tell the policy of its tools and their answers.

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
            if tools:
                self.check_turns(_TOOL_CHAT, thinking, _TOOLS)

    def check_turns(
        self, messages: Sequence[Message], thinking: bool, tools: Sequence[ToolSpec] = ()
    ) -> None:
        """Refuse a template that does not render this conversation, which ends with the assistant,
        by appending to its first prompt. What the messages say plays no part, so nothing that a
        policy or a tool writes can bring it about. Half a millisecond for ten turns.

        Raises:
            ConfigError: it rewrites an earlier turn, or says nothing of the tools.
        """
        neutral = [Message(m.role, "!") if m.role == "assistant" else m for m in messages]
        first = next(i for i, m in enumerate(neutral) if m.role == "assistant")
        grown = _outline(*self._render(neutral[:first], thinking, tools))
        for reply, answers in _by_turns(neutral[first:]):
            grown += "\n</think>\n\n" if grown.endswith(_THINK) else ""
            grown += _outline(_mark(0, reply.content), [reply.content])
            if answers:
                grown += _outline(*self._rendered_after_reply(answers, thinking))
        whole, contents = self._render(neutral, thinking, tools)
        full = _outline(whole, contents)
        if not all(self._defused(tool.name) in whole for tool in tools):
            raise self._unusable("its chat template does not tell of tools")
        if not _THINK_BLOCK.sub("", full).startswith(_THINK_BLOCK.sub("", grown)):
            raise self._unusable(
                f"with enable_thinking={thinking} its template does not render {len(messages)} "
                "messages by appending one to the other"
            )

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
        return self._encode(*self._rendered_after_reply(new_messages, thinking))

    def _rendered_after_reply(
        self, new_messages: Sequence[Message], thinking: bool
    ) -> tuple[str, list[str]]:
        opening = (Message("user", "?"), Message("assistant", "!"))
        rendered, contents = self._render((*opening, *new_messages), thinking)
        return rendered.partition(_mark(1, "!"))[2], contents

    def _render(
        self, messages: Sequence[Message], thinking: bool, tools: Sequence[ToolSpec] = ()
    ) -> tuple[str, list[str]]:
        """The template's text with marks for contents, and the contents they stand for."""
        contents: list[str] = []
        chat: list[dict[str, str]] = []
        required: list[str] = []
        for message in messages:
            reasoning, message = _split_thinking(message)
            text = _marked(message, contents)
            required.append(text)
            if reasoning is not None:
                text = f"<think>\n{_add(reasoning, contents)}\n</think>\n\n{text}"
            chat.append({"role": message.role, "content": text})
        told = json.dumps([self._defused(tool.as_dict()) for tool in tools])
        rendered = self._templated(tuple((m["role"], m["content"]) for m in chat), told, thinking)
        if any(text not in rendered for text in required):
            roles = ", ".join(message.role for message in messages)
            raise self._unusable(f"its chat template leaves out a message (roles: {roles})")
        return rendered, contents

    def _run_template(self, chat: tuple[tuple[str, str], ...], tools: str, thinking: bool) -> str:
        rendered: str = self._chat.apply_chat_template(
            [{"role": role, "content": text} for role, text in chat],
            tools=json.loads(tools) or None,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,
        )
        return rendered

    def _defused(self, value: Any) -> Any:
        """A tool's description without the text of control tokens, or of our marks: the template
        writes it out as JSON, where it cannot be marked as a content."""
        if isinstance(value, str):
            for text in (*self._added, "\ue000", "\ue001"):
                value = value.replace(text, f"\\u{ord(text[0]):04x}{text[1:]}")
            return value
        if isinstance(value, dict):
            return {self._defused(key): self._defused(item) for key, item in value.items()}
        return [self._defused(item) for item in value] if isinstance(value, list) else value

    def _encode_turn(
        self, reasoning: str, reply: Message, demo: Demonstration, rendered: str
    ) -> IntArray:
        """Ids of what the policy writes after `rendered`, the end of its turn included."""
        if reasoning and not demo.thinking:
            raise ValueError(f"demonstration of {demo.task.id} reasons, but not in thinking mode")
        contents: list[str] = []
        text = _marked(reply, contents)
        opened = rendered.endswith(_THINK)  # some templates open the block themselves
        if demo.thinking or opened:
            block = f"{_THINK}{_add(reasoning, contents)}\n</think>\n\n"
            text = (block.removeprefix(_THINK) if opened else block) + text
        return np.append(self._encode(text, contents), np.int32(self._end_of_turn))

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


def _add(content: str, contents: list[str]) -> str:
    """Append a content; returns its mark."""
    contents.append(content)
    return _mark(len(contents) - 1, content)


def _marked(message: Message, contents: list[str]) -> str:
    """Marks in place of what a message says. The tags of its calls are the policy's: they stay."""
    if not message.tool_calls:
        return _add(message.content, contents)
    text = ""
    for position, part in enumerate(split_blocks(written(message))):  # text, call, text, call, ...
        mark = _add(part, contents)
        text += f"{OPEN}{mark}{CLOSE}" if position % 2 else mark
    return text


def _outline(rendered: str, contents: Sequence[str]) -> str:
    """A template's text with hashes of the contents: equal where text and contents are."""
    return _MARK.sub(lambda mark: f"[{hash(contents[int(mark[1])]):x}]", rendered)


def _by_turns(messages: Sequence[Message]) -> list[tuple[Message, list[Message]]]:
    """Each message of the assistant, which comes first, with what follows until its next one."""
    turns: list[tuple[Message, list[Message]]] = []
    for message in messages:
        if message.role == "assistant":
            turns.append((message, []))
        else:
            turns[-1][1].append(message)
    return turns


def _split_thinking(message: Message) -> tuple[str | None, Message]:
    """The reasoning of an assistant's message, None without a closed think block, and the rest."""
    head, closed, reply = message.content.rpartition("</think>")
    if message.role != "assistant" or not closed:
        return None, message
    reasoning = head.removeprefix("<think>").strip("\n")
    return reasoning, replace(message, content=reply.lstrip("\n"))


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
