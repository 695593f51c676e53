"""The judge over HTTP, against a server on loopback that misbehaves by script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections import Counter
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from envs.types import Message, Task
from rewards.judge import Judge, JudgeError, Limits
from rewards.judge_server import ServerBackend
from rewards.panel import Panel
from rewards.routing import Mode, Route
from rewards.rubric import load_rubric
from rollout.types import Group, Score, StopReason, Trajectory
from tests.integration.chat_server import completion, serving

RUBRIC = load_rubric("commentary")
VERDICT = {"reason": "", "logic": "sound", "depth": "some"}
KEY = "sk-canary-71c2"
PATH = "/{mode}/v1/chat/completions"
DEADLINE_S = 3.0


@dataclass
class Server:
    """What is posted to `PATH` is answered as its mode says."""

    url: str = ""
    hits: Counter[str] = field(default_factory=Counter)
    keys: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        mode = request.match_info["mode"]
        self.hits[mode] += 1
        self.keys.append((mode, request.headers.get("Authorization", "")))
        self.bodies.append(await request.json())
        verdict = json.dumps(VERDICT)
        match mode:
            case "limited" if self.hits[mode] == 1:
                return web.Response(status=429, headers={"Retry-After": "0.3"})
            case "later":
                return web.Response(status=429, headers={"Retry-After": "30"})
            case "broken" if self.hits[mode] < 2:
                return web.Response(status=500)
            case "down":
                return web.Response(status=503)
            case "hang":
                await asyncio.sleep(30)
            case "drip":
                return await self._drip(request)
            case "close":
                return await self._close(request)
            case "cut":
                return web.Response(text='{"id": "1", "choices": [{"ind')
            case "cut_verdict":
                return completion(verdict[:-4])
            case "length":
                return completion(verdict, finish="length")
            case "nan":
                return completion(verdict.replace('"sound"', "NaN"))
            case "huge_number":
                return completion(verdict.replace('"sound"', "1e9"))
            case "prose":
                return completion(f"I find it sound. {verdict}")
            case "echo":
                return completion('{"verdict": "yes", "score": 1.0}')
            case "silent":
                return completion(None)
            case "null":
                return web.json_response(None)
            case "page":
                return web.Response(text="<html>", content_type="text/html")
            case "redirect":
                raise web.HTTPTemporaryRedirect("/elsewhere/v1/chat/completions")
            case "huge_body":
                return web.Response(body=b'{"id": "' + b"x" * 5_000_000 + b'"}')
            case "forbidden":
                return web.Response(status=403)
        return completion(verdict)

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(200):
                await response.write(b" ")
                await asyncio.sleep(0.05)
        return response

    async def _close(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id":')
        assert request.transport is not None
        request.transport.close()
        return response

    def judge(self, mode: str) -> Judge:
        backend = ServerBackend(f"{self.url}/{mode}/v1", "m", "ASSAY_JUDGE_KEY")
        return Judge(backend, Limits(deadline_s=DEADLINE_S, attempts=2))


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_JUDGE_KEY", KEY)


async def outcome(judge: Judge) -> str:
    try:
        verdict = await judge.verdict(RUBRIC, {"question": "q", "candidate": "Fees rose."})
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
    "silent": "refused",
    "redirect": "refused",
    "forbidden": "refused",
}
"""What may pass is tried again, until attempts or time are spent, whichever comes first."""


def test_each_misbehaviour_ends_as_specified(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> tuple[dict[str, str], float]:
        server = Server()
        async with serving(PATH, server.handle) as server.url:
            judges = [server.judge(mode) for mode in EXPECTED]  # before any deadline runs
            began = asyncio.get_running_loop().time()
            fates = await asyncio.gather(*map(outcome, judges))
            took = asyncio.get_running_loop().time() - began
            assert "elsewhere" not in server.hits  # and so no key was sent there
            assert {key for _, key in server.keys} == {f"Bearer {KEY}"}
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
        server = Server()
        async with serving(PATH, server.handle) as server.url:
            assert await outcome(server.judge("good")) == "ok"
            return server.bodies[0]

    body = asyncio.run(run())
    assert body["temperature"] == 0.0
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "verdict", "schema": RUBRIC.schema, "strict": True},
    }
    assert "tools" not in body


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

    async def run() -> None:
        server = Server()
        async with serving(PATH, server.handle) as server.url:
            for mode in ("prose", "nan", "down", "redirect", "huge_body", "hang"):
                panel = Panel(
                    server.judge(mode),
                    {"commentary": Route(Mode.BOTH, rubric="commentary")},
                    {"commentary": RUBRIC},
                )
                scored = await panel.score(Group(1, task, samples))
                rewards = [t.reward for t in scored.trajectories]
                assert rewards == [None, 0.0, None], mode
                await panel.judge.close()

    asyncio.run(run())
