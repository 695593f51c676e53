"""Episodes in processes that can be killed, many to a process.

An episode that misses its deadline, and one whose process dies, ends with `EnvFault`. A process in
which an episode hangs gets no new ones; it is killed, with everything it started, as soon as its
other episodes are over, at the latest after `turn_s`. So a hanging tool costs its own episode.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pickle
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

import psutil

from envs.cell import HEADER, READY, end_tree, frame
from envs.episodes import MAX_THREADS, Deadlines, EnvFault
from envs.types import Message, Step, Task

LAST_WORDS_S = 1.0
"""How long what an ended process has said is still read."""
START_S = 60.0
"""No deadline of an episode: on a busy machine a process takes seconds to start."""


class Hung(EnvFault):
    """A call missed its deadline, and still runs."""


class Cell:
    """One process, its episodes, and those of them that hang. `closed` says why it is no more."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.episodes: set[str] = set()
        self.stuck: set[str] = set()
        self.closed = ""
        self._process = process
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[Step]] = {}
        self._threads = asyncio.Semaphore(MAX_THREADS)
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]
        self._ending: asyncio.Task[None]

    @classmethod
    async def start(
        cls, module: str, variables: Mapping[str, str], limited: Iterable[str] = ()
    ) -> Cell:
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", module, str(theirs.fileno()), *limited),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
            )
        cell = cls(process)
        reader, cell._writer = await asyncio.open_unix_connection(sock=ours)
        try:
            async with asyncio.timeout(START_S):
                await reader.readexactly(len(READY))
        except BaseException as error:  # a cancelled start, too, leaves no process
            cell._writer.close()
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                process.kill()
            await process.wait()
            if isinstance(error, TimeoutError | EOFError | ConnectionError):
                raise EnvFault("the process that is to play it does not start") from error
            raise
        cell._reading = asyncio.create_task(cell._read(reader))
        cell._ending = asyncio.create_task(cell._watch())
        return cell

    @property
    def is_idle(self) -> bool:
        return self.episodes <= self.stuck

    async def call(
        self, seconds: float, method: str, episode: str, content: Task | Message | None = None
    ) -> Step:
        """Raises EnvFault: what the environment raised, Hung, or that the process is gone."""
        async with self._threads:
            if self.closed:
                raise EnvFault(self.closed)
            number = next(self._numbers)
            self._answers[number] = answer = asyncio.get_running_loop().create_future()
            args = (episode,) if content is None else (episode, content)
            self._writer.write(frame((number, method, args)))
            try:
                async with asyncio.timeout(seconds):
                    step: Step = await answer
                    return step
            except TimeoutError:
                self.stuck.add(episode)
                raise Hung(f"{method} did not return within {seconds:g} s") from None
            finally:
                self._answers.pop(number, None)

    async def end(self, cause: str) -> None:
        """Kill the process and all it started."""
        self.closed = self.closed or cause
        if self._process.returncode is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                await asyncio.to_thread(end_tree, psutil.Process(self._process.pid))
        await self._ending

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
                number, step, fault = pickle.loads(await reader.readexactly(length))
                answer = self._answers.get(number)
                if answer is None or answer.done():
                    continue  # too late
                if fault:
                    answer.set_exception(EnvFault(fault))
                else:
                    answer.set_result(step)
        self._writer.close()

    async def _watch(self) -> None:
        """Where a tool ended the process, what it left running is ended here. Only a daemon that
        left the group as well is out of reach; the socket it may hold is closed on it."""
        code = await self._process.wait()
        self.closed = self.closed or f"its process ended with code {code}"
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing of ours is left
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.wait((self._reading,), timeout=LAST_WORDS_S)
        self._writer.close()
        await self._reading
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(EnvFault(self.closed))


@dataclass(slots=True)
class Cells:
    """`count` processes, each started when it is first needed (`Episodes`).

    `limits` says of which tools no more than so many calls may run at once, in all processes
    together; a turn waits until its tools are free, and its deadline begins then. `module` is what
    a process runs, with `variables` added to its environment.
    """

    count: int
    deadlines: Deadlines
    limits: Mapping[str, int] = field(default_factory=dict)
    module: str = "envs.cell"
    variables: Mapping[str, str] = field(default_factory=dict)
    _cells: list[Cell] = field(default_factory=list)
    _where: dict[str, Cell] = field(default_factory=dict)
    _free: dict[str, asyncio.Semaphore] = field(init=False)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _endings: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._free = {tool: asyncio.Semaphore(limit) for tool, limit in self.limits.items()}

    @property
    def num_episodes(self) -> int:
        return len(self._where)

    async def reset(self, episode: str, task: Task) -> Step:
        async with self._starting:
            self._cells = [cell for cell in self._cells if not cell.closed and not cell.stuck]
            if len(self._cells) < self.count:
                self._cells.append(await Cell.start(self.module, self.variables, self.limits))
        cell = self._where[episode] = min(self._cells, key=lambda cell: len(cell.episodes))
        cell.episodes.add(episode)
        return await self._call(cell, self.deadlines.turn_s, "reset", episode, task)

    async def step(self, episode: str, reply: Message) -> Step:
        cell = self._where.get(episode)
        if cell is None:
            raise EnvFault("the episode is over")
        async with self._turn(reply):
            return await self._call(cell, self.deadlines.of_step(reply), "step", episode, reply)

    async def close(self, episode: str) -> None:
        cell = self._where.pop(episode, None)
        if cell is None:
            return
        try:
            if episode not in cell.stuck and not cell.closed:
                await self._call(cell, self.deadlines.turn_s, "close", episode)
        finally:
            cell.episodes.discard(episode)
            self._end_if_idle(cell)

    async def end(self) -> None:
        """Kill all processes."""
        cells = {*self._cells, *self._where.values()}
        await asyncio.gather(*(cell.end("the host was closed") for cell in cells))
        await asyncio.gather(*self._endings)

    async def _call(
        self,
        cell: Cell,
        seconds: float,
        method: str,
        episode: str,
        content: Task | Message | None = None,
    ) -> Step:
        try:
            return await cell.call(seconds, method, episode, content)
        except Hung:
            loop = asyncio.get_running_loop()
            loop.call_later(self.deadlines.turn_s, self._end, cell)
            self._end_if_idle(cell)
            raise

    @contextlib.asynccontextmanager
    async def _turn(self, reply: Message) -> AsyncIterator[None]:
        """Hold a place at every tool that is called, taken in one order, so that nobody waits for
        somebody who waits."""
        called = {call.name for call in reply.tool_calls if not call.error}
        tools = sorted(called & self._free.keys())
        async with contextlib.AsyncExitStack() as places:
            for tool in tools:
                await places.enter_async_context(self._free[tool])
            yield

    def _end_if_idle(self, cell: Cell) -> None:
        if cell.stuck and cell.is_idle:
            self._end(cell)

    def _end(self, cell: Cell) -> None:
        if not cell.closed:
            ending = asyncio.ensure_future(cell.end("an episode beside it hung"))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)
