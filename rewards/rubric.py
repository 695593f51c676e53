"""Rubrics: what a judge is asked, and the only form in which it may answer.

A rubric is a YAML file with a version. Its criteria become a JSON schema whose values are words
from a list, so a verdict is one of a few and never a number that a judge made up.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

import yaml

from configs.errors import ConfigError
from envs.types import Message
from rewards.texts import READ_CHARS, clean, shortened

FOLDER = Path(__file__).parent / "rubrics"
MAX_REPLY_CHARS = 20_000
"""Of a judge; a longer one is not read."""
PLACEHOLDERS = ("nonce", "criteria", "question", "source", "reference", "candidate", "other")
PREFERENCES = {"A": 1.0, "B": 0.0, "tie": 0.5}
PREFERENCE = "preferred"
REASON = "reason"

_PLACEHOLDER = re.compile("{(" + "|".join(PLACEHOLDERS) + ")}")


class BadVerdict(ValueError):
    """A judge's reply that is not in the form it was asked for."""


@dataclass(frozen=True, slots=True)
class Rubric:
    """`criteria[name]` maps each level a judge may choose to its value from 0 to 1.

    `system` and `user` are templates over PLACEHOLDERS. `pairwise`: the judge compares `candidate`
    with `other`; its one criterion is PREFERENCE. `reason_chars` over 0: the judge first gives a
    reason of at most so many characters. `max_chars` bounds each text put before the judge, and is
    at most half of READ_CHARS.
    """

    name: str
    version: int
    system: str
    user: str
    criteria: Mapping[str, Mapping[str, float]]
    questions: Mapping[str, str]
    pairwise: bool = False
    reason_chars: int = 0
    max_chars: int = 6000

    @property
    def digest(self) -> str:
        """Changes with anything that may change a verdict."""
        told = [self.system, self.user, self.criteria, self.questions, self.schema, self.max_chars]
        return sha256(
            json.dumps([self.name, self.version, told], sort_keys=True).encode()
        ).hexdigest()

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a verdict: exactly these keys, each one of its levels."""
        properties: dict[str, Any] = {}
        if self.reason_chars:
            properties[REASON] = {"type": "string", "maxLength": self.reason_chars}
        properties |= {name: {"enum": list(levels)} for name, levels in self.criteria.items()}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    def prompt(self, texts: Mapping[str, str], nonce: str = "") -> list[Message]:
        """The messages for a judge. `texts` fill the templates, each exactly once, cleaned and
        shortened; what looks like a placeholder within them stays as it is.

        The nonce marks where untrusted text begins and ends, and is new in every call, so a
        candidate cannot close its own block.
        """
        nonce = nonce or new_nonce()
        filled = {
            name: shortened(clean(text), self.max_chars).replace(nonce, "")
            for name, text in texts.items()
        }
        filled |= {"nonce": nonce, "criteria": self._listed()}

        def fill(template: str) -> str:
            return _PLACEHOLDER.sub(lambda match: filled.get(match[1], ""), template).strip()

        messages = [Message("system", fill(self.system))] if self.system.strip() else []
        return [*messages, Message("user", fill(self.user))]

    def read(self, reply: str) -> dict[str, float]:
        """The value of each criterion in a judge's reply, all of which must be one JSON object of
        the schema.

        Raises:
            BadVerdict: it is anything else: prose around it, a number, another key, a repeated one.
        """
        if len(reply) > MAX_REPLY_CHARS:
            raise BadVerdict(f"{len(reply)} characters")
        try:
            verdict = json.loads(reply, parse_constant=_no_constant, object_pairs_hook=_unique)
        except (ValueError, RecursionError) as error:
            raise BadVerdict(f"not JSON: {error}") from None
        if not isinstance(verdict, dict) or set(verdict) != set(self.schema["required"]):
            raise BadVerdict("not an object of exactly the rubric's keys")
        if not all(isinstance(value, str) for value in verdict.values()):
            raise BadVerdict("a value is no word")
        if len(verdict.get(REASON, "")) > self.reason_chars:
            raise BadVerdict("the reason is too long")
        for name, levels in self.criteria.items():
            if verdict[name] not in levels:
                raise BadVerdict(f"{verdict[name]!r:.40} is no level of {name}")
        return {name: levels[verdict[name]] for name, levels in self.criteria.items()}

    def _listed(self) -> str:
        return "\n".join(
            f"- {name}: {self.questions[name]} ({', '.join(levels)})"
            for name, levels in self.criteria.items()
        )


def new_nonce() -> str:
    """Ten digits: what any tokenizer has, also one that was trained for a tiny judge."""
    return str(10**9 + secrets.randbelow(9 * 10**9))


def load_rubric(name: str, where: str = "rubric") -> Rubric:
    """A rubric that is shipped, by its name, or the one of a YAML file.

    Raises:
        ConfigError: there is none, or it is malformed; the message names `where`.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
        raise ConfigError(f"{where}: no rubric '{name}'; there are {known}, or give a .yaml file")
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _checked(path.stem, given)
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{where}: {path} is no rubric: {type(error).__name__} {error}"
        ) from error


def _checked(name: str, given: Mapping[str, Any]) -> Rubric:
    pairwise = bool(given.get("pairwise", False))
    if pairwise:
        criteria = {PREFERENCE: dict(PREFERENCES)}
        questions = {PREFERENCE: str(given["question"])}
    else:
        criteria = {
            str(key): {_word(level): float(value) for level, value in entry["levels"].items()}
            for key, entry in given["criteria"].items()
        }
        questions = {str(key): str(entry["question"]) for key, entry in given["criteria"].items()}
    rubric = Rubric(
        name=name,
        version=int(given["version"]),
        system=str(given.get("system", "")),
        user=str(given["user"]),
        criteria=criteria,
        questions=questions,
        pairwise=pairwise,
        reason_chars=int(given.get("reason_chars", 0)),
        max_chars=int(given.get("max_chars", 6000)),
    )
    if REASON in criteria:
        raise ValueError(f"a criterion cannot be called {REASON}")
    values = [value for levels in criteria.values() for value in levels.values()]
    if not values or not all(0 <= value <= 1 for value in values):
        raise ValueError("every level needs a value from 0 to 1")
    if not 0 < rubric.max_chars <= READ_CHARS // 2:
        raise ValueError(
            f"max_chars must be from 1 to {READ_CHARS // 2:,}: the gate reads twice that"
        )
    templates = rubric.system + rubric.user
    if templates.count("{candidate}") != 1 or templates.count("{nonce}") < 2:
        raise ValueError("its templates need {candidate} once and {nonce} before and after it")
    if pairwise != (templates.count("{other}") == 1):
        raise ValueError("{other} stands once in the templates of pairwise rubrics, and only there")
    return rubric


def _word(level: object) -> str:
    if not isinstance(level, str):
        raise ValueError(f"the level {level} is no word; quote it (YAML reads yes, no and numbers)")
    return level


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key comes twice")
    return dict(pairs)
