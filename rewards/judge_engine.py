"""A judge on an engine of our own, which holds its own weights and serves nobody else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envs.types import Message
from rewards.judge import JudgeFault, Reply
from rollout.engine import Engine, EngineDead, GenerationFailed, PromptTooLong
from rollout.renderer import Renderer
from rollout.types import Sampling


@dataclass(frozen=True, slots=True)
class EngineBackend:
    """Renders the prompt with the judge's own template, in which no text becomes a control token,
    and has the engine write JSON of the schema and nothing else.

    `identity` names the weights.
    """

    engine: Engine
    renderer: Renderer
    identity: str
    max_tokens: int

    async def complete(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        prompt = self.renderer.render_prompt(messages, thinking=False)
        sampling = Sampling(0.0, self.max_tokens, json_schema=json.dumps(schema))
        try:
            completion = await self.engine.generate(prompt, sampling, seed=0)
        except PromptTooLong as error:
            raise JudgeFault("refused", str(error)) from error
        except (GenerationFailed, EngineDead) as error:
            raise JudgeFault("unreachable", str(error), again=True) from error
        text = self.renderer.parse(completion.token_ids).content
        return Reply(text, completion.finish_reason, len(prompt), len(completion.token_ids))

    async def close(self) -> None:
        self.engine.close()
