"""The tools of any MCP server, over stdio or HTTP.

A process that plays episodes has one connection to each server, kept open and shared, unless the
server keeps state and each episode is to have its own. When a server dies, the calls under way are
faults of their episodes, and the next episode connects anew, which starts a stdio server again.

Secrets are environment variables of that process, and read when it connects: configuration, tasks
and logs hold their names alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import socket
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from typing import Any, TypeVar

import httpx2
from mcp import Client, MCPError, StdioServerParameters, types
from mcp.client.streamable_http import streamable_http_client

from configs.errors import ConfigError
from envs.datasets import HELD_OUT_SHARE
from envs.played import ASK, PlayedTasks, rows_or_numbers
from envs.tool_schema import Tool, make_tool
from envs.tools import ToolEnv
from envs.types import Message, Step, Task, ToolSpec

T = TypeVar("T")

CONNECT_S = 30.0
AWAY_S, RETRY_S = 20.0, 1.0
"""How long a url that nobody answers at is tried again: a service that is started anew is away for
seconds, and what is played meanwhile would all be lost."""
SILENCE_S = 300.0
"""How long an open stream of a server may say nothing; a call has its own limit."""
MAX_TOOLS = 128
AWAY = (502, 503, 504)
LOST = (401, 403, *AWAY)
"""HTTP statuses that are no answer to a call, but to whoever calls, or of a proxy alone."""
TOO_MANY, BUSY_S = 429, 0.5
VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class ServerGone(Exception):
    """The server died, or cannot be reached: a fault, whatever was called."""


class ServerAway(ServerGone):
    """Nobody answers at its url: it may be back soon."""


def load_mcp(
    command: str | Sequence[str] = "",
    url: str = "",
    split: str = "train",
    path: str = "",
    size: int = 0,
    prompt: str = ASK,
    held_out_share: float = HELD_OUT_SHARE,
    timeout_s: float = 8.0,
    shared: bool = True,
    env: Sequence[str] = (),
    cwd: str = "",
    headers: Mapping[str, str] | None = None,
) -> PlayedTasks:
    """Tasks whose tools are those of the server at `url`, or which `command` starts.

    `path` is a file of rows with prompt and answer. `timeout_s` bounds one call, and must be under
    `deadlines.tool_s`. A command is started in the folder `cwd`, with the environment variables
    named in `env`; requests to a url have `headers`, each with the name of the variable that holds
    its whole value, such as {"Authorization": "TOKEN"}. Raises ConfigError unless exactly one of
    command and url is given, and for what belongs to the other.
    """
    if bool(command) == bool(url):
        raise ConfigError("mcp: set either command, which starts a server, or url")
    if url and (env or cwd):
        raise ConfigError("mcp: env and cwd are of a command; a url has headers")
    if command and headers:
        raise ConfigError("mcp: headers are of a url; a command has env")
    _check_variables(env, headers or {})
    settings = {
        "command": shlex.split(command) if isinstance(command, str) else list(command),
        "url": url,
        "timeout_s": timeout_s,
        "shared": shared,
        "env": list(env),
        "cwd": cwd,
        "headers": dict(headers or {}),
    }
    tasks = rows_or_numbers("mcp", split, path, size, prompt, held_out_share)
    return PlayedTasks(tasks, "envs.mcp_server:McpEnv", settings)


class McpEnv:
    """Plays one episode with a server's tools."""

    def __init__(self) -> None:
        self._tools = ToolEnv([])

    def reset(self, task: Task) -> Step:
        settings = task.metadata["settings"]
        server = connected(settings)
        close = None if settings["shared"] else server.close
        self._tools = ToolEnv(server.tools(), close=close)
        return self._tools.reset(task)

    def step(self, reply: Message) -> Step:
        return self._tools.step(reply)

    def close(self) -> None:
        self._tools.close()


