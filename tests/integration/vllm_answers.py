"""Greedy answers of vLLM: `python -m tests.integration.vllm_answers MODEL FOLDER MAX_TOKENS`.

FOLDER/prompts.json holds token ids; FOLDER/answers.json gets ids and their log-probabilities.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import numpy as np

from rollout.engine import EngineSettings, VllmEngine
from rollout.renderer import Renderer
from rollout.types import Sampling


async def main(model: str, folder: Path, max_tokens: int) -> None:
    stop = tuple(Renderer(model).stop_token_ids)
    engine = VllmEngine(EngineSettings(model, "float32", 160, stop))
    try:
        await engine.warm_up()
        prompts = json.loads((folder / "prompts.json").read_text())
        answers = await asyncio.gather(
            *(
                engine.generate(np.asarray(ids, np.int32), Sampling(0.0, max_tokens), seed=0)
                for ids in prompts
            )
        )
    finally:
        engine.close()
    records = [
        {"token_ids": a.token_ids.tolist(), "logprobs": a.logprobs.tolist()} for a in answers
    ]
    (folder / "answers.json").write_text(json.dumps(records))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
