"""Any OpenEnv server as an environment, by its wire protocol: one WebSocket session an episode.

    -> {"type": "reset", "data": {"seed": 7}}
    <- {"type": "observation", "data": {"observation": {...}, "reward": null, "done": false}}
    -> {"type": "step", "data": {...}}          an action, by the schema that GET /schema tells

A server whose environment offers MCP tools ({"type": "mcp"} lists them) is played with these; any
other with one tool, `act`, whose parameters are those of its action.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import cache
from typing import Any

import httpx
from websockets.exceptions import (
    ConnectionClosed,
    ConnectionClosedError,
    InvalidStatus,
    PayloadTooBig,
    WebSocketException,
)
from websockets.frames import CloseCode
from websockets.sync.client import ClientConnection, connect

from configs.errors import ConfigError
from envs.datasets import HELD_OUT_SHARE
from envs.played import ASK, PlayedTasks, rows_or_numbers, with_observation
from envs.tool_schema import Tool, make_tool
from envs.tools import ToolEnv
from envs.types import Message, Step, Task, ToolSpec

CONNECT_S = 10.0
MAX_MESSAGE_BYTES = 4 * 1024**2
ANYTHING = {"type": "object", "additionalProperties": True}
AWAY = (429, 502, 503, 504)
"""HTTP statuses of a server, or its proxy, that may let us in soon."""
FULL = "CAPACITY_REACHED"
REFUSALS = ("VALIDATION_ERROR", "EXECUTION_ERROR")
"""What an action is answered with that is of the wrong form, or that the environment breaks at: the
policy's doing, for all that can be known, and so no way to end a sample without a verdict."""
POLL_S = 0.2


class OpenEnvFault(Exception):
    """The server is gone, late, or says what the protocol does not know."""


class ServerAway(OpenEnvFault):
    """Nobody answers at its url: it may be back soon."""


class TooLong(OpenEnvFault):
    """An answer that is too long to be read; the session is of no more use."""


def load_openenv(
    url: str,
    split: str = "train",
    path: str = "",
    size: int = 0,
    prompt: str = ASK,
    held_out_share: float = HELD_OUT_SHARE,
    timeout_s: float = 8.0,
    wait_s: float = 30.0,
) -> PlayedTasks:
    """Tasks that are played on the server at `url`, such as "http://127.0.0.1:8000".

    Rows of `path` are the tasks, their metadata what the server is reset with; without it `size` of
    them, told apart by the seed. `timeout_s` bounds one answer; `wait_s` the wait for a session of
    a server that is away, or has none left.
    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"openenv: url {url!r} must begin with http:// or https://")
    settings = {"url": url.rstrip("/"), "timeout_s": timeout_s, "wait_s": wait_s}
    tasks = rows_or_numbers("openenv", split, path, size, prompt, held_out_share)
    return PlayedTasks(tasks, "envs.openenv_server:OpenEnv", settings)


class OpenEnv:
    """Plays one episode in a session of its own. Its reward is the sum of the server's."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._tools: ToolEnv
        self._reward = 0.0
        self._done = False

    def reset(self, task: Task) -> Step:
        settings = task.metadata["settings"]
        given = {name: v for name, v in task.metadata.items() if name != "settings"}
        self._session, data = opened(settings, given)
        said = self._observed(data)
        listed = self._session.list_tools()
        tools = [self._tool(spec) for spec in listed] or [self._act(action_of(settings["url"]))]
        self._tools = ToolEnv(tools)
        return replace(with_observation(self._tools.reset(task), said), reward=self._reward)

    def step(self, reply: Message) -> Step:
        step = self._tools.step(reply)
        return Step(step.messages, step.done or self._done, reward=self._reward, calls=step.calls)

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def _tool(self, spec: ToolSpec) -> Tool:
        def called(**arguments: Any) -> str:
            return self._act_out(
                {"type": "call_tool", "tool_name": spec.name, "arguments": arguments}
            )

        return make_tool(spec, called)

    def _act(self, schema: Mapping[str, Any]) -> Tool:
        description = str(schema.get("description") or "Act in the environment.")
        spec = ToolSpec("act", description, schema)
        return make_tool(spec, lambda **action: self._act_out(action))

    def _act_out(self, action: Mapping[str, Any]) -> str:
        if self._done:
            raise ValueError("the episode is over")
        assert self._session is not None
        try:
            return self._observed(self._session.ask("step", action))
        except TooLong as problem:
            # How much is said is up to the policy, who must not end a bad sample by it: the
            # episode ends here with what it has earned. (Late may be the server's own fault.)
            self._done = True
            raise ValueError(str(problem)) from problem

    def _observed(self, data: Mapping[str, Any]) -> str:
        """Note reward and end; returns the observation as text."""
        reward = data.get("reward")
        if isinstance(reward, int | float):
            self._reward += float(reward)
        self._done = self._done or bool(data.get("done"))
        return text_of(data.get("observation"))


