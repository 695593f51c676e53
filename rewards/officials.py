"""The published scorers of question sets, as verifiers: for results that compare with others'.

They are kinder or stricter than the default policy, each in its own way (docs/answers.md), so they
are for evaluation rather than for training. Their reward is 1 or 0 as the set's own script says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from configs.errors import DataError
from envs.types import Task
from rewards import finqa, tatqa
from rewards.choices import read_choices
from rewards.extract import SHORT_REPLY_CHARS, extract_answer
from rollout.types import Score, StopReason, Trajectory

Scorer = Callable[[Task, str], Mapping[str, float]]
"""From a task and a reply to terms, of which the first is the reward."""

_GSM8K = re.compile(r"#### (-?[0-9.,]+)")
_FINREASON_PREFIX = re.compile(
    r"(?:answer:|the answer is:?|final answer:|a:|result:)", re.IGNORECASE
)
_CURRENCY = re.compile(r"[$€£¥₹]|^(?:rm|sgd|hkd|aud|inr|cny|jpy|gbp|eur|chf|cad)\s*", re.IGNORECASE)
_SUFFIX = re.compile(
    r"([+-]?[0-9.]{1,40})\s*([kmbt]|thousands?|millions?|billions?|trillions?)",
    re.IGNORECASE | re.ASCII,
)
_SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12, "th": 1e3, "mi": 1e6, "bi": 1e9, "tr": 1e12}
_NUMBER = re.compile(r"[+-]?[0-9]{1,300}(?:\.[0-9]{0,300})?")
_DROPPED_WORDS = re.compile(r"million|billion|thousand|usd?|rmb|approximately|[£€¥$%`°]")
_PYTHON_TUPLE = re.compile(
    r"[(]?([-+]?[0-9]+(?:\.[0-9]+)?)(?:,\s*(?:0+|[1-9][0-9]*|[0-9]+\.[0-9]+))+[)]?"
)
_ONE_NUMBER = re.compile(
    r"(?:[^0-9 ]+ |[^-+0-9]{1,2})?([-+]?[0-9][0-9,]{0,40}(?:\.[0-9]{1,40})?(?:e-?[0-9]{1,3})?)"
    r"(?: [^0-9 ]+|[^0-9]{1,2})?"
)


@dataclass(frozen=True, slots=True)
class OfficialVerifier:
    """Scores a reply as a published script does. `gold` raises DataError for an unusable gold."""

    scorer: Scorer
    gold: Callable[[Task], object]

    def __call__(self, trajectory: Trajectory) -> Score:
        if trajectory.stop_reason is StopReason.ERROR:
            return Score(None, reason="error")
        terms = self.scorer(trajectory.task, trajectory.reply)
        reward = next(iter(terms.values()))
        return Score(reward, terms, "equal" if reward == 1.0 else "different")

    def check_gold(self, task: Task) -> None:
        """Raise DataError, naming the task, when its gold is nothing that this scorer can meet."""
        try:
            self.gold(task)
        except ValueError as error:
            raise DataError(f"task {task.id}: the gold {task.answer[:80]!r} {error}") from None


def official_finqa() -> OfficialVerifier:
    """FinQA, ConvFinQA: the reply's answer is a program, run on `metadata["table"]`."""
    return OfficialVerifier(score_finqa, _finqa_gold)


def official_tatqa() -> OfficialVerifier:
    """TAT-QA: exact match as the reward, F1 as a second term."""
    return OfficialVerifier(score_tatqa, _some_gold)


def official_gsm8k() -> OfficialVerifier:
    """GSM8K: the first "#### NUMBER" of a reply, equal as text to the gold or to that of it."""
    return OfficialVerifier(score_gsm8k, _some_gold)


def official_choice() -> OfficialVerifier:
    """Choice sets (FinEval, Fineva, Finova): exactly the gold's letters."""
    return OfficialVerifier(score_choice, _choice_gold)


def score_finqa(task: Task, reply: str) -> Mapping[str, float]:
    result = finqa.execute(extract_answer(reply).text, task.metadata.get("table", ()))
    return {"execution": float(finqa.agrees(task.answer, result))}


