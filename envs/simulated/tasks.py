"""What the simulated worlds share: tasks that are computed from their index, and their faults."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import count
from typing import Any, ClassVar

from configs.errors import ConfigError
from envs.draws import HELD_OUT_ONE_IN, SPLITS, Draws, key_of
from envs.finance.generator import ASK_FOR_BOX
from envs.simulated.faults import Faults, read_faults, with_faults
from envs.tool_schema import Tool, tool_of
from envs.tools import Limits, ToolEnv
from envs.types import Message, Task

VERSION = 2  # raise it when the tasks change: old checkpoints then refuse to resume

Call = Mapping[str, Any]


def call(name: str, /, **arguments: Any) -> Call:
    """A gold call, in the form that metadata holds."""
    return {"name": name, "arguments": arguments}


@dataclass(frozen=True, slots=True)
class Cell:
    """The tasks of one family at one level."""

    level: int
    family: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A task before it has an id: `gold_calls[t]` are the calls that a perfect policy makes in turn
    t, after which it knows the answer."""

    prompt: str
    answer: str
    gold_calls: Sequence[Sequence[Call]]
    metadata: Mapping[str, Any] = field(default_factory=dict)


class SimulatedTasks:
    """The tasks of one simulated world (a `TaskSet`); each world says which by a subclass.

    Index i is task i // C of cell i % C, C being the number of cells (level, family) at the chosen
    levels. The id, such as "calculator/train/0/division-1/42", stands for the same task for ever.
    A question's own text decides its split, whatever the seed, so none is in both; within a split
    one may come again under another number. `faults` are the keyword arguments of `Faults`. Raises
    ConfigError for an unknown split or level and a size below one.
    """

    NAME: ClassVar[str]
    CELLS: ClassVar[tuple[Cell, ...]]

    def __init__(
        self,
        split: str = "train",
        seed: int = 0,
        size: int = 1_000_000,
        levels: Sequence[int] = (1,),
        faults: Mapping[str, float] | None = None,
    ) -> None:
        known = sorted({cell.level for cell in self.CELLS})
        if split not in SPLITS:
            raise ConfigError(f"{self.NAME}: unknown split '{split}'; there are {SPLITS}")
        if not levels or not set(levels) <= set(known):
            raise ConfigError(f"{self.NAME}: levels {list(levels)}; there are {known}")
        if size < 1:
            raise ConfigError(f"{self.NAME}: size {size}; it is at least 1")
        self.split, self.seed, self.size = split, seed, size
        self.faults = read_faults(faults)
        self._cells = [cell for cell in self.CELLS if cell.level in levels]

    def draft(self, cell: Cell, draws: Draws) -> Draft:
        """A task of a cell, in this split's world."""
        raise NotImplementedError

    def _owned_draft(self, cell: Cell, number: int) -> Draft:
        """Task `number` of a cell: the first that is drawn whose text belongs to the split."""
        for attempt in count():
            key = (self.NAME, self.split, self.seed, cell.level, cell.family, number, attempt)
            draft = self.draft(cell, Draws(*key))
            held_out = key_of(self.NAME, draft.prompt) % HELD_OUT_ONE_IN == 0
            if SPLITS[held_out] == self.split:
                return draft
        raise AssertionError("unreachable")

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < self.size:
            raise IndexError(f"{self.NAME} task {index} of {self.size}")
        number, position = divmod(index, len(self._cells))
        cell = self._cells[position]
        draft = self._owned_draft(cell, number)
        metadata = {**draft.metadata, "gold_calls": draft.gold_calls}
        if self.faults != Faults():
            metadata["faults"] = asdict(self.faults)
        return Task(
            id=f"{self.NAME}/{self.split}/{self.seed}/{cell.family}-{cell.level}/{number}",
            env=f"envs.simulated.{self.NAME}:environment",
            prompt=(Message("user", draft.prompt + ASK_FOR_BOX),),
            answer=draft.answer,
            labels=self._labels(cell),
            metadata=metadata,
        )

    @property
    def label_cycle(self) -> list[dict[str, str]]:
        """The labels of the tasks, which repeat: task i has those at i modulo their number."""
        return [self._labels(cell) for cell in self._cells]

    def _labels(self, cell: Cell) -> dict[str, str]:
        return {"scene": self.NAME, "task": cell.family, "level": str(cell.level)}

    @property
    def fingerprint(self) -> str:
        """A hash of the selection and of tasks spread over it: a changed generator changes it."""
        chosen = (VERSION, self.NAME, self.split, self.seed, self.size, self._cells, self.faults)
        digest = blake2b(repr(chosen).encode(), digest_size=8)
        for index in range(0, self.size, -(-self.size // 16)):
            task = self[index]
            digest.update(f"{task.id}\n{task.prompt[0].content}\n{task.answer}\n".encode())
        return digest.hexdigest()


def open_tools(
    task: Task,
    tools: Iterable[Tool | Callable[..., Any]],
    limits: Limits | None = None,
    score: Callable[[], float] | None = None,
    close: Callable[[], None] | None = None,
) -> ToolEnv:
    """A `ToolEnv` whose tools meet the faults that the task orders."""
    faults = read_faults(task.metadata.get("faults"))
    made = [tool if isinstance(tool, Tool) else tool_of(tool) for tool in tools]
    return ToolEnv([with_faults(tool, faults, task.id) for tool in made], limits, score, close)
