"""Ten million finance tasks and more, none of them stored: each is computed from its index."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from hashlib import blake2b
from typing import Protocol

from configs.errors import ConfigError
from envs.draws import SPLITS, key_of
from envs.finance.questions import Question
from envs.finance.scenes import LAYOUTS
from envs.finance.short import SHORT_CELLS
from envs.finance.statements import STATEMENT_CELLS
from envs.types import Message, Task

VERSION = 1  # raise it when the tasks change: old checkpoints then refuse to resume
ASK_FOR_BOX = " Put the answer in \\boxed{}."


class Cell(Protocol):
    """The questions that share scene, family and level, numbered from 0 to `capacity`."""

    @property
    def scene(self) -> str: ...

    @property
    def family(self) -> str: ...

    @property
    def level(self) -> int: ...

    def capacity(self, split: str) -> int: ...

    def question(self, split: str, key: int, number: int) -> Question: ...


CELLS: tuple[Cell, ...] = (*SHORT_CELLS, *STATEMENT_CELLS)
SCENES = tuple(LAYOUTS)
LEVELS = tuple(sorted({cell.level for cell in CELLS}))
FAMILIES = tuple(sorted({cell.family for cell in CELLS}))


class FinanceTasks:
    """Finance questions of the chosen levels, scenes and families (a `TaskSet`).

    Index i is question i // C of cell i % C, C being the number of chosen cells (scene, family,
    level), so every stretch of indices is balanced over the labels. The id, such as
    "finance/train/0/banking-change-1/42", names seed, cell and number in it: it stands for the same
    task in every selection, for ever.

    Distinct: no two tasks of one split and seed have the same prompt. At level 1 that does not mean
    new numbers: there are about a million ordered pairs of numbers from 1 to 999, so ten million
    questions ask about each pair in several frames (sentence, item, periods). The order in which
    (pair, frame) comes is a permutation of all of them, and the text tells every pair and frame
    apart; level 2 likewise. From level 3 on each question of a cell names a company that no
    other question of the cell names.

    Disjoint: the set of a question's operands alone decides its split, three sets in four being
    train. Numbers asked about in training are never asked about in the held-out split, in whatever
    words, order or operation, at whatever level, under whatever seed. Companies are not shared
    either.

    Raises ConfigError for an unknown split, level, scene or family and for a size over what the
    chosen cells hold.
    """

    def __init__(
        self,
        split: str = "train",
        seed: int = 0,
        size: int = 10_000_000,
        levels: Sequence[int] = (1,),
        scenes: Sequence[str] | None = None,
        families: Sequence[str] | None = None,
    ) -> None:
        _require("split", [split], SPLITS)
        _require("level", levels, LEVELS)
        _require("scene", scenes or (), SCENES)
        _require("family", families or (), FAMILIES)
        self.split, self.seed, self.size = split, seed, size
        self._cells = [
            cell
            for cell in CELLS
            if cell.level in levels
            and (not scenes or cell.scene in scenes)
            and (not families or cell.family in families)
        ]
        if not self._cells:
            raise ConfigError(
                f"no finance task has level {levels}, scene {scenes}, family {families}"
            )
        self.capacity = min(cell.capacity(split) for cell in self._cells) * len(self._cells)
        if not 0 < size <= self.capacity:
            raise ConfigError(
                f"finance tasks: size {size} is not in 1 .. {self.capacity}, "
                "what the chosen levels, scenes and families hold; choose more or a smaller size"
            )
        self._key = key_of(VERSION, seed, split)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < self.size:
            raise IndexError(f"finance task {index} of {self.size}")
        number, position = divmod(index, len(self._cells))
        cell = self._cells[position]
        return as_task(cell.question(self.split, self._key, number), self.id_of(index), cell)

    @property
    def label_cycle(self) -> list[dict[str, str]]:
        """The labels of the tasks, which repeat: task i has those at i modulo their number."""
        return [cell_labels(cell) for cell in self._cells]

    def id_of(self, index: int) -> str:
        """The id of task `index`, without making it."""
        number, position = divmod(index, len(self._cells))
        return f"finance/{self.split}/{self.seed}/{cell_name(self._cells[position])}/{number}"

    @property
    def fingerprint(self) -> str:
        """A hash of the selection and of tasks spread over it: a changed generator changes it."""
        names = [cell_name(cell) for cell in self._cells]
        digest = blake2b(
            repr((VERSION, self.split, self.seed, self.size, names)).encode(), digest_size=8
        )
        for index in range(0, self.size, -(-self.size // 32)):
            task = self[index]
            digest.update(f"{task.id}\n{task.prompt[0].content}\n{task.answer}\n".encode())
        return digest.hexdigest()


def cell_name(cell: Cell) -> str:
    """Example: "banking-net_interest_margin-5"."""
    return f"{cell.scene}-{cell.family}-{cell.level}"


def cell_labels(cell: Cell) -> dict[str, str]:
    return {"scene": cell.scene, "task": cell.family, "level": str(cell.level)}


def as_task(question: Question, task_id: str, cell: Cell) -> Task:
    """The task of a question. From level 2 on the prompt asks for the answer in a box.

    The metadata holds program, unit and scale; `percent_question` where a percentage is asked for,
    so that a bare number may state it; `tolerance` 0 where the answer is exact; `fractions` False,
    because "1764/28" repeats the question about a ratio and does not answer it.
    """
    prompt = question.prompt if cell.level == 1 else question.prompt + ASK_FOR_BOX
    answer, exact = question.solve()
    metadata: dict[str, object] = {
        "program": question.program,
        "unit": question.unit,
        "scale": question.scale,
        "fractions": False,
    }
    if question.unit == "percent":
        metadata["percent_question"] = True
    if exact:
        metadata["tolerance"] = 0.0
    return Task(
        id=task_id,
        env="finance",
        prompt=(Message("user", prompt),),
        answer=answer,
        labels=cell_labels(cell),
        metadata=metadata,
    )


def _require(what: str, given: Sequence[object], known: Sequence[object]) -> None:
    for value in given:
        if value not in known:
            near = get_close_matches(str(value), map(str, known), n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(map(str, known))}"
            raise ConfigError(f"finance tasks: unknown {what} {value!r}; {hint}")
