"""Two OpenEnv servers, run where the openenv package is: `python openenv_games.py KIND PORT`."""

import random
import sys
from typing import Any

import uvicorn
from fastmcp import FastMCP
from openenv.core.env_server.http_server import create_fastapi_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.mcp_environment import MCPEnvironment
from openenv.core.env_server.mcp_types import CallToolAction, CallToolObservation
from openenv.core.env_server.types import Action, Observation, State


class Guess(Action):
    """Guess the number."""

    number: int


class Hint(Observation):
    text: str


class HigherOrLower(Environment):
    """A number from 0 to 9 is to be guessed."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def reset(self, seed: int | None = None, **kwargs: Any) -> Hint:
        self.number = random.Random(seed).randrange(10)
        self.step_count = 0
        return Hint(text="Guess a number from 0 to 9.")

    def step(self, action: Guess) -> Hint:
        self.step_count += 1
        if action.number > 1000:
            raise RuntimeError("no number is that large")
        if action.number < 0:
            return Hint(text="lower! " * 1_000_000)
        if action.number == self.number:
            return Hint(text="right", reward=1.0, done=True)
        return Hint(text="higher" if action.number < self.number else "lower", reward=0.0)

    @property
    def state(self) -> State:
        return State(step_count=self.step_count)


class Till(MCPEnvironment):
    """A till with two MCP tools."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self) -> None:
        tools = FastMCP("till")
        self.total = 0

        @tools.tool
        def ring_up(amount: int) -> str:
            """Add an amount."""
            self.total += amount
            return f"total {self.total}"

        @tools.tool
        def break_down() -> str:
            """Fail."""
            raise ValueError("the drawer is stuck")

        super().__init__(tools)

    def reset(self, **kwargs: Any) -> Observation:
        self.total = 0
        return Observation(done=False, reward=0.0)

    def _step_impl(self, action: Action, **kwargs: Any) -> Observation:
        return Observation(done=False, reward=0.0)

    @property
    def state(self) -> State:
        return State(step_count=self.total)


if __name__ == "__main__":
    kind, port = sys.argv[1], int(sys.argv[2])
    app = (
        create_fastapi_app(HigherOrLower, Guess, Hint, max_concurrent_envs=3)
        if kind == "guess"
        else create_fastapi_app(Till, CallToolAction, CallToolObservation, max_concurrent_envs=8)
    )
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
