"""The judge over HTTP, against a server on loopback that misbehaves by script."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from envs.types import Message, Task
from rewards.judge import Judge, JudgeError, Limits, open_cache
from rewards.judge_server import ServerBackend
from rewards.panel import Panel
from rewards.routing import Mode, Route
from rewards.rubric import load_rubric
from rollout.types import Group, Score, StopReason, Trajectory
from tests.scripted_judge import UNREADABLE, ScriptedJudge

RUBRIC = load_rubric("commentary")
KEY = "sk-canary-71c2"
DEADLINE_S = 3.0
FEES = {"question": "q", "candidate": "Fees rose."}


def judge(server: ScriptedJudge, mode: str) -> Judge:
    backend = ServerBackend(server.url(mode), "m", "ASSAY_JUDGE_KEY")
    return Judge(backend, Limits(deadline_s=DEADLINE_S, attempts=2))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_JUDGE_KEY", KEY)


async def outcome(judge: Judge) -> str:
    try:
        verdict = await judge.verdict(RUBRIC, FEES)
        assert verdict.terms == {"logic": 1.0, "depth": 0.5}
        return "ok"
    except JudgeError as error:
        return error.kind
    finally:
        await judge.close()


EXPECTED = {
    "good": "ok",
    "limited": "ok",
    "broken": "ok",
    "later": "timeout",
    "down": "unreachable|timeout",
    "hang": "timeout",
    "drip": "timeout",
    "close": "unreachable|timeout",
    "cut": "unreadable|timeout",
    "page": "unreadable|timeout",
    "null": "unreadable|timeout",
    "cut_verdict": "unreadable",
    "length": "unreadable",
    "nan": "unreadable",
    "huge_number": "unreadable",
    "prose": "unreadable",
    "echo": "unreadable",
    "huge_body": "unreadable",
    "packed": "unreadable",
    "packed_down": "unreachable|timeout",
    "packs_if_asked": "ok",
    **dict.fromkeys(UNREADABLE, "unreadable|timeout"),
    "silent": "refused",
    "redirect": "refused",
    "forbidden": "refused",
}
"""What may pass is tried again, until attempts or time are spent, whichever comes first."""


def test_each_misbehaviour_ends_as_specified(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> tuple[dict[str, str], float]:
        async with ScriptedJudge().serving() as server:
            judges = [judge(server, mode) for mode in EXPECTED]  # before any deadline runs
            assert await outcome(judge(server, "good")) == "ok"  # the first request is slow
            began = asyncio.get_running_loop().time()
            fates = await asyncio.gather(*map(outcome, judges))
            took = asyncio.get_running_loop().time() - began
            assert "elsewhere" not in server.hits  # and so no key was sent there
            assert {key for _, key in server.keys} == {f"Bearer {KEY}"}
            assert server.hits["packed"] == 1, "there is no use in asking again"
            assert server.hits["prose"] == server.hits["redirect"] == server.hits["forbidden"] == 1
            return dict(zip(EXPECTED, fates, strict=True)), took

    with caplog.at_level(logging.WARNING, logger="rewards"):
        fates, took = asyncio.run(run())
    for mode, expected in EXPECTED.items():
        assert fates[mode] in expected.split("|"), f"{mode}: {fates[mode]}"
    assert took < DEADLINE_S + 3.0
    faults = sum(fate != "ok" for fate in fates.values())
    lines = [r.getMessage() for r in caplog.records if r.name == "rewards.judge"]
    assert len(lines) == faults
    assert not any(KEY in line or "\n" in line for line in lines)


def test_a_request_asks_for_the_schema_at_temperature_zero() -> None:
    async def run() -> dict[str, object]:
        async with ScriptedJudge().serving() as server:
            assert await outcome(judge(server, "good")) == "ok"
            return server.bodies[0]

    body = asyncio.run(run())
    assert body["temperature"] == 0.0
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "schema": RUBRIC.schema, "strict": True},
    }
    assert "tools" not in body


USAGE = {
    '{"prompt_tokens": 7, "completion_tokens": 2}': (7, 2),
    '{"prompt_tokens": 1e999, "completion_tokens": 2}': (0, 2),
    '{"prompt_tokens": NaN, "completion_tokens": -2}': (0, 0),
    '{"prompt_tokens": 1.5, "completion_tokens": true}': (0, 0),
    '{"prompt_tokens": "7", "completion_tokens": [2]}': (0, 0),
    '{"prompt_tokens": %s, "completion_tokens": 10000001}' % ("9" * 400): (0, 0),
    '{"completion_tokens": 2}': (0, 2),
    "[7, 2]": (0, 0),
    "null": (0, 0),
}


def test_a_use_of_tokens_that_cannot_be_is_not_counted() -> None:
    async def run() -> dict[str, tuple[float, float]]:
        found = {}
        async with ScriptedJudge().serving() as server:
            asking = judge(server, "used")
            asking.prices = (1e6, 1e6)
            for server.usage in USAGE:
                texts = {"candidate": f"Fees rose, {server.usage}"}
                costs = (await asking.verdict(RUBRIC, texts)).costs
                found[server.usage] = (costs["judge/prompt_tokens"], costs["judge/reply_tokens"])
                assert costs["judge/cost"] == sum(found[server.usage])
            await asking.close()
        return found

    assert asyncio.run(run()) == USAGE


def test_f22_a_judge_that_changes_its_mind_scores_the_same_again(tmp_path: Path) -> None:
    """A sample that is scored again, by the same worker or by its successor."""

    async def run() -> list[object]:
        found: list[object] = []
        async with ScriptedJudge(script=("good", "gaps")).serving() as server:
            for _ in range(2):
                asking = judge(server, "script")
                asking.cache = open_cache(str(tmp_path))
                for _ in range(2):
                    found.append((await asking.verdict(RUBRIC, FEES)).terms)
                await asking.close()
            assert server.hits["script"] == 1
            asking = judge(server, "script")
            changed = await asking.verdict(RUBRIC, FEES)
            assert changed.terms != found[0], "or there was nothing to keep"
            await asking.close()
        return found

    assert asyncio.run(run()) == [{"logic": 1.0, "depth": 0.5}] * 4


MASKED = [mode for mode, ends in EXPECTED.items() if ends != "ok"]


def test_nothing_is_scored_by_a_server_that_misbehaves() -> None:
    """Whole groups: a fault masks its sample; what the rules say of the others stands."""
    prompt = (Message("user", "Comment on fees."),)
    task = Task("t/1", "finance", prompt, "", {"task": "commentary"})
    replies = ("Fees rose from 12 to 15.", "Solution", "Fees fell from 15 to 12.")
    samples = tuple(
        Trajectory(
            task, i, (), (*prompt, Message("assistant", reply)), StopReason.STOP,
            score=Score(1.0, {"facts": 1.0}),
        )
        for i, reply in enumerate(replies)
    )  # fmt: skip

    routes = {"commentary": Route(Mode.BOTH, rubric="commentary")}

    async def rewards(panel: Panel) -> list[float | None]:
        scored = await panel.score(Group(1, task, samples))
        await panel.judge.close()
        return [t.reward for t in scored.trajectories]

    async def run() -> dict[str, list[float | None]]:
        async with ScriptedJudge().serving() as server:
            panels = [Panel(judge(server, mode), routes, {"commentary": RUBRIC}) for mode in MASKED]
            return dict(zip(MASKED, await asyncio.gather(*map(rewards, panels)), strict=True))

    assert asyncio.run(run()) == {mode: [None, 0.0, None] for mode in MASKED}
