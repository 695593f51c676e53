"""A judge's server on loopback that misbehaves by script, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from aiohttp import web

VERDICT = {"reason": "", "logic": "sound", "depth": "some"}
"""Of the rubric "commentary"."""


def completion(text: str | None, finish: str = "stop") -> web.Response:
    return web.json_response(fields(text, finish))


def fields(text: str | None, finish: str = "stop") -> dict[str, object]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 9, "total_tokens": 59},
    }


GOOD = json.dumps(fields(json.dumps(VERDICT))).encode()
UNREADABLE = {
    "cut_character": GOOD.replace(b"sound", "sound\u4ebf".encode()[:-1]),
    "nested": b"[" * 400_000,
    "nested_finish": GOOD.replace(b'"stop"', b"[" * 900 + b"]" * 900),
    "list": b"[" + GOOD + b"]",
    "two_choices": GOOD.replace(b'"choices": [', b'"choices": [1, '),
    "word_for_choices": GOOD.replace(b'"choices": [', b'"choices": "x", "others": ['),
    "endless_number": GOOD.replace(b"50", b"9" * 5000),
}
"""Bodies under status 200, by mode."""


@dataclass
class ScriptedJudge:
    """POST /MODE/v1/chat/completions behaves as its mode says; under /script/, as those of `script`
    say in turn. Under /used/ the answer is good and claims `usage`, whatever JSON that is."""

    address: str = ""
    script: Sequence[str] = ("good",)
    usage: str = "null"
    hits: Counter[str] = field(default_factory=Counter)
    keys: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, object]] = field(default_factory=list)

    def url(self, mode: str = "script") -> str:
        return f"{self.address}/{mode}/v1"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        mode = request.match_info["mode"]
        if mode == "script":
            mode = self.script[self.hits[mode] % len(self.script)]
            self.hits["script"] += 1
        self.hits[mode] += 1
        self.keys.append((mode, request.headers.get("Authorization", "")))
        self.bodies.append(await request.json())
        verdict = json.dumps(VERDICT)
        match mode:
            case "limited" if self.hits[mode] % 2:
                return web.Response(status=429, headers={"Retry-After": "0.3"})
            case "later":
                return web.Response(status=429, headers={"Retry-After": "30"})
            case "broken" if self.hits[mode] % 2:
                return web.Response(status=500)
            case "gaps":
                return completion(verdict.replace("sound", "gaps"))
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
            case "packed":
                packed = gzip.compress(GOOD + b" " * 20_000_000)
                return web.Response(body=packed, headers={"Content-Encoding": "gzip"})
            case "packed_down":
                return web.Response(status=503, body=b"?", headers={"Content-Encoding": "gzip"})
            case "packs_if_asked":
                response = completion(verdict)
                response.enable_compression()
                return response
            case "used":
                answer = json.dumps(fields(verdict) | {"usage": 0})
                return web.Response(text=answer.replace('"usage": 0', f'"usage": {self.usage}'))
            case _ if mode in UNREADABLE:
                return web.Response(body=UNREADABLE[mode])
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

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[ScriptedJudge]:
        app = web.Application()
        app.router.add_post("/{mode}/v1/chat/completions", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


@contextlib.contextmanager
def judge_server(server: ScriptedJudge | None = None) -> Iterator[ScriptedJudge]:
    """One that serves from a thread of its own."""
    server, ready, over = server or ScriptedJudge(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with server.serving():
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield server
    finally:
        over.set()
        thread.join()