class Session:
    """One WebSocket."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._url, self._timeout_s = settings["url"], settings["timeout_s"]
        self._open = ExitStack()
        address = f"ws{self._url.removeprefix('http')}/ws"
        try:
            self._socket: ClientConnection = self._open.enter_context(
                connect(address, open_timeout=CONNECT_S, max_size=MAX_MESSAGE_BYTES, proxy=None)
            )
        except (OSError, TimeoutError, WebSocketException) as error:
            status = error.response.status_code if isinstance(error, InvalidStatus) else 0
            away = status in AWAY or not isinstance(error, WebSocketException)
            kind = ServerAway if away else OpenEnvFault
            raise kind(f"OpenEnv server {self._url}: {error}") from error

    def ask(self, kind: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a message and return the data of the answer.

        Raises:
            ValueError: the server refuses an action; the policy may be told.
            OpenEnvFault: anything else that goes wrong.
        """
        answer = self._exchange({"type": kind, "data": data})
        content = answer.get("data")
        if not isinstance(content, dict):
            raise OpenEnvFault(f"OpenEnv server {self._url} answered without data")
        if answer.get("type") == "error":
            problem = f"{content.get('message')} {text_of(content.get('errors'))}".strip()
            if kind == "step" and content.get("code") in REFUSALS:
                raise ValueError(problem)
            raise Refused(str(content.get("code")), f"OpenEnv server {self._url}: {problem}")
        return content

    def list_tools(self) -> list[ToolSpec]:
        """The MCP tools of the environment, none where it is none of that kind."""
        request = {"jsonrpc": "2.0", "method": "tools/list", "id": 1, "params": {}}
        result = self.ask("mcp", request).get("result") or {}
        return [
            ToolSpec(
                tool["name"],
                tool.get("description") or tool["name"],
                tool.get("inputSchema") or tool.get("input_schema") or ANYTHING,
            )
            for tool in result.get("tools", ())
        ]

    def close(self) -> None:
        self._open.close()

    def _exchange(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            with suppress(ConnectionClosed):  # the reason may have come before: it is read next
                self._socket.send(json.dumps(message))
            answer = json.loads(self._socket.recv(timeout=self._timeout_s))
        except TimeoutError as error:
            raise OpenEnvFault(f"OpenEnv server {self._url} did not answer") from error
        except (PayloadTooBig, RecursionError) as error:
            raise TooLong("the answer is too long") from error
        except ConnectionClosedError as error:
            if error.sent and error.sent.code == CloseCode.MESSAGE_TOO_BIG:
                raise TooLong("the answer is too long") from error
            raise OpenEnvFault(f"OpenEnv server {self._url}: {error}") from error
        except (OSError, WebSocketException, ValueError) as error:
            raise OpenEnvFault(f"OpenEnv server {self._url}: {error}") from error
        if not isinstance(answer, dict):
            raise OpenEnvFault(f"OpenEnv server {self._url} answered {type(answer).__name__}")
        return answer


class Refused(OpenEnvFault):
    """The server answered with an error of this code."""

    def __init__(self, code: str, problem: str) -> None:
        super().__init__(problem)
        self.code = code


def opened(
    settings: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Session, Mapping[str, Any]]:
    """A new session and what the server says when it is reset, waiting for one where the server
    is away or has none left. Raises OpenEnvFault."""
    until = time.monotonic() + settings["wait_s"]
    while True:
        try:
            return _opened(settings, given)
        except OpenEnvFault as fault:
            full = isinstance(fault, Refused) and fault.code == FULL
            if not (full or isinstance(fault, ServerAway)) or time.monotonic() > until:
                raise
        time.sleep(POLL_S)


def _opened(
    settings: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[Session, Mapping[str, Any]]:
    session = Session(settings)
    try:
        return session, session.ask("reset", given)
    except OpenEnvFault:
        session.close()
        raise


@cache
def action_of(url: str) -> Mapping[str, Any]:
    """The schema of a server's actions. Raises OpenEnvFault."""
    try:
        answer = httpx.get(f"{url}/schema", timeout=CONNECT_S, trust_env=False)
        schema = answer.raise_for_status().json()["action"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise OpenEnvFault(f"OpenEnv server {url} tells no schema: {error}") from error
    properties = {n: p for n, p in schema.get("properties", {}).items() if n != "metadata"}
    return {**schema, "type": "object", "properties": properties}


def text_of(observation: object) -> str:
    """An observation as the policy reads it: its only field, or all that are not empty, as JSON."""
    if isinstance(observation, str):
        return observation
    if isinstance(observation, dict):
        told = {n: v for n, v in observation.items() if v not in (None, "", [], {})}
        if len(told) == 1 and isinstance(only := next(iter(told.values())), str):
            return only
        observation = told
    return "" if observation in (None, {}, []) else json.dumps(observation, ensure_ascii=False)
