"""A judge behind any OpenAI-compatible server, over a client that trusts it with little.

No redirects (a key must not follow one), nothing packed and a cap on what is read, no retries of
its own. The body is read here too: a client that builds objects of what it got raises whatever the
server likes. So is the key, in the process that needs it, from where the configuration says.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx2
import openai

from configs.errors import ConfigError
from envs.types import Message
from rewards.judge import JudgeFault, Reply

MAX_BODY_BYTES = 1_000_000
LONGEST_RETRY_AFTER_S = 600.0
MAX_TOKENS_COUNTED = 10_000_000
"""In one reply; a server that says it used more, or under none, is not believed."""
AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses after which the same request may succeed."""


class BodyRefused(httpx2.RequestError):
    """A server sent more than a verdict can be, or packed it."""


@dataclass(slots=True)
class ServerBackend:
    """A model at `url` (".../v1"). The key comes from the environment variable `key_env`, or the
    file `key_file`; without either none is sent.

    Raises:
        ConfigError: the url is none, or the key is not there.
    """

    url: str
    model: str
    key_env: str = ""
    key_file: str = ""
    max_tokens: int = 512
    timeout_s: float = 60.0
    identity: str = field(init=False)
    _client: openai.AsyncOpenAI = field(init=False)

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise ConfigError("reward.judge: a server needs url (http://HOST/v1) and model")
        self.identity = f"{self.url} {self.model} {self.max_tokens}"
        self._client = openai.AsyncOpenAI(
            base_url=self.url,
            api_key=read_key(self.key_env, self.key_file) or "none",
            max_retries=0,
            timeout=self.timeout_s,
            default_headers={"Accept-Encoding": "identity"},
            http_client=httpx2.AsyncClient(
                follow_redirects=False, timeout=self.timeout_s, transport=_Capped()
            ),
        )

    async def complete(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        """One chat completion at temperature 0 with the schema as response format."""
        request: dict[str, Any] = {
            "model": self.model,
            "messages": [message.as_dict() for message in messages],
            "temperature": 0.0,
            "max_tokens": self.max_tokens,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "verdict", "schema": dict(schema), "strict": True},
            },
        }
        try:
            answer = await self._client.chat.completions.with_raw_response.create(**request)
        except openai.APITimeoutError as error:
            raise JudgeFault("timeout", "the server did not answer", again=True) from error
        except openai.APIStatusError as error:
            raise _of_status(error) from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, BodyRefused):
                raise JudgeFault("unreadable", str(error.__cause__)) from error
            detail = f"{type(error.__cause__ or error).__name__}"
            raise JudgeFault("unreachable", detail, again=True) from error
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, RecursionError) as error:
            detail = f"the server's reply cannot be read ({type(error).__name__})"
            raise JudgeFault("unreadable", detail, again=True) from error
        return _reply(answer.content)

    async def close(self) -> None:
        await self._client.close()


def read_key(key_env: str, key_file: str) -> str:
    """The secret itself, "" where none is configured. Raises ConfigError without showing it."""
    if key_env:
        if not os.environ.get(key_env):
            raise ConfigError(
                f"reward.judge.key_env: {key_env} is not set where the judge runs; export it there"
            )
        return os.environ[key_env].strip()
    if key_file:
        try:
            return Path(key_file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"reward.judge.key_file: cannot read '{key_file}': {type(error).__name__}"
            ) from None
    return ""


def _reply(body: bytes) -> Reply:
    """What a well-formed completion says; servers send other things under status 200 too."""
    try:
        answer = json.loads(body)
        [choice] = answer["choices"]
        text, finish_reason = choice["message"]["content"], choice.get("finish_reason")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
        raise JudgeFault(
            "unreadable", f"no completion: {type(error).__name__}", again=True
        ) from error
    if not isinstance(text, str):
        raise JudgeFault("refused", "the message has no text")
    usage = answer.get("usage")
    used = usage if isinstance(usage, dict) else {}
    return Reply(
        text,
        finish_reason if isinstance(finish_reason, str) else "none",
        _tokens(used.get("prompt_tokens")),
        _tokens(used.get("completion_tokens")),
    )


def _tokens(said: object) -> int:
    """A count of tokens that can be one, else 0: what is billed by it must stay a number."""
    if not isinstance(said, int) or isinstance(said, bool):
        return 0
    return said if 0 <= said <= MAX_TOKENS_COUNTED else 0


def _of_status(error: openai.APIStatusError) -> JudgeFault:
    status = error.status_code
    if 300 <= status < 400:
        return JudgeFault("refused", f"status {status}: a redirect, which is not followed")
    again = status in AGAIN or status >= 500
    kind = "limited" if status == 429 else "unreachable" if again else "refused"
    after = _seconds(error.response.headers.get("retry-after", "")) if again else 0.0
    return JudgeFault(kind, f"status {status}", again, after)


def _seconds(retry_after: str) -> float:
    """A Retry-After header, seconds or a date, as seconds from now; 0 where it is neither."""
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            then = parsedate_to_datetime(retry_after)
        except (ValueError, OverflowError):
            return 0.0
        seconds = (then - datetime.now(UTC)).total_seconds() if then.tzinfo else 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_S) if seconds == seconds else 0.0


class _Capped(httpx2.AsyncHTTPTransport):
    """Ends a response that goes on for too long, or would not be what it measures."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        # Taken off, so that nothing is ever unpacked; the body of an error is not looked at.
        encoding = response.headers.pop("content-encoding", "identity").strip().lower()
        if encoding != "identity" and response.status_code == 200:
            await response.aclose()
            raise BodyRefused(f"a body packed by {encoding!r:.40}, which was not asked for")
        response.stream = _CappedStream(response.stream)
        return response


@dataclass(slots=True)
class _CappedStream(httpx2.AsyncByteStream):
    stream: httpx2.AsyncByteStream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        received = 0
        async for chunk in self.stream:
            received += len(chunk)
            if received > MAX_BODY_BYTES:
                raise BodyRefused(f"a body over {MAX_BODY_BYTES:,} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self.stream.aclose()
