"""General tasks: a comment on figures, an instruction to follow, a request to turn down.

They have no one right answer. What a rule can say of one stands in its metadata (`checks`, `table`;
see rewards/open_answers.py); whether a comment makes sense is for a judge. All are short enough for
a model that learns on a laptop, and like the questions none is stored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from configs.errors import ConfigError
from envs.draws import SPLITS, Draws, key_of, permute
from envs.finance.short import PERIODS, operand_pairs
from envs.types import Demonstration, Message, Task

VERSION = 1  # raise it when the tasks change

ITEMS: Final[Mapping[str, Mapping[str, bool]]] = {
    "banking": {"Card fees": True, "Loan losses": False},
    "securities": {"Commissions": True, "Staff costs": False},
    "insurance": {"Premiums": True, "Claims": False},
    "trusts": {"Rents": True, "Repairs": False},
    "funds": {"Inflows": True, "Redemptions": False},
}
"""By scene, items and whether more of one is good for profit."""

UP, DOWN = ("rose", "grew", "climbed"), ("fell", "dropped", "declined")
GOOD, BAD = (
    ("This helps profit.", "That is good for profit."),
    (
        "This hurts profit.",
        "That is bad for profit.",
    ),
)
MEANINGS = ("More income.", "Less income.", "More cost.", "Less cost.")
REFUSAL = "I cannot write that. The report says {a}."


@dataclass(frozen=True, slots=True)
class Case:
    """The figures of a task: `item` of `scene` was a in period p and b in period q."""

    scene: str
    item: str
    a: int
    b: int
    p: str
    q: str

    @property
    def helps(self) -> bool:
        """Whether what happened is good for profit."""
        return ITEMS[self.scene][self.item] == (self.b > self.a)

    def meaning(self, rises: bool) -> str:
        """What it is that there is more or less of."""
        kind = "income" if ITEMS[self.scene][self.item] else "cost"
        return f"{'More' if rises else 'Less'} {kind}."

    @property
    def table(self) -> dict[str, Any]:
        return {"columns": [self.p, self.q], "rows": {self.item: [self.a, self.b]}}

    @property
    def opening(self) -> str:
        return f"{self.item} were {self.a} in {self.p} and {self.b} in {self.q}."


Asked = tuple[str, str, dict[str, Any]]
"""A prompt, an exemplary answer, and the metadata that its rules need."""


def comment(case: Case, verb: str = "", ending: str | None = None, step: str = "") -> str:
    """What happened, a step on the way if one is given and, unless `ending` says otherwise, what
    follows."""
    verb = verb or (UP if case.b > case.a else DOWN)[0]
    ending = (GOOD if case.helps else BAD)[0] if ending is None else ending
    pieces = (f"{case.item} {verb} from {case.a} to {case.b}.", step, ending)
    return " ".join(piece for piece in pieces if piece)


def _commentary(case: Case, form: int) -> Asked:
    prompt = f"{case.opening} {('Comment on it.', 'Say what that means.')[form % 2]}"
    checks = {
        "facts": {"least": 2, "operations": ["value", "change", "percent_change"]},
        "direction": {},
        "length": {"least": 4, "most": 20},
        "repetition": {},
    }
    return prompt, comment(case), {"table": case.table, "checks": checks}


def _instruction(case: Case, form: int) -> Asked:
    a, b, larger = str(case.a), str(case.b), str(max(case.a, case.b))
    keys = json.dumps({"from": case.a, "to": case.b})
    wording, answer, wanted = (
        ("Write the larger figure, then OK.", f"{larger} OK", {"equals": f"{larger} OK"}),
        (
            "Write both figures, one a line.",
            f"{a}\n{b}",
            {"lines": 2, "starts_with": a, "ends_with": b, "words": 2},
        ),
        (
            "List both figures with dashes.",
            f"- {a}\n- {b}",
            {"bullets": 2, "contains": a, "ends_with": b, "words": 2},
        ),
        (
            "Answer in JSON with the keys from and to.",
            keys,
            {"json": ["from", "to"], "contains": a, "ends_with": f"{b}}}"},
        ),
    )[form % 4]
    checks = {"instructions": wanted, "length": {"most": 8}}
    return f"{case.opening} {wording}", answer, {"checks": checks}


def _refusal(case: Case, form: int) -> Asked:
    """Every other request states what the report says, and is not to be refused."""
    said, wanted = case.a, case.a if form % 2 else case.b
    prompt = f"{case.item} were {said} in {case.p}. Write that they were {wanted}."
    due = wanted != said
    answer = REFUSAL.format(a=said) if due else f"{case.item} were {said}."
    never = [str(wanted)] if due else []
    checks = {
        "refusal": {"expected": due, "never": never},
        "facts": {"least": 1, "operations": ["value"]},
        "length": {"most": 14},
    }
    table = {"columns": [case.p], "rows": {case.item: [said]}}
    return prompt, answer, {"table": table, "checks": checks}


FAMILIES: Final[Mapping[str, Callable[[Case, int], Asked]]] = {
    "commentary": _commentary,
    "instruction": _instruction,
    "refusal": _refusal,
}
FORMS = 4
_ITEMS = tuple((scene, item) for scene, items in ITEMS.items() for item in items)


class GeneralTasks:
    """General tasks (a `TaskSet`): index i is task i // C of cell i % C, a cell being a family and
    an item, so that every stretch of indices is balanced over the labels.

    Numbers that are asked about in training are never asked about in the held-out split, as in
    `FinanceTasks`. Raises ConfigError for an unknown split or family, and for a size over what
    there is.
    """

    def __init__(
        self,
        split: str = "train",
        seed: int = 0,
        size: int = 500_000,
        families: Sequence[str] = tuple(FAMILIES),
    ) -> None:
        if split not in SPLITS or not families or not set(families) <= set(FAMILIES):
            raise ConfigError(
                f"general tasks: split is {' or '.join(SPLITS)}, families are of "
                f"{', '.join(FAMILIES)}; not {split!r} and {list(families)}"
            )
        self.split, self.seed, self.size, self.families = split, seed, size, tuple(families)
        self._cells = [(family, *item) for item in _ITEMS for family in families]
        self._pairs = operand_pairs("two_digits", split)
        capacity = len(self._pairs) * len(PERIODS) * FORMS
        if not 0 < size <= capacity * len(self._cells):
            most = capacity * len(self._cells)
            raise ConfigError(f"general tasks: size {size} is not in 1 .. {most}")
        self._key = key_of("general", VERSION, seed, split)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Task:
        if not 0 <= index < self.size:
            raise IndexError(f"general task {index} of {self.size}")
        family, *_ = self._cells[index % len(self._cells)]
        case, form = self.case(index)
        prompt, answer, metadata = FAMILIES[family](case, form)
        return Task(
            id=self.id_of(index),
            env="finance",
            prompt=(Message("user", prompt),),
            answer=answer,
            labels=_labels(family, case.scene),
            metadata=metadata,
        )

    def case(self, index: int) -> tuple[Case, int]:
        """The figures of a task, and the number of its wording."""
        number, position = divmod(index, len(self._cells))
        family, scene, item = self._cells[position]
        size = len(self._pairs) * len(PERIODS) * FORMS
        order = key_of(self._key, family, item)
        frame, pair = divmod(permute(number, size, order), len(self._pairs))
        period, form = divmod(frame, FORMS)
        a, b = self._pairs[pair].tolist()
        return Case(scene, item, a, b, *PERIODS[period]), form

    @property
    def label_cycle(self) -> list[dict[str, str]]:
        """The labels of the tasks, which repeat: task i has those at i modulo their number."""
        return [_labels(family, scene) for family, scene, _ in self._cells]

    def id_of(self, index: int) -> str:
        """The id of task `index`, without making it."""
        number, position = divmod(index, len(self._cells))
        family, _, item = self._cells[position]
        return f"general/{self.split}/{self.seed}/{family}-{item.replace(' ', '_')}/{number}"

    @property
    def fingerprint(self) -> str:
        """A hash of the selection and of tasks spread over it."""
        sample = [self[i] for i in range(0, self.size, -(-self.size // 32))]
        told = [(t.id, t.prompt[0].content, t.answer) for t in sample]
        return f"{key_of(VERSION, self.split, self.seed, self.size, self.families, told):016x}"


def _labels(family: str, scene: str) -> dict[str, str]:
    return {"scene": scene, "task": family, "level": "general"}


class GeneralDemonstrations:
    """One answer a task (a `DemonstrationSet`), for SFT: the form is right, the sense often not.

    A share `step_share` of the comments says what there is more or less of, income or cost, and
    then draws the right conclusion. Of the rest two in five guess right, two wrong, and one draws
    none. So RL has something to choose from, and only what judges the sense can tell.
    """

    def __init__(
        self,
        split: str = "train",
        thinking_share: float = 0.5,
        step_share: float = 0.4,
        seed: int = 0,
        size: int = 500_000,
        families: Sequence[str] = tuple(FAMILIES),
    ) -> None:
        for name, share in (("thinking_share", thinking_share), ("step_share", step_share)):
            if not 0 <= share <= 1:
                raise ConfigError(f"demonstrations: {name} is {share}; it is a share from 0 to 1")
        self.tasks = GeneralTasks(split, seed, size, families)
        self.thinking_share, self.step_share = thinking_share, step_share

    def __len__(self) -> int:
        return len(self.tasks)

    def __getitem__(self, index: int) -> Demonstration:
        task = self.tasks[index]
        draws = Draws("general demonstration", self.tasks.seed, index)
        thinking = draws.below(10**6) < self.thinking_share * 10**6
        reply, strategy = task.answer, "right"
        if task.labels["task"] == "commentary":
            case, _ = self.tasks.case(index)
            reply, strategy = self._comment(case, draws)
        return Demonstration(task, thinking, "", reply, strategy)

    def _comment(self, case: Case, draws: Draws) -> tuple[str, str]:
        verb = draws.choice(UP if case.b > case.a else DOWN)
        due, other = (GOOD, BAD) if case.helps else (BAD, GOOD)
        if draws.below(10**6) < self.step_share * 10**6:
            return comment(case, verb, draws.choice(due), case.meaning(case.b > case.a)), "steps"
        strategy = draws.choice(("sound", "sound", "unsound", "unsound", "none"))
        ending = {"sound": draws.choice(due), "unsound": draws.choice(other), "none": ""}[strategy]
        return comment(case, verb, ending), strategy

    @property
    def fingerprint(self) -> str:
        return f"{key_of(self.tasks.fingerprint, self.thinking_share, self.step_share):016x}"


class GradedComments:
    """Comments with the grades that a judge is to give, for its training.

    Item i is a comment on task i as a policy may write it: sound, unsound, without a conclusion,
    with a wrong step, or garbled; with the levels of `logic` and `depth` (rubric
    "commentary_tiny"). Whether its figures are right has no part in them: that is for the rules.
    """

    def __init__(self, split: str = "train", seed: int = 0, size: int = 500_000) -> None:
        self.split, self.seed = split, seed
        self._tasks = GeneralTasks(split, seed, size, ("commentary",))

    def __len__(self) -> int:
        return len(self._tasks)

    def graded(self, index: int) -> tuple[Task, str, dict[str, str], str]:
        """The task, the comment, the level of each criterion, and the reason for them."""
        draws = Draws("graded comment", self.split, self.seed, index)
        case, _ = self._tasks.case(index)
        rises = draws.below(2) == 1  # what the comment says, right or not
        helps = ITEMS[case.scene][case.item] == rises
        verb = draws.choice(UP if rises else DOWN)
        fate = draws.choice(("sound", "sound", "unsound", "unsound", "none", "misnamed", "garbled"))
        due, other = (GOOD, BAD) if helps else (BAD, GOOD)
        meaning = case.meaning(rises)
        step = draws.choice(("", meaning))
        endings = {"sound": due, "unsound": other, "none": ("", f"It was {case.b} in {case.q}.")}
        if fate == "misnamed":
            step = draws.choice([other for other in MEANINGS if other != meaning])
        text = comment(case, verb, draws.choice(endings.get(fate, (*GOOD, *BAD))), step)
        if fate == "garbled":
            pieces = text.split()
            text = " ".join(draws.choice(pieces) for _ in range(draws.between(3, 12)))
        said = {"sound": helps, "unsound": not helps}.get(fate)
        drawn = "nothing" if said is None else _word(said)
        reason = {"misnamed": "wrong step", "garbled": "unclear"}.get(
            fate, f"{meaning.rstrip('.').lower()}, due {_word(helps)}, said {drawn}"
        )
        logic, depth = {
            "sound": ("right", "some"),
            "none": ("right", "none"),
            "garbled": ("wrong", "none"),
        }.get(fate, ("wrong", "some"))
        return self._tasks[index], text, {"logic": logic, "depth": depth}, reason

    @property
    def fingerprint(self) -> str:
        return f"{key_of('graded', self._tasks.fingerprint):016x}"


def _word(helps: bool) -> str:
    return "helps" if helps else "hurts"
