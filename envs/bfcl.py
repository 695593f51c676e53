"""The Berkeley Function Calling Leaderboard as an evaluation: are the right calls made?

Single-turn categories (simple_python, multiple, parallel) are scored by the official AST rule
(ShishirPatil/gorilla, bfcl_eval/eval_checker/ast_eval): name, required and known parameters, and
for each a value of the declared type among the allowed ones. Strings are compared in lower case
without spaces and some punctuation; whole numbers count as floats; "" among the allowed values
makes a parameter optional; parallel calls may come in any order.

For multi_turn_base the official rule runs simulators of eight services and compares their states.
They are not part of this; here each turn must make exactly the gold calls in their order, with
defaults filled in, and every call is answered with NOT_SIMULATED. That is stricter.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

from configs.errors import ConfigError, DataError
from envs.types import CallRecord, Message, Step, Task, ToolCall, ToolSpec

AST_CATEGORIES = ("simple_python", "multiple", "parallel")
MULTI_TURN = "multi_turn_base"
CATEGORIES = (*AST_CATEGORIES, MULTI_TURN)
MAX_CALLS = 32  # of one reply; gold ones make a handful
NOT_SIMULATED = '{"status": "ok"}'

DOCS = {
    "GorillaFileSystem": "gorilla_file_system",
    "MathAPI": "math_api",
    "MessageAPI": "message_api",
    "TwitterAPI": "posting_api",
    "TicketAPI": "ticket_api",
    "TradingBot": "trading_bot",
    "TravelAPI": "travel_booking",
    "VehicleControlAPI": "vehicle_control",
}
"""Class of a multi-turn task to the file that describes its functions."""

PYTHON_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}
JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array"}
_IGNORED = re.compile(r"[ ,./\-_*^]")

Json = Mapping[str, Any]


class BfclTasks:
    """The questions of some categories (a `TaskSet`), for evaluation only.

    `path` is the folder of the published files (BFCL_v4_*.json, possible_answer/,
    multi_turn_func_doc/). Raises ConfigError for another split than heldout or an unknown category,
    DataError for a file that is missing or does not fit.
    """

    def __init__(
        self, path: str, split: str = "heldout", categories: Sequence[str] = CATEGORIES
    ) -> None:
        if split != "heldout":
            raise ConfigError(f"bfcl is an evaluation: set split to heldout, not {split}")
        if unknown := [name for name in categories if name not in CATEGORIES]:
            raise ConfigError(f"bfcl: no category '{unknown[0]}'; there are {CATEGORIES}")
        folder = Path(path)
        self._tasks = [task for name in categories for task in _read(folder, name)]

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, index: int) -> Task:
        return self._tasks[index]

    @property
    def fingerprint(self) -> str:
        texts = (json.dumps([task.id, task.metadata], sort_keys=True) for task in self._tasks)
        return blake2b("\n".join(texts).encode(), digest_size=8).hexdigest()


def environment() -> BfclEnv:
    """The environment that plays these tasks."""
    return BfclEnv()


class BfclEnv:
    """One question (an `Env`). Its reward is 1 where the calls are right, else 0; `info["problem"]`
    says why not."""

    def reset(self, task: Task) -> Step:
        self._metadata = task.metadata
        self._turns: list[list[ToolCall]] = [[]]
        tools = tuple(tool_spec(function) for function in task.metadata["functions"])
        return Step(messages=task.prompt, done=False, tools=tools)

    def step(self, reply: Message) -> Step:
        calls = reply.tool_calls
        self._turns[-1] += calls
        records = tuple(CallRecord(call, NOT_SIMULATED) for call in calls)
        if self._metadata["category"] != MULTI_TURN:
            problem = calls_problem(
                calls,
                self._metadata["gold"],
                self._metadata["functions"],
            )
            return self._ended(problem, records)
        if len(calls) > MAX_CALLS:
            return self._ended(f"{len(calls)} calls at once, over {MAX_CALLS}", records)
        if calls:
            results = tuple(Message("tool", NOT_SIMULATED) for _ in calls)
            return Step(results, done=False, reward=0.0, calls=records)
        asked = self._metadata["questions"]
        if len(self._turns) < len(asked):
            question = asked[len(self._turns)]
            self._turns.append([])
            messages = tuple(Message(m["role"], m["content"]) for m in question)
            return Step(messages, done=False, reward=0.0)
        problem = turns_problem(self._turns, self._metadata["gold"], self._metadata["functions"])
        return self._ended(problem, records)

    def _ended(self, problem: str, records: tuple[CallRecord, ...]) -> Step:
        return Step(reward=float(not problem), info={"problem": problem}, calls=records)

    def close(self) -> None:
        return None


def tool_spec(function: Json) -> ToolSpec:
    """A function as the policy is told of it: Python's names of types become JSON Schema's."""
    return ToolSpec(function["name"], function["description"], _schema(function["parameters"]))


def _schema(described: Json) -> dict[str, Any]:
    schema = {name: value for name, value in described.items() if name != "optional"}
    kind = schema.pop("type", "any")
    if kind != "any":
        schema["type"] = JSON_TYPES.get(kind, kind)
    if "properties" in schema:
        schema["properties"] = {name: _schema(part) for name, part in schema["properties"].items()}
    if "items" in schema:
        schema["items"] = _schema(schema["items"])
    return schema


def calls_problem(
    calls: Sequence[ToolCall], gold: Sequence[Json], functions: Sequence[Json]
) -> str:
    """What is wrong with the calls of a single turn, or ""; `gold` is the official answer: a list
    of {name: {parameter: [allowed values]}}."""
    if len(calls) != len(gold):
        return f"{len(calls)} calls, not {len(gold)}"
    left = list(calls)
    problem = ""
    for wanted in gold:  # each takes the first call that fits, as in the official rule
        for call in left:
            problem = call_problem(call, wanted, functions)
            if not problem:
                left.remove(call)
                break
        else:
            return problem
    return ""


def call_problem(call: ToolCall, wanted: Json, functions: Sequence[Json]) -> str:
    """What is wrong with one call, or ""."""
    [(name, allowed)] = wanted.items()
    if call.error:
        return call.error
    if call.name != name:
        return f"calls {call.name}, not {name}"
    [described] = [f["parameters"] for f in functions if f["name"] == name]
    properties = described["properties"]
    for parameter in described["required"]:
        if parameter not in call.arguments:
            return f"{parameter} is missing"
    for parameter, value in call.arguments.items():
        if parameter not in properties or parameter not in allowed:
            return f"{parameter} is not expected"
        if not _fits(value, properties[parameter], allowed[parameter]):
            return f"{parameter} is {value!r:.80}"
    for parameter, values in allowed.items():
        if parameter not in call.arguments and "" not in values:
            return f"{parameter} is missing"
    return ""


def _fits(value: Any, described: Json, allowed: Sequence[Any]) -> bool:
    """Whether a value has the type and is one of the allowed ones."""
    if described["type"] == "float" and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            return False
    if not _has_type(value, described, allowed):
        return False
    if isinstance(value, dict):
        return any(_dict_fits(value, option) for option in allowed if option != "")
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return any(
            isinstance(option, list)
            and len(option) == len(value)
            and all(
                isinstance(item, dict) and _dict_fits(item, one)
                for item, one in zip(value, option, strict=True)
            )
            for option in allowed
        )
    return any(_plain(value) == _plain(option) for option in allowed)


def _has_type(value: Any, described: Json, allowed: Sequence[Any]) -> bool:
    """The declared type, or that of the allowed values where these are of another (the answer is
    then the name of a variable); items of a list likewise."""
    if type(value) is not PYTHON_TYPES[described["type"]]:
        return type(value) in [type(option) for option in allowed if option != ""][:1]
    if not isinstance(value, list) or "items" not in described:
        return True
    kind = PYTHON_TYPES[described["items"]["type"]]
    return any(
        all(type(item) is kind or type(item) is type(next(iter(option), None)) for item in value)
        for option in allowed
        if isinstance(option, list)
    )


def _dict_fits(value: Json, option: Any) -> bool:
    """Whether a dict has the option's keys, each with one of its allowed values."""
    if not isinstance(option, Mapping):
        return False
    known = all(
        key in option and any(_plain(part) == _plain(one) for one in option[key])
        for key, part in value.items()
    )
    return known and all(key in value or "" in values for key, values in option.items())


