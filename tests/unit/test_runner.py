"""How one task becomes one group: turns, token limits, deadlines, and faults of an environment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from benchmarks.virtual_time import simulate
from envs.episodes import Hall, PlainEpisodes, fault_of
from envs.tools import ToolEnv
from envs.types import Message, Step, Task
from rl.batching import sample_of
from rl.tokenizer import CHAT_TEMPLATE, train_tokenizer
from rollout.engine import EngineDead, GenerationFailed, PromptTooLong, checked_finish
from rollout.renderer import Renderer
from rollout.runner import Runner
from rollout.types import (
    Completion,
    FloatArray,
    Group,
    IntArray,
    RolloutRequest,
    Sampling,
    StopReason,
    Trajectory,
)

TASK = Task("t/1", "t", (Message("user", "Claims were 7 in May and 8 in June. Total?"),), "15")
SAMPLING = Sampling(0.7, 50)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [TASK.prompt[0].content, "Claims total 15", "reply 1"] * 20
    PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer(texts, 400),
        eos_token="<|im_end|>",
        chat_template=CHAT_TEMPLATE,
    ).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def renderer(directory: Path) -> Renderer:
    return Renderer(directory)


@dataclass
class ScriptedEngine:
    """Says `replies` one after another, letter by letter: ids that encoding the text as a whole
    would not give. Remembers what it was asked."""

    directory: Path
    replies: Sequence[str] = ("Claims total 15",)
    finish_reason: str = "stop"
    finish_reasons: Mapping[int, str] = field(default_factory=dict)  # by seed
    seconds: float = 1.0
    room: int = 10_000
    dead: bool = False
    policy_version: int = 3
    prompts: list[IntArray] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    max_tokens: list[int] = field(default_factory=list)

    async def generate(self, token_ids: IntArray, sampling: Sampling, seed: int) -> Completion:
        assert sampling.temperature == SAMPLING.temperature
        self.max_tokens.append(sampling.max_tokens)
        self.prompts.append(token_ids)
        self.seeds.append(seed)
        if len(token_ids) >= self.room:
            raise PromptTooLong(f"prompt of {len(token_ids)} tokens")
        await asyncio.sleep(self.seconds)
        if self.dead:
            raise EngineDead("gone")
        tokenizer = Tokenizer.from_file(str(self.directory / "tokenizer.json"))
        text = self.replies[(len(self.prompts) - 1) % len(self.replies)]
        ids = [i for letter in text for i in tokenizer.encode(letter).ids]
        if self.finish_reason == "stop":
            ids += tokenizer.encode("<|im_end|>").ids
        logprobs = -np.arange(1, len(ids) + 1, dtype=np.float32)
        versions = ((0, self.policy_version), (2, self.policy_version + 1))
        finish_reason = checked_finish(self.finish_reasons.get(seed, self.finish_reason))
        return Completion(np.array(ids, np.int32), logprobs, finish_reason, versions)

    async def logprobs(self, sequences: Sequence[IntArray]) -> list[FloatArray]:
        raise NotImplementedError

    async def load_weights(self, directory: Path, version: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError


@dataclass
class Dialogue:
    """Replies until it has seen `turns` answers; `fail` names the call that raises."""

    turns: int = 3
    fail: str = ""
    seen: list[str] = field(default_factory=list)
    closed: int = 0

    def reset(self, task: Task) -> Step:
        if self.fail == "reset":
            raise KeyError("no such table")
        return Step(task.prompt, done=False)

    def step(self, reply: Message) -> Step:
        self.seen.append(reply.content)
        if self.fail == "step":
            raise ConnectionError("tool host gone")
        done = len(self.seen) == self.turns
        return Step(() if done else (Message("tool", f"reply {len(self.seen)}"),), done)

    def close(self) -> None:
        self.closed += 1
        if self.fail == "close":
            raise OSError("still in use")


class InlineEpisodes:
    """Environments called where they are needed: on virtual time nothing else would be."""

    def __init__(self, make: Callable[[Task], Any]) -> None:
        self.hall = Hall(make)

    async def reset(self, episode: str, task: Task) -> Step:
        return self._call(self.hall.reset, episode, task)

    async def step(self, episode: str, reply: Message) -> Step:
        return self._call(self.hall.step, episode, reply)

    async def close(self, episode: str) -> None:
        self._call(self.hall.close, episode)

    def _call(self, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except Exception as error:
            raise fault_of(error) from error


def play(
    engine: ScriptedEngine,
    renderer: Renderer,
    make_env: Callable[[Task], Any] | None = None,
    count: int = 1,
    rollout_s: float = 100.0,
    **request: Any,
) -> Group:
    fields = {"thinking": False, "sampling": SAMPLING, **request}
    task = replace(TASK, env="tests:Env") if make_env else TASK
    asked = RolloutRequest(4, task, tuple(range(100, 100 + 10 * count, 10)), **fields)
    episodes = InlineEpisodes(make_env) if make_env else PlainEpisodes()
    return simulate(Runner(engine, renderer, episodes, rollout_s).run(asked))


def the_only(group: Group) -> Trajectory:
    [trajectory] = group.trajectories
    return trajectory


@pytest.mark.parametrize("thinking", [False, True])
def test_a_plain_question_is_one_prompt_and_one_answer(
    directory: Path, renderer: Renderer, thinking: bool
) -> None:
    engine = ScriptedEngine(directory)
    group = play(engine, renderer, count=3, thinking=thinking, attempt=2)
    assert (group.id, group.task, group.thinking, group.attempt) == (4, TASK, thinking, 2)
    assert engine.seeds == [100, 110, 120]
    for index, sample in enumerate(group.trajectories):
        assert sample.index == index
        prompt, answer = sample.spans
        np.testing.assert_array_equal(
            prompt.token_ids, renderer.render_prompt(TASK.prompt, thinking)
        )
        assert (prompt.logprobs, prompt.policy_version) == (None, None)
        assert answer.policy_version == 3, "the oldest version that wrote a token"
        assert (sample.reply, sample.stop_reason) == ("Claims total 15", StopReason.STOP)
        assert sample.num_turns == 1
        assert sample.info["ended"] >= sample.info["started"] > 0


def test_turns_are_appended_and_never_rendered_again(directory: Path, renderer: Renderer) -> None:
    engine = ScriptedEngine(directory, replies=("Claims total", "total 15", "15"))
    env = Dialogue(turns=3)
    sample = the_only(play(engine, renderer, lambda task: env, max_turns=5))
    assert env.seen == ["Claims total", "total 15", "15"]
    assert (sample.num_turns, sample.stop_reason) == (3, StopReason.STOP)

    kinds = [span.logprobs is not None for span in sample.spans]
    assert kinds == [False, True, False, True, False, True], "given and generated take turns"
    grown = np.empty(0, np.int32)
    for prompt, given, generated in zip(
        engine.prompts, sample.spans[::2], sample.spans[1::2], strict=True
    ):
        grown = np.concatenate([grown, given.token_ids])
        np.testing.assert_array_equal(prompt, grown)
        grown = np.concatenate([grown, generated.token_ids])
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    encoded_again = tokenizer.encode("Claims total").ids
    assert sample.spans[1].token_ids[:-1].tolist() != encoded_again, "the test shows nothing"
    roles = [message.role for message in sample.messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert "reply 2" in renderer.parse(sample.spans[4].token_ids).content


def test_what_is_trained_is_what_was_generated(directory: Path, renderer: Renderer) -> None:
    engine = ScriptedEngine(directory, replies=("Claims total", "15"))
    sample = the_only(play(engine, renderer, lambda task: Dialogue(turns=2), max_turns=2))
    trained = sample_of(sample, advantage=2.0)
    first, second = sample.spans[1], sample.spans[3]
    expected = np.concatenate([first.token_ids, second.token_ids])
    np.testing.assert_array_equal(trained.token_ids[trained.loss_mask], expected)
    assert first.logprobs is not None
    assert second.logprobs is not None
    np.testing.assert_array_equal(
        trained.rollout_logprobs[trained.loss_mask],
        np.concatenate([first.logprobs, second.logprobs]),
    )
    assert sample.num_generated == len(expected)
    assert sample.oldest_version == 3


def test_a_reply_cut_within_reasoning_that_the_template_opened_shows_it(tmp_path: Path) -> None:
    opening = "'<|im_start|>assistant\\n'"
    template = CHAT_TEMPLATE.replace(opening, opening[:-1] + "<think>\\n'")
    assert template != CHAT_TEMPLATE
    PreTrainedTokenizerFast(
        tokenizer_object=train_tokenizer([TASK.prompt[0].content] * 20, 400),
        eos_token="<|im_end|>",
        chat_template=template,
    ).save_pretrained(tmp_path)
    engine = ScriptedEngine(tmp_path, replies=("perhaps \\boxed{15} or",), finish_reason="length")
    sample = the_only(play(engine, Renderer(tmp_path), thinking=True))
    assert sample.reply == "<think>\nperhaps \\boxed{15} or"


def test_each_turn_has_a_seed_of_its_own(directory: Path, renderer: Renderer) -> None:
    engine = ScriptedEngine(directory)
    play(engine, renderer, lambda task: Dialogue(turns=3), max_turns=3)
    assert engine.seeds == [100, 101, 102]


def test_the_turn_limit_ends_a_dialogue_after_the_policy(
    directory: Path, renderer: Renderer
) -> None:
    sample = the_only(
        play(ScriptedEngine(directory), renderer, lambda task: Dialogue(turns=9), max_turns=2)
    )
    assert (sample.num_turns, sample.stop_reason) == (2, StopReason.TURNS)
    assert sample.spans[-1].logprobs is not None, "nothing is appended that nobody answers"


def test_an_answer_that_is_cut_off_is_not_shown_to_the_environment(
    directory: Path, renderer: Renderer
) -> None:
    env = Dialogue()
    engine = ScriptedEngine(directory, finish_reason="length")
    sample = the_only(play(engine, renderer, lambda task: env, max_turns=3))
    assert (sample.stop_reason, sample.num_turns) == (StopReason.LENGTH, 1)
    assert sample.reply == "Claims total 15"
    assert (env.seen, env.closed) == ([""], 1), "that there is nothing more"


@pytest.mark.parametrize(("finish", "max_turns"), [("length", 3), ("stop", 1)])
def test_an_episode_that_is_cut_off_has_a_verdict(
    directory: Path, renderer: Renderer, finish: str, max_turns: int
) -> None:
    engine = ScriptedEngine(directory, finish_reason=finish)

    class Bank(Dialogue):
        def step(self, reply: Message) -> Step:
            if reply.content:
                return Step((Message("tool", "go on"),), done=False)
            return Step(reward=0.5)

    sample = the_only(play(engine, renderer, lambda task: Bank(), max_turns=max_turns))
    assert sample.stop_reason in (StopReason.LENGTH, StopReason.TURNS)
    assert (sample.env_reward, sample.num_turns) == (0.5, 1)


def test_a_dialogue_that_outgrows_the_model_is_cut_off(directory: Path, renderer: Renderer) -> None:
    engine = ScriptedEngine(directory, room=len(renderer.render_prompt(TASK.prompt, False)) + 1)
    sample = the_only(play(engine, renderer, lambda task: Dialogue(), max_turns=3))
    assert (sample.stop_reason, sample.num_turns) == (StopReason.LENGTH, 1)
    assert sample.num_generated > 0


def assert_fault(sample: Trajectory, text: str) -> None:
    assert sample.stop_reason is StopReason.ERROR
    assert text in sample.info["error"]
    assert (sample.spans, sample.score, sample.oldest_version) == ((), None, None)
    assert {"started", "ended"} <= sample.info.keys()


def test_a_prompt_that_leaves_no_room_is_a_fault(directory: Path, renderer: Renderer) -> None:
    env = Dialogue()
    sample = the_only(play(ScriptedEngine(directory, room=1), renderer, lambda task: env))
    assert_fault(sample, "prompt too long: prompt of")
    assert env.closed == 1
    assert play(ScriptedEngine(directory, room=1), renderer, count=2).is_prompt_too_long
    assert not play(ScriptedEngine(directory), renderer, count=2).is_prompt_too_long


@pytest.mark.parametrize("reason", ["abort", "error", "repetition", None])
def test_a_request_that_the_engine_gave_up_ends_its_own_sample_only(
    directory: Path, renderer: Renderer, reason: Any
) -> None:
    with pytest.raises(GenerationFailed):
        checked_finish(reason)
    envs = [Dialogue(turns=1) for _ in range(3)]
    waiting = iter(envs)
    engine = ScriptedEngine(directory, finish_reasons={110: reason})
    samples = play(engine, renderer, lambda task: next(waiting), count=3).trajectories
    assert_fault(samples[1], f"the engine ended the request with '{reason}'")
    for sibling in (samples[0], samples[2]):
        assert (sibling.stop_reason, sibling.reply) == (StopReason.STOP, "Claims total 15")
    assert [env.closed for env in envs] == [1, 1, 1]


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("make", "environment: ValueError: no free host"),
        ("reset", "environment: KeyError: 'no such table'"),
        ("step", "environment: ConnectionError: tool host gone"),
        ("close", "environment: OSError: still in use"),
    ],
)
def test_a_fault_of_an_environment_ends_its_own_sample_only(
    directory: Path, renderer: Renderer, where: str, text: str
) -> None:
    envs: list[Dialogue] = []

    def make_env(task: Task) -> Dialogue:
        envs.append(Dialogue(turns=1, fail=where if len(envs) == 1 else ""))
        if envs[-1].fail == "make":
            raise ValueError("no free host")
        return envs[-1]

    samples = play(ScriptedEngine(directory), renderer, make_env, count=3).trajectories
    assert_fault(samples[1], text)
    for sibling in (samples[0], samples[2]):
        assert (sibling.stop_reason, sibling.reply) == (StopReason.STOP, "Claims total 15")
    assert [env.closed for env in envs] == [1, 0 if where == "make" else 1, 1]


def test_a_sample_that_takes_too_long_is_a_fault_and_its_environment_is_closed(
    directory: Path, renderer: Renderer
) -> None:
    env = Dialogue()
    engine = ScriptedEngine(directory, seconds=2.0)
    sample = the_only(play(engine, renderer, lambda task: env, rollout_s=3.0, max_turns=3))
    assert_fault(sample, "not finished within 3 s")
    assert (len(env.seen), env.closed) == (1, 1)


def test_a_dead_engine_is_the_workers_fault_and_is_raised(
    directory: Path, renderer: Renderer
) -> None:
    env = Dialogue(fail="close")
    with pytest.raises(EngineDead, match="gone"):
        play(ScriptedEngine(directory, dead=True), renderer, lambda task: env, count=2)
    assert env.closed == 2


CALL = '<tool_call>\n{"name": "total", "arguments": {"a": 7, "b": 8}}\n</tool_call>'


def test_an_episode_with_tools(directory: Path, renderer: Renderer) -> None:
    def total(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    engine = ScriptedEngine(directory, replies=(f"So: {CALL}{CALL}", "<tool_call>{", "15"))
    env = ToolEnv([total], score=lambda: 0.5)
    sampling = Sampling(0.7, 1000)
    sample = the_only(play(engine, renderer, lambda task: env, max_turns=5, sampling=sampling))
    assert "total(a, b)" in renderer.parse(sample.spans[0].token_ids).content
    assert [m.role for m in sample.messages] == [
        *("user", "assistant", "tool", "tool", "assistant", "tool", "assistant")
    ]
    assert [m.content for m in sample.messages[2:4]] == ["15", "15"]
    assert [len(turn.calls) for turn in sample.turns] == [2, 1, 0]
    assert [(call.call.name, call.error) for call in sample.calls] == [
        *(("total", ""), ("total", ""), ("", "invalid_json"))
    ]
    assert (sample.num_turns, sample.env_reward, sample.stop_reason) == (3, 0.5, StopReason.STOP)
    assert sample.turns[0].generate_s > 0.9 > sample.turns[0].env_s, "by the engine's clock"
    lengths = [len(span.token_ids) for span in sample.spans[1::2]]
    assert engine.max_tokens == [1000, 1000 - lengths[0], 1000 - lengths[0] - lengths[1]]


def test_the_token_limit_holds_for_all_turns_together(directory: Path, renderer: Renderer) -> None:
    engine = ScriptedEngine(directory, replies=("x" * 29,))  # 30 tokens a turn
    sampling = Sampling(0.7, 60)
    sample = the_only(
        play(engine, renderer, lambda task: Dialogue(9), max_turns=9, sampling=sampling)
    )
    assert (sample.stop_reason, sample.num_turns, sample.num_generated) == ("length", 2, 60)
    assert sample.spans[-1].logprobs is not None


def test_what_was_said_before_a_fault_is_kept_for_the_traces(
    directory: Path, renderer: Renderer
) -> None:
    env = Dialogue(turns=1, fail="step")
    sample = the_only(play(ScriptedEngine(directory), renderer, lambda task: env))
    assert_fault(sample, "tool host gone")
    assert [m.content for m in sample.messages] == [TASK.prompt[0].content, "Claims total 15"]
    assert len(sample.turns) == 1


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (None, "it returned NoneType, not a Step"),
        (Step((Message("assistant", "x"),), done=False), "it spoke as 'assistant'"),
        (Step((), done=False), "neither ended the episode nor said anything"),
        (Step((), reward=float("nan")), "its reward is nan"),
        (Step((Message("tool", ""),) * 65, done=False), "65 messages at once"),
    ],
)
def test_an_environment_that_breaks_its_promise_is_a_fault(
    directory: Path, renderer: Renderer, said: Any, text: str
) -> None:
    class Broken(Dialogue):
        def step(self, reply: Message) -> Step:
            return cast(Step, said)

    sample = the_only(play(ScriptedEngine(directory), renderer, lambda task: Broken()))
    assert_fault(sample, text)


def test_what_an_environment_says_is_bounded(directory: Path, renderer: Renderer) -> None:
    class Loud(Dialogue):
        def step(self, reply: Message) -> Step:
            said = "\x00\ud800" + 10_000_000 * "7"
            return Step((Message("tool", said),), done=len(self.seen) == 1)

    sample = the_only(play(ScriptedEngine(directory), renderer, lambda task: Loud(), max_turns=2))
    text = sample.messages[2].content
    assert text.startswith("\ufffd\ufffd777")
    assert text.endswith("[cut: 10000006 bytes in all]")
    assert len(text.encode()) < 17_000
    trained = sample_of(sample, 1.0)
    assert trained.loss_mask.sum() == sample.num_generated