class Server:
    """A connection to a server, used from any thread; it lives in the process's event loop."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._timeout_s, self._shared = settings["timeout_s"], settings["shared"]
        self._over = asyncio.Event()
        self._closed = False
        self._client: Client
        self._holding: asyncio.Task[None]
        self._name = settings["url"] or shlex.join(settings["command"])
        self._transport = transport(settings)
        try:
            self._specs = in_loop(self._open(), CONNECT_S)
        except TimeoutError:
            loop().call_soon_threadsafe(self._holding.cancel)  # which ends what was started
            raise ServerGone(f"MCP server {self._name}: no answer within {CONNECT_S:g} s") from None

    @property
    def gone(self) -> bool:
        return self._closed or self._holding.done()

    def tools(self) -> list[Tool]:
        """The server's tools, each a call of it. A server that an episode has to itself may keep
        state, so its calls keep their order; of a shared one several are waited for together."""
        call = self._call if self._shared else self._call_in_order
        return [make_tool(spec, partial(call, spec.name)) for spec in self._specs]

    def close(self) -> None:
        self._closed = True  # at once: the next episode must not get this one
        loop().call_soon_threadsafe(self._over.set)

    def _call_in_order(self, name: str, /, **arguments: Any) -> str:
        return in_loop(self._ask(name, arguments), self._timeout_s + 1)

    async def _call(self, name: str, /, **arguments: Any) -> str:
        asked = asyncio.run_coroutine_threadsafe(self._ask(name, arguments), loop())
        async with asyncio.timeout(self._timeout_s + 1):
            return await asyncio.wrap_future(asked)

    async def _ask(self, name: str, arguments: dict[str, Any]) -> str:
        """The text of what a tool returns.

        Raises:
            ValueError: the tool says that it was called wrongly, or failed.
            TimeoutError: it did not answer in time.
            ServerGone: the connection is lost.
        """
        calling = self._client.call_tool(name, arguments, read_timeout_seconds=self._timeout_s)
        try:
            result = await self._while_open(calling)
        except MCPError as error:
            if error.code == types.REQUEST_TIMEOUT:
                raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None
            if error.code == types.CONNECTION_CLOSED:
                self.close()
                raise ServerGone(f"MCP server {self._name} is gone") from None
            raise ValueError(error.message) from error
        text = "\n".join(_text(block) for block in result.content)
        if result.is_error:
            raise ValueError(text or "the tool failed")
        return text

    async def _open(self) -> list[ToolSpec]:
        ready: asyncio.Future[list[ToolSpec]] = asyncio.get_running_loop().create_future()
        self._holding = asyncio.create_task(self._hold(ready))
        return await ready

    async def _hold(self, ready: asyncio.Future[list[ToolSpec]]) -> None:
        """Keep the connection: it must be opened and closed by one task."""
        try:
            async with Client(self._transport) as self._client:
                ready.set_result(await self._list())
                await self._over.wait()
        except Exception as error:  # of whatever kind: there is no connection
            if not ready.done():
                ready.set_exception(_not_opened(self._name, error))

    async def _list(self) -> list[ToolSpec]:
        specs: list[ToolSpec] = []
        cursor: str | None = None
        while len(specs) < MAX_TOOLS:
            page = await self._client.list_tools(cursor=cursor)
            specs += [ToolSpec(t.name, t.description or t.name, t.input_schema) for t in page.tools]
            cursor = page.next_cursor
            if cursor is None:
                break
        return specs[:MAX_TOOLS]

    async def _while_open(self, calling: Coroutine[Any, Any, T]) -> T:
        call = asyncio.ensure_future(calling)
        try:
            await asyncio.wait((call, self._holding), return_when=asyncio.FIRST_COMPLETED)
            if call.done() and not (self.gone and call.exception()):
                return call.result()
        finally:
            call.cancel()
        raise ServerGone(f"MCP server {self._name} is gone")


def connected(settings: Mapping[str, Any]) -> Server:
    """A connection to a server, which is waited for while it is away. Raises ServerGone."""
    until = time.monotonic() + AWAY_S
    while True:
        try:
            return connections().to(settings) if settings["shared"] else Server(settings)
        except ServerAway:
            if time.monotonic() >= until:
                raise
        time.sleep(RETRY_S)


class Connections:
    """The servers that are shared by the episodes of this process. Those that wait for one server
    to answer keep nobody from another."""

    def __init__(self) -> None:
        self._servers: dict[str, Server] = {}
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def to(self, settings: Mapping[str, Any]) -> Server:
        """The connection to a server, a new one where there is none. Raises ServerGone."""
        key = json.dumps(settings, sort_keys=True)
        with self._locks[key]:
            server = self._servers.get(key)
            if server is None or server.gone:
                server = self._servers[key] = Server(settings)
            return server


@cache
def connections() -> Connections:
    return Connections()


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The event loop of all connections, in a thread of its own."""
    running = asyncio.new_event_loop()
    threading.Thread(target=running.run_forever, name="mcp", daemon=True).start()
    return running


