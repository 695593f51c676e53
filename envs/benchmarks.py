"""The published question sets: how a row of TAT-QA, FinQA, ConvFinQA or GSM8K becomes a task.

Every prompt is one user message: table, text, question, and a sentence that asks for `\\boxed{}`.
A document is what the split must not tear apart: a TAT-QA context, the annual report of a FinQA or
ConvFinQA page (both sets draw on the same reports), a GSM8K question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from envs.rows import Draft, Row, RowError, fields_of, gold_text, list_of, text_of, value_of
from envs.types import Message, Task

ASK = "Put the final answer in \\boxed{}."
ASK_LIST = "Put the final answer in \\boxed{}; separate several answers with semicolons."

TATQA_ANSWER_TYPES = ("arithmetic", "count", "span", "multi-span")
TATQA_SCALES = ("", "thousand", "million", "billion", "percent")

_ASKS_PERCENT = re.compile(
    r"percent|%|\bportion\b|\bproportion\b|\brate of\b|growth rate|\broi\b|\bmargin\b|\breturn on\b"
    r"|in relation to|\bratio\b",
    re.IGNORECASE,
)
_OPERATOR = re.compile(r"(?<=[\w)\]%])\s*[-+*/>]\s*(?=[\w(\[$.])")
_FINQA = re.compile(
    r"###\s*Table\s*(?P<table>.*?)###\s*Text\s*(?P<text>.*?)"
    r"###\s*Question\s*(?P<question>.*?)###\s*Response\s*",
    re.DOTALL,
)
_FINQA_GOLD = re.compile(r"The answer is:\s*(.+)")
_BLANK_SENTENCE = re.compile(r"[0-9]+\s*\.?")
_GSM8K_CALCULATOR = re.compile(r"<<[^<>]*>>")


def tatqa_rows(rows: Iterator[Row]) -> Iterator[Row]:
    """One row per question, numbered through the file, each with its context."""
    number = 0
    for row in rows:
        context = row.content if isinstance(row.content, dict) else {}
        questions = context.get("questions")
        for question in questions if isinstance(questions, list) and questions else [None]:
            number += 1
            yield Row(number, {"context": row.content, "question": question})


def tatqa_draft(row: Row) -> Draft:
    """A TAT-QA question. Labels: answer type, and the number of operations as the level."""
    context = fields_of(row.content["context"])
    if row.content["question"] is None:
        raise RowError("questions", "is missing or empty")
    question = fields_of(row.content["question"])
    text, kind = text_of(question, "question"), text_of(question, "answer_type")
    if kind not in TATQA_ANSWER_TYPES:
        raise RowError("answer_type", f"is none of {', '.join(TATQA_ANSWER_TYPES)}", kind)
    scale = question.get("scale")
    if scale not in TATQA_SCALES:
        raise RowError("scale", f"is none of {', '.join(map(repr, TATQA_SCALES))}", repr(scale))
    answers = _tatqa_answers(question)
    table = fields_of(value_of(context, "table"))
    paragraphs = [text_of(fields_of(p), "text") for p in list_of(context, "paragraphs")]
    derivation = question.get("derivation") or ""
    stated = [_with_scale(answer, scale) for answer in answers]
    working = f"{derivation.strip()} = {stated[0]}" if derivation and kind == "arithmetic" else ""
    metadata: dict[str, Any] = {"scale": scale, "answer_type": kind}
    metadata |= percent_question(text) | ({"derivation": derivation} if derivation else {})
    if len(answers) > 1:
        metadata["answers"] = answers
    task = Task(
        id=f"tatqa/{text_of(question, 'uid')}",
        env="tatqa",
        prompt=_prompt(_table(list_of(table, "table")), "\n".join(paragraphs), text, ASK_LIST),
        answer="; ".join(answers),
        labels=_labels("tatqa", kind, len(_OPERATOR.findall(derivation)) if working else 0),
        metadata=metadata,
    )
    return Draft(task, text_of(table, "uid"), working, _boxed("; ".join(stated)))


def finqa_draft(row: Row) -> Draft:
    """A question of the FinQA file whose `user_prompt` holds instruction, table, text and question.

    The instruction and the empty numbered sentences are dropped. The gold in `resp` is the executed
    program's value, True and False meaning yes and no.
    """
    fields = fields_of(row.content)
    sections = _FINQA.search(text_of(fields, "user_prompt") + "\n")
    if sections is None:
        raise RowError("user_prompt", "lacks one of the sections Table, Text, Question, Response")
    match = _FINQA_GOLD.fullmatch(text_of(fields, "resp"))
    if match is None:
        raise RowError("resp", 'does not begin with "The answer is:"')
    gold = {"True": "yes", "False": "no"}.get(match[1], match[1])
    question = " ".join(sections["question"].replace("\\n", " ").split())
    if not question:
        raise RowError("user_prompt", "has an empty Question section")
    sentences = [line for line in sections["text"].splitlines() if line.strip()]
    text = "\n".join(s for s in sentences if not _BLANK_SENTENCE.fullmatch(s.strip()))
    kind = "yes_no" if gold in ("yes", "no") else "arithmetic"
    table = sections["table"].strip()
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()]
    name = text_of(fields, "id")
    task = Task(
        id=f"finqa/{name}",
        env="finqa",
        prompt=_prompt(table, text, question, ASK),
        answer=gold,
        labels=_labels("finqa", kind, None),
        metadata=_number_metadata(kind) | percent_question(question) | {"table": cells},
    )
    return Draft(task, report_of(name), "", _boxed(gold))


def convfinqa_draft(row: Row) -> Draft:
    """A dialogue of ConvFinQA: its earlier questions stand in the prompt, the last one is asked."""
    fields = fields_of(row.content)
    questions = [text_of({"questions": q}, "questions") for q in list_of(fields, "questions")]
    programs = [text_of({"programs": p}, "programs") for p in list_of(fields, "programs")]
    if not questions or len(programs) != len(questions):
        raise RowError("programs", "are not as many as the questions")
    gold = gold_text(value_of(fields, "answer"), "answer")
    kind = "yes_no" if gold in ("yes", "no") else "arithmetic"
    *earlier, question = questions
    asked = question
    if earlier:
        numbered = "\n".join(f"{number}. {text}" for number, text in enumerate(earlier, start=1))
        asked = f"{question}\nIt follows these questions:\n{numbered}"
    name = text_of(fields, "id")
    task = Task(
        id=f"convfinqa/{name}",
        env="convfinqa",
        prompt=_prompt(text_of(fields, "table"), text_of(fields, "text"), asked, ASK),
        answer=gold,
        labels=_labels("convfinqa", kind, programs[-1].count(";") + 1),
        metadata=_number_metadata(kind) | percent_question(question) | {"programs": programs},
    )
    return Draft(task, report_of(name), "", _boxed(gold))


def gsm8k_draft(row: Row, stem: str) -> Draft:
    """A GSM8K problem: the gold follows "####" and is exact; the text before it is the working."""
    fields = fields_of(row.content)
    question = text_of(fields, "question")
    solution, marker, gold = text_of(fields, "answer").rpartition("####")
    gold = gold.strip().replace(",", "")
    if not marker or not gold:
        raise RowError("answer", 'has no "####" with the final answer after it')
    steps = len(_GSM8K_CALCULATOR.findall(solution))
    task = Task(
        id=f"gsm8k/{stem}/{row.number}",
        env="gsm8k",
        prompt=(Message("user", f"{question}\n{ASK}"),),
        answer=gold,
        labels=_labels("gsm8k", "arithmetic", steps),
        metadata={"answer_type": "arithmetic", "tolerance": 0.0},
    )
    working = _GSM8K_CALCULATOR.sub("", solution).strip()
    return Draft(task, question, working, _boxed(gold))


def report_of(name: str) -> str:
    """The annual report of a page: "Single_V/2008/page_17.pdf-1" -> "V/2008"."""
    page = name.removeprefix("Single_").removeprefix("Double_")
    return page.rpartition("/")[0] or page


def percent_question(question: str) -> dict[str, bool]:
    """Metadata that says so where a question asks for a share, a rate or a ratio; else nothing."""
    return {"percent_question": True} if _ASKS_PERCENT.search(question) else {}


def _tatqa_answers(question: Mapping[str, Any]) -> list[str]:
    """The gold as texts. Empty items of a list (the published file has one) are dropped."""
    value = value_of(question, "answer")
    values = value if isinstance(value, list) else [value]
    golds = [gold_text(v, "answer") for v in values if not isinstance(v, str) or v.strip()]
    if not golds:
        raise RowError("answer", "is empty")
    return golds


def _with_scale(answer: str, scale: str) -> str:
    """An answer with its unit: "-12.6 million", "26.8%"."""
    if scale == "percent":
        return answer if "%" in answer else f"{answer}%"
    return answer if scale in answer else f"{answer} {scale}"


def _number_metadata(kind: str) -> dict[str, str]:
    return {"answer_type": kind} if kind == "arithmetic" else {}


def _labels(source: str, task: str, level: int | None) -> dict[str, str]:
    return {"source": source, "task": task, "level": "unrated" if level is None else str(level)}


def _prompt(table: str, text: str, question: str, ask: str) -> tuple[Message, ...]:
    parts = (f"Table:\n{table}", text and f"Text:\n{text}", f"Question: {question}\n{ask}")
    return (Message("user", "\n\n".join(part for part in parts if part)),)


def _table(cells: list[Any]) -> str:
    """One line per row, cells between bars."""
    if not all(isinstance(line, list) for line in cells):
        raise RowError("table", "is not a list of lists")
    return "\n".join(" | ".join(_cell(cell) for cell in line) for line in cells)


def _cell(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else gold_text(value, "table")


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"
