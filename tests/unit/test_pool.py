"""The supervised pool over processes that only pretend, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.virtual_time import simulate
from configs.errors import FaultBudgetSpent, MissingCapability
from launch.faults import FaultClass, ProcessDied, RequestFailed, WorkerLost
from launch.pool import Pool
from launch.states import Limits, State
from launch.workers import Member, Role

LIMITS = Limits(restarts=3, probe_every_s=10)


@dataclass(eq=False)
class Process:
    """One process; `kill` ends it whatever it is doing, `hang` makes it answer nothing."""

    name: str
    life: int
    died: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: asyncio.Event | None = None
    ended: str = ""

    def kill(self) -> None:
        self.died.set()

    def hang(self) -> None:
        self.hangs = asyncio.Event()


@dataclass
class Machine:
    """Where processes are made. `work` decides how long a request takes, or raises."""

    seconds: float = 1.0
    starts: Callable[[Process], Awaitable[None]] | None = None
    works: Callable[[Process, Any], Awaitable[Any]] | None = None
    processes: list[Process] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def create(self, name: str, life: int) -> Process:
        self.processes.append(process := Process(name, life))
        return process

    async def ask(self, process: Process, method: str, args: tuple[Any, ...]) -> Any:
        answer = asyncio.ensure_future(self._answer(process, method, args))
        death = asyncio.ensure_future(process.died.wait())
        await asyncio.wait((answer, death), return_when=asyncio.FIRST_COMPLETED)
        death.cancel()
        if process.died.is_set():
            answer.cancel()
            raise ProcessDied("killed")
        return answer.result()

    async def _answer(self, process: Process, method: str, args: tuple[Any, ...]) -> Any:
        if process.hangs is not None:
            await process.hangs.wait()
        if method == "start":
            await asyncio.sleep(2)
            if self.starts is not None:
                await self.starts(process)
        elif method == "run":
            if self.works is not None:
                return await self.works(process, *args)
            await asyncio.sleep(self.seconds)
            return (process.name, *args)
        return None

    async def end(self, process: Process, place: Any, gently: bool) -> None:
        process.ended = process.ended or ("stopped" if gently else "killed")
        if process.hangs is None:  # a stopped process is killed once it goes on
            process.kill()

    def report(self, kind: str, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})

    def faults(self) -> list[tuple[str, str]]:
        return [(e["worker"], e["state"]) for e in self.events if e["kind"] == "fault"]

    def living(self) -> list[str]:
        return [f"{p.name}/{p.life}" for p in self.processes if not p.died.is_set()]


def make_pool(machine: Machine, limits: Limits = LIMITS, minimum: int = 1, **role: Any) -> Pool:
    made = Role(
        "rollout", machine.create, machine.ask, machine.end, limits=limits, probe_s=5, **role
    )
    return Pool(made, machine.report, minimum)


async def request(pool: Pool, number: int, seconds: float = 100) -> Any:
    member = await pool.acquire()
    return await pool.request(
        member, "run", number, number=number, seconds=seconds, what=f"group {number}"
    )


async def until(reached: Callable[[], bool], limit_s: float = 500) -> None:
    async with asyncio.timeout(limit_s):
        while not reached():
            await asyncio.sleep(0.1)


def test_requests_go_to_who_has_the_least_to_do() -> None:
    async def run() -> Counter[str]:
        pool = make_pool(Machine())
        await pool.open(4)
        answers = await asyncio.gather(*(request(pool, i) for i in range(40)))
        return Counter(name for name, _ in answers)

    assert simulate(run()) == {f"rollout-{i}": 10 for i in range(4)}


def test_a_slow_worker_gets_less() -> None:
    async def works(process: Process, number: int) -> str:
        await asyncio.sleep(10 if process.name == "rollout-0" else 1)
        return process.name

    async def run() -> tuple[Counter[str], float]:
        pool = make_pool(Machine(works=works))
        await pool.open(4)
        slots = asyncio.Semaphore(8)

        async def one(number: int) -> str:
            async with slots:
                name: str = await request(pool, number)
                return name

        started = asyncio.get_running_loop().time()
        answers = Counter(await asyncio.gather(*(one(i) for i in range(400))))
        return answers, asyncio.get_running_loop().time() - started

    answers, seconds = simulate(run())
    assert answers["rollout-0"] < 30
    assert seconds < 1.3 * 400 / 6, "three workers with two requests each, one a second"


def test_what_waits_here_goes_to_whoever_is_free_first_in_order() -> None:
    async def works(process: Process, number: int) -> str:
        await asyncio.sleep(100 if process.name == "rollout-0" else 1)
        return process.name

    async def run() -> None:
        pool = make_pool(Machine(works=works), capacity=2)
        await pool.open(2)
        taken: list[int] = []

        async def one(number: int) -> str:
            member = await pool.acquire()
            taken.append(number)
            name: str = await pool.request(
                member, "run", number, number=number, seconds=500, what=f"group {number}"
            )
            return name

        waiting = [asyncio.ensure_future(one(i)) for i in range(30)]
        await asyncio.sleep(0.5)
        assert len(taken) == 4, "two each"
        waiting[7].cancel()
        names = await asyncio.gather(*waiting, return_exceptions=True)
        assert taken == [i for i in range(30) if i != 7]
        assert names.count("rollout-0") == 2, "the slow one gets no third while it has two"

    simulate(run())


def test_a_joiner_gets_what_waits() -> None:
    async def run() -> None:
        pool = make_pool(Machine(seconds=10), capacity=1)
        await pool.open(1)
        requests = [asyncio.ensure_future(request(pool, i, 1000)) for i in range(12)]
        await asyncio.sleep(1)
        pool.resize(3)
        names = Counter(name for name, _ in await asyncio.gather(*requests))
        assert min(names.values()) >= 3

    simulate(run())


def test_a_killed_worker_loses_its_requests_at_once_and_comes_back() -> None:
    machine = Machine(seconds=50)

    async def run() -> None:
        pool = make_pool(machine)
        await pool.open(2)
        requests = [asyncio.ensure_future(request(pool, i)) for i in range(6)]
        await asyncio.sleep(1)
        machine.processes[0].kill()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        lost = [o for o in outcomes if isinstance(o, WorkerLost)]
        assert len(lost) == 3
        assert "rollout-0 died during group" in str(lost[0])
        assert machine.faults() == [("rollout-0", "dead")], "one line for one fault"
        await until(lambda: pool.members[0].health.state is State.HEALTHY)
        assert machine.living() == ["rollout-1/0", "rollout-0/1"]
        assert await request(pool, 9) in (("rollout-0", 9), ("rollout-1", 9))

    simulate(run())


def test_an_idle_worker_that_died_is_found_by_a_probe() -> None:
    machine = Machine()

    async def run() -> None:
        pool = make_pool(machine)
        await pool.open(1)
        machine.processes[0].kill()
        await until(lambda: machine.faults() != [], LIMITS.probe_every_s + 1)
        await until(lambda: pool.members[0].health.state is State.HEALTHY, 5)

    simulate(run())


def test_a_stopped_process_is_given_up_and_its_late_answer_handed_on() -> None:
    machine = Machine(seconds=30)
    late: list[Any] = []

    async def run() -> None:
        pool = make_pool(machine)
        pool.late = late.append
        await pool.open(1)
        stopped = machine.processes[0]
        stopped.hang()
        with pytest.raises(WorkerLost, match="answered no probe within 5 s"):
            await request(pool, 7)
        assert machine.faults() == [("rollout-0", "suspect"), ("rollout-0", "dead")]
        assert asyncio.get_running_loop().time() < 30
        await until(lambda: pool.members[0].health.life == 1)
        assert stopped.hangs is not None
        stopped.hangs.set()
        await until(lambda: late != [])
        assert late == [("rollout-0", 7)]

    simulate(run())


def test_the_deadline_of_a_request_names_the_worker() -> None:
    async def works(process: Process, number: int) -> None:
        await asyncio.sleep(1000)

    async def run() -> None:
        pool = make_pool(Machine(works=works))
        await pool.open(1)
        with pytest.raises(WorkerLost, match="rollout-0 did not finish group 3 within 20 s"):
            await request(pool, 3, seconds=20)
        assert pool.deadlines_hit == 1

    simulate(run())


def test_a_worker_that_fails_all_requests_is_condemned_though_it_answers_probes() -> None:
    async def works(process: Process, number: int) -> str:
        if process.name == "rollout-0" and process.life == 0:
            raise RequestFailed("ValueError: no", FaultClass.DATA)
        await asyncio.sleep(1)
        return process.name

    machine = Machine(works=works)

    async def run() -> None:
        pool = make_pool(machine)
        await pool.open(2)
        for number in range(20):
            await asyncio.gather(
                *(request(pool, number * 10 + i) for i in range(4)), return_exceptions=True
            )
        assert machine.faults()[:3] == [
            ("rollout-0", "suspect"), ("rollout-0", "suspect"), ("rollout-0", "dead"),
        ]  # fmt: skip
        assert pool.members[0].health.life == 1

    simulate(run())


def test_who_cannot_start_is_retired_and_the_others_go_on() -> None:
    async def starts(process: Process) -> None:
        if process.name == "rollout-0":
            raise ProcessDied("no")

    machine = Machine(starts=starts)

    async def run() -> None:
        pool = make_pool(machine)
        await pool.open(2)
        assert [m.health.state for m in pool.members.values()] == [State.RETIRED, State.HEALTHY]
        assert [event["budget_left"] for event in machine.events if event["kind"] == "fault"] == [
            3, 2, 1, 0,
        ]  # fmt: skip
        assert await request(pool, 1) == ("rollout-1", 1)

    simulate(run())


def test_below_the_minimum_everybody_is_told_why() -> None:
    async def starts(process: Process) -> None:
        if process.name == "rollout-1" or process.life:
            raise ProcessDied("out of memory")

    async def run() -> None:
        machine = Machine(starts=starts)
        pool = make_pool(machine, minimum=2)
        with pytest.raises(FaultBudgetSpent, match=r"1 rollout workers .* at least 2.*memory"):
            await pool.open(2)
        with pytest.raises(FaultBudgetSpent, match="1 rollout workers are left"):
            await pool.acquire()

    simulate(run())


def test_all_who_wait_in_line_are_told() -> None:
    async def run() -> None:
        machine = Machine(seconds=100)
        pool = make_pool(machine, Limits(restarts=0), capacity=1)
        await pool.open(1)
        requests = [asyncio.ensure_future(request(pool, i, 1000)) for i in range(5)]
        await asyncio.sleep(1)
        machine.processes[0].kill()
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert isinstance(outcomes[0], WorkerLost)
        assert all(isinstance(outcome, FaultBudgetSpent) for outcome in outcomes[1:])

    simulate(run())


def test_what_the_user_must_mend_is_not_tried_again() -> None:
    async def starts(process: Process) -> None:
        raise MissingCapability("no GPU")

    async def run() -> None:
        machine = Machine(starts=starts)
        with pytest.raises(MissingCapability, match="no GPU"):
            await make_pool(machine).open(3)
        assert {process.life for process in machine.processes} == {0}

    simulate(run())


def test_every_wait_for_a_worker_ends() -> None:
    async def never(member: Member) -> None:
        return None

    async def run() -> None:
        pool = make_pool(Machine(), wait_s=60.0)
        pool.join = never
        await pool.open(1)
        with pytest.raises(FaultBudgetSpent, match="served for 60 s: rollout-0 stale"):
            await pool.acquire()

    simulate(run())


def test_a_joiner_serves_only_once_it_is_synced() -> None:
    async def run() -> None:
        pool, synced = make_pool(Machine()), asyncio.Event()

        async def join(member: Member) -> None:
            await synced.wait()
            pool.synced(member, member.health.life, 4)

        await pool.open(1)
        pool.join = join
        pool.resize(2)
        await asyncio.sleep(10)
        assert pool.members[1].health.state is State.STALE
        answers = await asyncio.gather(*(request(pool, i) for i in range(4)))
        assert {name for name, _ in answers} == {"rollout-0"}
        synced.set()
        await asyncio.sleep(1)
        assert pool.members[1].health.version == 4
        answers = await asyncio.gather(*(request(pool, i) for i in range(4)))
        assert {name for name, _ in answers} == {"rollout-0", "rollout-1"}

    simulate(run())


def test_a_leaver_finishes_what_it_has_and_gets_nothing_new() -> None:
    machine = Machine(seconds=20)

    async def run() -> None:
        pool = make_pool(machine)
        await pool.open(3)
        first = [asyncio.ensure_future(request(pool, i)) for i in range(6)]
        await asyncio.sleep(1)
        pool.resize(1)
        second = await asyncio.gather(*(request(pool, 10 + i) for i in range(3)))
        assert {name for name, _ in second} == {"rollout-0"}
        assert Counter(name for name, _ in await asyncio.gather(*first)) == {
            f"rollout-{i}": 2 for i in range(3)
        }
        await asyncio.sleep(1)
        assert machine.living() == ["rollout-0/0"]
        assert [p.ended for p in machine.processes] == ["", "stopped", "stopped"]
        assert machine.faults() == []

    simulate(run())


def test_one_that_is_told_to_leave_at_once_hands_back_what_it_has() -> None:
    async def run() -> None:
        machine = Machine(seconds=20)
        pool = make_pool(machine)
        await pool.open(2)
        requests = [asyncio.ensure_future(request(pool, i)) for i in range(2)]
        await asyncio.sleep(1)
        pool.drain(pool.members[0], now=True)
        outcomes = await asyncio.gather(*requests, return_exceptions=True)
        assert [isinstance(outcome, WorkerLost) for outcome in outcomes] == [True, False]
        assert machine.faults() == []

    simulate(run())


def test_closing_ends_every_process() -> None:
    async def run() -> None:
        machine = Machine()
        pool = make_pool(machine)
        await pool.open(3)
        await pool.close()
        assert machine.living() == []
        assert {process.ended for process in machine.processes} == {"stopped"}

    simulate(run())


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), workers=st.integers(1, 4))
def test_whatever_is_killed_or_resized_every_request_is_answered_or_lost(
    seed: int, workers: int
) -> None:
    luck = random.Random(seed)

    async def works(process: Process, number: int) -> int:
        await asyncio.sleep(luck.lognormvariate(0, 1))
        return number

    async def disturb(machine: Machine, pool: Pool) -> None:
        while True:
            await asyncio.sleep(luck.expovariate(1 / 3))
            what = luck.choice(["kill", "hang", "resize", "drain"])
            living = [m for m in pool.alive if m.process is not None]
            victim = luck.choice(living) if living else None
            if what == "resize":
                pool.resize(luck.randint(1, 4))
            elif victim is not None and victim.process is not None:
                process = victim.process.handle
                if what == "kill":
                    process.kill()
                elif what == "hang":
                    process.hang()
                elif len(pool.staying) > 1:
                    pool.drain(victim, now=luck.random() < 0.5)

    async def run() -> None:
        machine = Machine(works=works)
        pool = make_pool(machine, Limits(restarts=10**6, probe_every_s=2))
        await pool.open(workers)
        trouble = asyncio.ensure_future(disturb(machine, pool))
        attempts: Counter[int] = Counter()

        async def insist(number: int) -> int:
            while True:
                attempts[number] += 1
                try:
                    answer: int = await request(pool, number, seconds=60)
                    return answer
                except WorkerLost:
                    continue

        assert await asyncio.gather(*(insist(i) for i in range(60))) == list(range(60))
        trouble.cancel()
        assert all(m.outstanding == 0 for m in pool.members.values())
        for member in pool.members.values():
            lives = [p for p in machine.processes if p.name == member.name]
            assert all(p.ended for p in lives if p.life < member.health.life)
        faults = [e for e in machine.events if e["kind"] == "fault"]
        assert all(e["cause"] and e["fault_class"] and "budget_left" in e for e in faults)

    simulate(run())