def in_loop(work: Coroutine[Any, Any, T], seconds: float) -> T:
    """Run a coroutine there and wait for it. Raises TimeoutError, and whatever it raises."""
    future = asyncio.run_coroutine_threadsafe(work, loop())
    try:
        return future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise


def transport(settings: Mapping[str, Any]) -> Any:
    """How a server is reached, with the secrets it asks for.

    Raises ConfigError where one of them is not set in this process, or cannot be sent; it names the
    variable and never its value.
    """
    if not settings["url"]:
        program, *arguments = settings["command"]
        return StdioServerParameters(
            command=program,
            args=arguments,
            env={name: _value(name) for name in settings["env"]},
            cwd=settings["cwd"] or None,
        )
    headers = {header: _value(name) for header, name in settings["headers"].items()}
    for header, value in headers.items():
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ConfigError(
                f"mcp: {settings['headers'][header]} cannot be the header {header}: its value has "
                "a line break, a space at an end, or other than ASCII"
            )
    return _over_http(settings["url"], headers)


@asynccontextmanager
async def _over_http(url: str, headers: Mapping[str, str]) -> AsyncIterator[Any]:
    limits = httpx2.Timeout(CONNECT_S, read=SILENCE_S)
    async with (
        PatientClient(
            headers=headers, timeout=limits, event_hooks={"response": [_check_status]}
        ) as client,
        streamable_http_client(url, http_client=client) as streams,
    ):
        yield streams


class PatientClient(httpx2.AsyncClient):
    """Asks again where a server wants fewer requests: the policy, which decides how many calls it
    makes, must not be able to end samples by that. Whoever waits has a deadline of its own."""

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        while True:
            response = await super().send(request, **options)
            if response.status_code != TOO_MANY:
                return response
            await response.aclose()
            wanted = response.headers.get("retry-after", "")
            await asyncio.sleep(float(wanted) if wanted.isdecimal() else BUSY_S)


async def _check_status(response: httpx2.Response) -> None:
    """End the connection where the policy could not have called better: nobody is let in, or the
    server was started again and does not know the session. Raises HTTPStatusError."""
    status, request = response.status_code, response.request
    if status in LOST or (status == 404 and "mcp-session-id" in request.headers):
        raise httpx2.HTTPStatusError(
            f"{status} {response.reason_phrase}", request=request, response=response
        )


def _check_variables(env: object, headers: object) -> None:
    """Raises ConfigError, which must not tell what it was given: it may be a secret that somebody
    wrote in the place of its name."""
    names: list[object] = []
    if isinstance(env, Sequence) and not isinstance(env, str) and isinstance(headers, Mapping):
        names = [*env, *headers.values()]
    if (env or headers) and not (names and all(VARIABLE.fullmatch(str(name)) for name in names)):
        raise ConfigError(
            "mcp: env and headers take names of environment variables, not their values: "
            "env: [API_KEY], headers: {Authorization: API_KEY}"
        )


def _value(name: str) -> str:
    if value := os.environ.get(name):
        return value
    raise ConfigError(
        f"mcp: the environment variable {name} is not set on {socket.gethostname()}, where the "
        "server is called from; set it before the run, or the node, is started"
    )


def _text(block: Any) -> str:
    return block.text if isinstance(block, types.TextContent) else f"[{block.type}]"


def _not_opened(name: str, error: BaseException) -> ServerGone:
    """Why there is no connection, by the first exception in a group, which says more than it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    status = error.response.status_code if isinstance(error, httpx2.HTTPStatusError) else 0
    away = isinstance(error, httpx2.TransportError) or status in AWAY
    kind = ServerAway if away else ServerGone
    return kind(f"MCP server {name}: {type(error).__name__}: {error}")