def _plain(value: Any) -> Any:
    """A value in the form in which it is compared. True is no 1."""
    if isinstance(value, str):
        return _IGNORED.sub("", value).lower().replace("'", '"')
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return (value, isinstance(value, bool))


def turns_problem(
    turns: Sequence[Sequence[ToolCall]], gold: Sequence[Sequence[str]], functions: Sequence[Json]
) -> str:
    """What is wrong with the calls of several turns, or ""; gold calls are Python text."""
    for number, (calls, wanted) in enumerate(zip(turns, gold, strict=True), start=1):
        expected = [_complete(parse_call(text, functions), functions) for text in wanted]
        if [_complete(call, functions) for call in calls] != expected:
            return f"turn {number}: not the calls {'; '.join(wanted) or 'none'}"
    return ""


def _complete(call: ToolCall, functions: Sequence[Json]) -> ToolCall:
    """The call with the defaults of what it leaves out."""
    described = next((f["parameters"] for f in functions if f["name"] == call.name), None)
    properties = described["properties"] if described else {}
    defaults = {name: part["default"] for name, part in properties.items() if "default" in part}
    return ToolCall(call.name, {**defaults, **call.arguments}, call.error)


def parse_call(text: str, functions: Sequence[Json]) -> ToolCall:
    """A call such as "sort('a.txt')" or "grep(file_name='a', pattern='b')". Raises DataError."""
    try:
        node = ast.parse(text, mode="eval").body
        if not isinstance(node, ast.Call):
            raise ValueError("not a call")
        name = ast.unparse(node.func)
        [names] = [list(f["parameters"]["properties"]) for f in functions if f["name"] == name]
        given = dict(zip(names, map(ast.literal_eval, node.args), strict=False))
        given |= {str(key.arg): ast.literal_eval(key.value) for key in node.keywords}
    except (SyntaxError, ValueError) as error:
        raise DataError(f"bfcl: cannot read the gold call {text!r}: {error}") from error
    return ToolCall(name, json.loads(json.dumps(given)))  # tuples become lists, as a policy's are


