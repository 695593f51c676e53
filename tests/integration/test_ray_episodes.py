"""A rollout worker's view of the environment hosts: who is asked, and what a lost host costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError

from benchmarks.virtual_time import simulate
from envs.episodes import EnvFault
from envs.types import Message, Step, Task, ToolCall
from launch.env_hosts import Host, HostLeaves, RayEpisodes

TASK = Task("t/1", "x:Y", (Message("user", "?"),), "")
REPLY = Message("assistant", "1")


class Method:
    """Ray's handle of a method: `remote` returns at once, with what is to be awaited."""

    def __init__(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self.remote = call


@dataclass
class FakeHost:
    """A host that answers, or fails as Ray would tell it."""

    failure: Exception | None = None
    seconds: float = 0.0
    asked: list[str] = field(default_factory=list)
    ends: bool = False

    @property
    def reset(self) -> Method:
        return Method(lambda episode, task: self._answer("reset", Step(TASK.prompt, done=False)))

    @property
    def step(self) -> Method:
        return Method(lambda episode, reply: self._answer("step", Step(done=self.ends)))

    @property
    def close(self) -> Method:
        return Method(lambda episode: self._answer("close", None))

    async def _answer(self, method: str, step: Step | None) -> Step | None:
        self.asked.append(method)
        await asyncio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure
        return step


def raised(cause: Exception) -> Exception:
    error: Exception = RayTaskError("reset", "traceback", cause).as_instanceof_cause()
    return error


def named(*hosts: FakeHost) -> tuple[Host, ...]:
    return tuple(Host(f"envs-{i}", 0, host) for i, host in enumerate(hosts))


def with_hosts(story: Callable[[RayEpisodes], Coroutine[Any, Any, None]], *hosts: FakeHost) -> None:
    async def main() -> None:
        episodes = RayEpisodes(limit_s=10.0)
        episodes.use(named(*hosts))
        await story(episodes)

    simulate(main())


def test_episodes_go_to_who_has_the_fewest() -> None:
    hosts = [FakeHost(), FakeHost()]

    async def story(episodes: RayEpisodes) -> None:
        for name in "abcd":
            await episodes.reset(name, TASK)
        assert [len(host.asked) for host in hosts] == [2, 2]
        await episodes.close("a")
        await episodes.close("a")
        await episodes.reset("e", TASK)
        assert hosts[0].asked == ["reset", "reset", "close", "reset"]

    with_hosts(story, *hosts)


@pytest.mark.parametrize("failure", [ActorDiedError(), raised(HostLeaves())])
def test_a_host_that_is_gone_before_an_episode_is_replaced(failure: Exception) -> None:
    gone, good = FakeHost(failure), FakeHost()

    async def story(episodes: RayEpisodes) -> None:
        for name in "abc":
            await episodes.reset(name, TASK)
        assert (gone.asked, len(good.asked)) == (["reset"], 3)

    with_hosts(story, gone, good)


def test_a_host_that_is_gone_in_an_episode_is_its_fault() -> None:
    host = FakeHost()

    async def story(episodes: RayEpisodes) -> None:
        await episodes.reset("a", TASK)
        host.failure = ActorDiedError()
        with pytest.raises(EnvFault, match="host envs-0 is gone"):
            await episodes.step("a", REPLY)
        await episodes.close("a")

    with_hosts(story, host)


def test_what_an_environment_raised_is_a_fault_and_its_host_goes_on() -> None:
    host = FakeHost()

    async def story(episodes: RayEpisodes) -> None:
        await episodes.reset("a", TASK)
        host.failure = raised(EnvFault("KeyError: 'row'"))
        with pytest.raises(EnvFault, match="KeyError: 'row'"):
            await episodes.step("a", REPLY)
        host.failure = None
        await episodes.reset("b", TASK)

    with_hosts(story, host)


def test_a_host_that_does_not_answer_is_not_waited_for() -> None:
    host = FakeHost()

    async def story(episodes: RayEpisodes) -> None:
        await episodes.reset("a", TASK)
        host.seconds = 1000.0
        with pytest.raises(EnvFault, match="envs-0 did not answer in 10 s"):
            await episodes.step("a", REPLY)

    with_hosts(story, host)


def test_a_call_of_a_limited_tool_may_wait_for_its_turn() -> None:
    host = FakeHost(seconds=1000.0)
    called = Message("assistant", "", (ToolCall("slow", {}),))

    async def story(episodes: RayEpisodes) -> None:
        episodes.use((Host("envs-0", 0, host, frozenset({"slow"})),))
        host.seconds = 0.0
        await episodes.reset("a", TASK)
        host.seconds = 1000.0
        assert not (await episodes.step("a", called)).done
        with pytest.raises(EnvFault, match="did not answer in 10 s"):
            await episodes.step("a", REPLY)

    with_hosts(story)


def test_hosts_are_waited_for() -> None:
    host = FakeHost()

    async def story(episodes: RayEpisodes) -> None:
        asyncio.get_running_loop().call_later(5.0, episodes.use, named(host))
        await episodes.reset("a", TASK)
        episodes.use(())
        with pytest.raises(EnvFault, match="no environment host served within 10 s"):
            await episodes.reset("b", TASK)

    with_hosts(story)


def test_an_episode_that_is_over_is_not_closed_again() -> None:
    host = FakeHost(ends=True)

    async def story(episodes: RayEpisodes) -> None:
        await episodes.reset("a", TASK)
        await episodes.step("a", REPLY)
        await episodes.close("a")
        assert host.asked == ["reset", "step"]

    with_hosts(story, host)


def test_an_episode_that_could_not_begin_is_closed_where_it_was_tried() -> None:
    host = FakeHost(raised(EnvFault("KeyError: 'row'")))

    async def story(episodes: RayEpisodes) -> None:
        with pytest.raises(EnvFault):
            await episodes.reset("a", TASK)
        host.failure = None
        await episodes.close("a")
        assert host.asked == ["reset", "close"]

    with_hosts(story, host)