def score_tatqa(task: Task, reply: str) -> Mapping[str, float]:
    metadata = task.metadata
    golds, gold_scale = metadata.get("answers", [task.answer]), metadata.get("scale")
    if gold_scale is None:  # "123.2 million" in one text
        golds, gold_scale = tatqa.split_scale(golds)
    answer = extract_answer(reply).text
    several = ";" in answer and len(golds) > 1
    answers, scale = tatqa.split_scale(answer.split(";") if several else [answer])
    kind = metadata.get("answer_type", "")
    exact, f1 = tatqa.em_and_f1(golds, gold_scale, answers if answer else [], scale, kind)
    return {"exact_match": exact, "f1": f1}


def score_gsm8k(task: Task, reply: str) -> Mapping[str, float]:
    match = _GSM8K.search(reply)
    stated = match[1].replace(",", "") if match else None
    gold = found[1] if (found := _GSM8K.search(task.answer)) else task.answer
    return {"answer": float(stated == gold.replace(",", ""))}


def score_choice(task: Task, reply: str) -> Mapping[str, float]:
    chosen = read_choices(extract_answer(reply).text)
    return {"answer": float(bool(chosen) and chosen == read_choices(task.answer))}


def score_financereasoning(task: Task, reply: str) -> Mapping[str, float]:
    """FinanceReasoning: within 0.2 %; scale words and "%" are dropped without being applied.

    The published code evaluates the reply as Python; here it is read as one number or not at all.
    """
    wanted, stated = _financereasoning(task.answer), _financereasoning(extract_answer(reply).text)
    if isinstance(wanted, bool) or isinstance(stated, bool) or wanted is None or stated is None:
        return {"answer": float(stated is not None and wanted is stated)}
    return {"answer": float(abs(stated - wanted) <= 0.002 * abs(wanted))}


def score_finreason(task: Task, reply: str) -> Mapping[str, float]:
    """FinReason: the first number of the first line, within 1 %; "%" is dropped, not applied."""
    text = reply.rpartition("</think>")[2].strip()
    if prefix := _FINREASON_PREFIX.match(text):
        text = text[prefix.end() :].strip()
    line = text.partition("\n")[0].strip().rstrip(".")[: SHORT_REPLY_CHARS * 10]
    wanted, stated = _finreason(task.answer), _finreason(line)
    if wanted is None or stated is None:
        return {"answer": float(_plain_text(line) == _plain_text(task.answer) != "")}
    close = abs(stated) < 1e-3 if wanted == 0 else abs(stated - wanted) <= 0.01 * abs(wanted)
    return {"answer": float(close)}


SCORERS: Mapping[str, Scorer] = {
    "finqa": score_finqa,
    "tatqa": score_tatqa,
    "gsm8k": score_gsm8k,
    "choice": score_choice,
    "financereasoning": score_financereasoning,
    "finreason": score_finreason,
}
"""By the name that a case's tier "official:NAME" has."""


def _financereasoning(text: str) -> float | bool | None:
    text = text[:SHORT_REPLY_CHARS].strip().lower().rstrip(".")
    if parts := _PYTHON_TUPLE.fullmatch(text):  # there, "20,916.67" is the tuple (20, 916.67)
        return float(parts[1])
    text = re.split("[=≈]", _DROPPED_WORDS.sub("", text))[-1].partition(" or ")[0].strip()
    if text in ("true", "yes", "false", "no"):
        return text in ("true", "yes")
    match = _ONE_NUMBER.fullmatch(text)
    return float(match[1].replace(",", "")) if match else None


def _finreason(text: str) -> float | None:
    text = _CURRENCY.sub("", text.strip()).strip().replace(",", "")
    if text.startswith("(") and text.endswith(")"):
        text = f"-{text[1:-1].strip()}"
    if suffix := _SUFFIX.fullmatch(text):
        word = suffix[2].lower()
        try:
            return float(suffix[1]) * _SUFFIXES[word[:2] if len(word) > 1 else word]
        except ValueError:
            return None
    match = _NUMBER.search(text)
    return float(match[0]) if match else None


def _plain_text(text: str) -> str:
    return " ".join(text.lower().replace(",", "").split()).rstrip(".")


def _some_gold(task: Task) -> None:
    if not task.answer.strip():
        raise ValueError("is empty")


def _finqa_gold(task: Task) -> None:
    if task.answer not in ("yes", "no"):
        try:
            float(task.answer)
        except ValueError:
            raise ValueError("is neither a number nor yes or no, as programs give") from None


def _choice_gold(task: Task) -> None:
    if not read_choices(task.answer):
        raise ValueError("is no option letter")