def _gold_calls(category: str, gold: Any, functions: Sequence[Json]) -> list[list[Json]]:
    """What a perfect policy calls, in the form of `envs.tools.gold_episode`: with the first allowed
    value of each parameter. A turn without calls ends what the user asked last."""
    if category != MULTI_TURN:
        pairs = [pair for wanted in gold for pair in wanted.items()]
        return [[{"name": name, "arguments": _first_of_each(allowed)} for name, allowed in pairs]]
    turns: list[list[Json]] = []
    for number, texts in enumerate(gold):
        calls = [parse_call(text, functions) for text in texts]
        if number:
            turns.append([])
        if calls:
            turns.append([{"name": call.name, "arguments": call.arguments} for call in calls])
    return turns


def _first_of_each(allowed: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The first value of each list, "" being none; a dict within has lists of its own."""
    values = {name: [one for one in options if one != ""] for name, options in allowed.items()}
    return {name: _concrete(options[0]) for name, options in values.items() if options}


def _concrete(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _first_of_each(value)
    return [_concrete(item) for item in value] if isinstance(value, list) else value


def _read(folder: Path, category: str) -> Iterable[Task]:
    name = f"BFCL_v4_{category}.json"
    questions, answers = _lines(folder / name), _lines(folder / "possible_answer" / name)
    if [row["id"] for row in questions] != [answer["id"] for answer in answers]:
        raise DataError(f"{folder / name}: possible_answer/ is of other questions")
    docs = {} if category != MULTI_TURN else _read_docs(folder / "multi_turn_func_doc")
    for row, answer in zip(questions, answers, strict=True):
        functions = row.get("function") or _documented(docs, row)
        metadata = {
            "category": category,
            "functions": functions,
            "gold": answer["ground_truth"],
            "gold_calls": _gold_calls(category, answer["ground_truth"], functions),
            "questions": row["question"],
        }
        yield Task(
            id=f"bfcl/{row['id']}",
            env="envs.bfcl:environment",
            prompt=tuple(Message(m["role"], m["content"]) for m in row["question"][0]),
            answer="",  # the calls are the answer
            labels={"scene": "bfcl", "task": category},
            metadata=metadata,
        )


def _read_docs(folder: Path) -> Mapping[str, list[Json]]:
    return {name: _lines(folder / f"{file}.json") for name, file in DOCS.items()}


def _documented(docs: Mapping[str, list[Json]], row: Json) -> list[Json]:
    """The functions of a multi-turn task's classes, less those taken from it."""
    excluded = row.get("excluded_function", ())
    functions = [function for name in row["involved_classes"] for function in docs[name]]
    return [function for function in functions if function["name"] not in excluded]


def _lines(path: Path) -> list[Json]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}; bfcl needs the published files") from error
