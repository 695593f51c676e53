"""Loaders: what rows become, how files split, and what a bad row says."""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from configs.errors import ConfigError, DataError
from envs.check import check_file, detect_source
from envs.datasets import (
    LoadedTasks,
    load_convfinqa,
    load_demonstrations,
    load_finqa,
    load_gsm8k,
    load_rows,
    load_tatqa,
)
from envs.rows import clean_text
from envs.types import Message, Task
from rewards.numeric import NumericVerifier, gold_of, verify

ALL: dict[str, Any] = {"held_out_share": 0.0}

TATQA = [
    {
        "table": {"uid": "table-1", "table": [["", "2019", "2018"], ["Other", "44.1", "56.7"]]},
        "paragraphs": [{"text": "Sales in millions."}],
        "questions": [
            {
                "uid": "q1",
                "question": "What is the change in Other?",
                "answer": -12.6,
                "answer_type": "arithmetic",
                "scale": "million",
                "derivation": "44.1-56.7",
            },
            {
                "uid": "q2",
                "question": "Which years are shown?",
                "answer": ["2019", "2018", ""],
                "answer_type": "multi-span",
                "scale": "",
                "derivation": "",
            },
        ],
    }
]
FINQA_PROMPT = """Below is an instruction that describes a task.

### Instruction
Please output the answer in the format of "The answer is:".

### Table

|year |payments |
|2019 |2457 |

### Text

1 payments are in billions .
2 .
3 .

### Question

what was the percentage\\nof payments ?

### Response"""
CONVFINQA = {
    "id": "Single_V/2008/page_17.pdf-1",
    "questions": ["what was it in 2019?", "and what is the percent change?"],
    "answer": 0.375,
    "text": "some text .",
    "table": "- | 2019\npayments | 8",
    "programs": ["ans = 8", "x0 = 11 - 8; ans = x0 / 8"],
}
GSM8K = {"question": "How many?", "answer": "He has 1,000+2=<<1000+2=1002>>1002.\n#### 1,002"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    def write_file(name: str, *rows: object) -> str:
        path = tmp_path / name
        lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return str(path)

    return write_file


def tasks_of(tasks: LoadedTasks) -> list[Task]:
    return [tasks[index] for index in range(len(tasks))]


def test_tatqa(write: Callable[..., str]) -> None:
    change, years = tasks_of(load_tatqa(write("t.json", TATQA), **ALL))
    assert change.prompt == (
        Message(
            "user",
            "Table:\n | 2019 | 2018\nOther | 44.1 | 56.7\n\nText:\nSales in millions.\n\n"
            "Question: What is the change in Other?\n"
            "Put the final answer in \\boxed{}; separate several answers with semicolons.",
        ),
    )
    assert (change.id, change.env, change.answer) == ("tatqa/q1", "tatqa", "-12.6")
    assert change.labels == {"source": "tatqa", "task": "arithmetic", "level": "1"}
    assert change.metadata == {
        "scale": "million",
        "answer_type": "arithmetic",
        "derivation": "44.1-56.7",
    }
    assert (years.answer, years.metadata["answers"]) == ("2019; 2018", ["2019", "2018"])


def test_tatqa_answer_types(write: Callable[..., str]) -> None:
    path = write("t.json", TATQA)
    tasks = load_tatqa(path, **ALL, answer_types=["multi-span"])
    assert [task.id for task in tasks_of(tasks)] == ["tatqa/q2"]
    with pytest.raises(ConfigError, match="answer_types: unknown spans; valid are arithmetic"):
        load_tatqa(path, answer_types=["spans"])


def test_finqa_drops_boilerplate_and_blank_sentences(write: Callable[..., str]) -> None:
    rows = [
        {"id": "V/2008/page_17.pdf-1", "user_prompt": FINQA_PROMPT, "resp": "The answer is: 0.5"},
        {"id": "V/2008/page_18.pdf-1", "user_prompt": FINQA_PROMPT, "resp": "The answer is: False"},
    ]
    number, no = tasks_of(load_finqa(write("f.json", rows), **ALL))
    assert number.prompt[0].content == (
        "Table:\n|year |payments |\n|2019 |2457 |\n\nText:\n1 payments are in billions .\n\n"
        "Question: what was the percentage of payments ?\nPut the final answer in \\boxed{}."
    )
    assert number.metadata == {
        "answer_type": "arithmetic",
        "percent_question": True,
        "table": [["year", "payments"], ["2019", "2457"]],
    }
    assert (no.answer, no.labels["task"]) == ("no", "yes_no")


def test_convfinqa_puts_the_dialogue_into_one_prompt(write: Callable[..., str]) -> None:
    (task,) = tasks_of(load_convfinqa(write("c.json", [CONVFINQA]), **ALL))
    assert task.prompt[0].content.endswith(
        "Question: and what is the percent change?\nIt follows these questions:\n"
        "1. what was it in 2019?\nPut the final answer in \\boxed{}."
    )
    assert (task.answer, task.labels["level"]) == ("0.375", "2")
    assert task.metadata["percent_question"] is True


def test_gsm8k_golds_are_exact(write: Callable[..., str]) -> None:
    (task,) = tasks_of(load_gsm8k(write("g.jsonl", GSM8K), **ALL))
    assert (task.id, task.answer) == ("gsm8k/g/1", "1002")
    question = NumericVerifier().question(task.metadata)
    assert verify(task.answer, "1,002", question) == "equal"
    assert verify(task.answer, "1003", question) == "different"


VERL = {
    "data_source": "fin",
    "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 * 7?"}],
    "ability": "math",
    "reward_model": {"style": "rule", "ground_truth": "42"},
    "extra_info": {"split": "train", "index": 0},
}
TRL_PROMPT = {"prompt": [{"role": "user", "content": "6 * 7?"}], "solution": "So \\boxed{42}."}
TRL_MESSAGES = {
    "messages": [
        {"role": "user", "content": "6 * 7?"},
        {"role": "assistant", "content": "<think>six sevens</think>\\boxed{42}"},
    ]
}
PLAIN = {"prompt": "6 * 7?", "answer": 42, "document": "d", "level": 3, "metadata": {"scale": "%"}}


@pytest.mark.parametrize("row", [VERL, TRL_PROMPT, TRL_MESSAGES, PLAIN])
def test_rows_of_other_libraries_load_unchanged(row: object, write: Callable[..., str]) -> None:
    (task,) = tasks_of(load_rows(write("r.jsonl", row), **ALL))
    assert (task.prompt[-1], task.answer) == (Message("user", "6 * 7?"), "42")
    assert (task.id, task.env) == ("rows/r/1", "rows")


def test_labels_and_metadata_of_rows(write: Callable[..., str]) -> None:
    verl, plain = tasks_of(load_rows(write("r.jsonl", VERL, PLAIN), **ALL))
    assert verl.labels == {"source": "fin", "task": "math", "level": "unrated"}
    assert verl.prompt[0] == Message("system", "Be brief.")
    assert plain.labels == {"source": "r", "task": "rows", "level": "3"}
    assert plain.metadata == {"scale": "%"}


def test_parquet_rows_are_the_same_tasks(tmp_path: Path, write: Callable[..., str]) -> None:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([VERL] * 3), tmp_path / "r.parquet")
    parquet = load_rows(str(tmp_path / "r.parquet"), **ALL)
    lines = load_rows(write("r.jsonl", VERL, VERL, VERL), **ALL)
    assert tasks_of(parquet) == tasks_of(lines)
    assert parquet.fingerprint == lines.fingerprint


def test_task_sets_survive_pickling(write: Callable[..., str]) -> None:
    tasks = load_rows(write("r.jsonl", PLAIN), **ALL)
    copy = pickle.loads(pickle.dumps(tasks))
    assert (tasks_of(copy), copy.fingerprint) == (tasks_of(tasks), tasks.fingerprint)
    with pytest.raises(IndexError):
        tasks[1]


def test_text_is_sanitised(write: Callable[..., str]) -> None:
    assert clean_text("a\0b\ud800c€😀") == "ab\ufffdc€😀"
    path = write("r.jsonl", '{"prompt": "6\\u0000 * \\ud800 7?", "answer": "4\\u00002"}')
    (task,) = tasks_of(load_rows(path, **ALL))
    assert (task.prompt[0].content, task.answer) == ("6 * \ufffd 7?", "42")


def test_documents_are_split_and_never_torn_apart(write: Callable[..., str]) -> None:
    rows = [{"prompt": f"Q{i}?", "answer": i, "document": f"d{i // 4}"} for i in range(800)]
    path = write("r.jsonl", *rows)
    train = load_rows(path, held_out_share=0.25)
    held_out = load_rows(path, held_out_share=0.25, split="heldout")
    documents = [{int(task.answer) // 4 for task in tasks_of(part)} for part in (train, held_out)]
    assert not documents[0] & documents[1]
    assert len(documents[0] | documents[1]) == 200
    assert len(train) + len(held_out) == 800
    assert 30 <= len(documents[1]) <= 70
    assert train.fingerprint != held_out.fingerprint
    fewer = load_rows(write("s.jsonl", *rows[400:]), held_out_share=0.25, split="heldout")
    assert {task.answer for task in tasks_of(fewer)} <= {t.answer for t in tasks_of(held_out)}


def test_repeated_prompts_stay_in_one_split(write: Callable[..., str]) -> None:
    path = write("r.jsonl", *[{"prompt": f"Q{i % 50}?", "answer": 1} for i in range(200)])
    parts = [load_rows(path, held_out_share=0.3, split=name) for name in ("train", "heldout")]
    prompts = [{task.prompt for task in tasks_of(part)} for part in parts]
    assert not prompts[0] & prompts[1]
    assert all(prompts)


FIX = "; correct the row, or set skip_bad_rows=true to leave such rows out and count them"


@pytest.mark.parametrize(
    ("load", "rows", "message"),
    [
        (load_rows, ["{oops"], "row 1: is not valid JSON: Expecting property name"),
        (load_rows, [PLAIN, "7"], "row 2: is a number, expected an object"),
        (load_rows, [{"answer": 1}], "row 1, column 'prompt': is missing, and so is 'messages'"),
        (load_rows, [{"prompt": " ", "answer": 1}], "row 1, column 'prompt': is empty"),
        (load_rows, [{"prompt": 3, "answer": 1}], "row 1, column 'prompt': is a number, expected"),
        (load_rows, [{"prompt": [], "answer": 1}], "row 1, column 'prompt': is empty"),
        (load_rows, [{"prompt": "?"}], "row 1, column 'answer': is missing, and so are solution, "),
        (load_rows, [{"prompt": "?", "answer": ""}], "row 1, column 'answer': is empty"),
        (load_rows, ['{"prompt": "?", "answer": NaN}'], "column 'answer': is not a finite number"),
        (load_rows, [{"prompt": "?", "answer": {}}], "'answer': is an object, expected text"),
        (load_rows, [{"prompt": "?", "answer": 1, "id": 7}] * 2, "row 2, column 'id': is not uniq"),
        (
            load_rows,
            [{"prompt": [{"role": "bot", "content": "hi"}], "answer": 1}],
            "column 'prompt': holds a message without a role of system, user, assistant, tool",
        ),
        (
            load_rows,
            [{"messages": [{"role": "user", "content": "hi"}]}],
            "column 'messages': must be a prompt and then the assistant's answer",
        ),
        (load_gsm8k, [{"question": "?", "answer": "12"}], "'answer': has no \"####\" with the fin"),
        (
            load_finqa,
            [{"id": "a", "user_prompt": "hi", "resp": "The answer is: 1"}],
            "row 1, column 'user_prompt': lacks one of the sections Table, Text, Question, Respo",
        ),
        (load_convfinqa, [CONVFINQA | {"programs": []}], "'programs': are not as many as the que"),
        (load_tatqa, [{"table": {}}], "row 1, column 'questions': is missing or empty"),
        (
            load_tatqa,
            [TATQA[0] | {"questions": [{"question": "?", "answer_type": "sum"}]}],
            "column 'answer_type': is none of arithmetic, count, span, multi-span: sum; correct",
        ),
    ],
)
def test_a_bad_row_says_where_and_why(
    load: Callable[..., LoadedTasks], rows: list[object], message: str, write: Callable[..., str]
) -> None:
    path = write("bad.json", *rows)
    with pytest.raises(DataError) as caught:
        load(path, **ALL)
    text = str(caught.value)
    assert text.startswith(f"{path}, row ")
    assert message in text
    assert text.endswith(FIX)
    assert "\n" not in text


def test_bad_rows_are_skipped_and_counted(write: Callable[..., str]) -> None:
    path = write("r.jsonl", PLAIN, "{oops", {"prompt": "?"}, {"prompt": "!"}, PLAIN)
    tasks = load_rows(path, **ALL, skip_bad_rows=True)
    assert [task.id for task in tasks_of(tasks)] == ["rows/r/1", "rows/r/5"]
    assert tasks.skipped == {
        "row: is not valid JSON": 1,
        "answer: is missing, and so are solution, ground_truth, reward_model.ground_truth and an "
        "assistant message": 2,
    }


def test_a_gold_that_the_verifier_rejects_is_a_bad_row(write: Callable[..., str]) -> None:
    path = write("r.jsonl", PLAIN, {"prompt": "?", "answer": "nan"})
    check = NumericVerifier().check_gold
    with pytest.raises(
        DataError, match=r"row 2, column 'answer': is rejected by the verifier: tas"
    ):
        load_rows(path, **ALL, check_gold=check)
    tasks = load_rows(path, **ALL, check_gold=check, skip_bad_rows=True)
    assert tasks.skipped == {"answer: is rejected by the verifier": 1}


def test_long_prompts_are_left_out_and_counted(write: Callable[..., str]) -> None:
    path = write("r.jsonl", PLAIN, PLAIN | {"prompt": "?" * 100})
    tasks = load_rows(path, **ALL, max_prompt_chars=99)
    assert len(tasks) == 1
    assert tasks.skipped == {"prompt: longer than 99 characters": 1}


def test_a_file_that_cannot_be_read(tmp_path: Path, write: Callable[..., str]) -> None:
    with pytest.raises(DataError, match=r"none.jsonl: no such file; correct the path"):
        load_rows(str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match=r"l.json: cannot be read as json: .*; is it complete, and"):
        load_rows(write("l.json", "[1, 2"))
    with pytest.raises(DataError, match=r"p.parquet: cannot be read as parquet"):
        load_rows(write("p.parquet", "no"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xff"}')
    with pytest.raises(DataError, match=r"latin.jsonl: cannot be read as jsonl: .*in UTF-8"):
        load_rows(str(tmp_path / "latin.jsonl"))
    with pytest.raises(
        DataError, match=r"no usable row for split 'heldout' with held_out_share 0;"
    ):
        load_rows(write("r.jsonl", PLAIN), **ALL, split="heldout")


def test_wrong_arguments(write: Callable[..., str]) -> None:
    path = write("r.jsonl", PLAIN)
    with pytest.raises(ConfigError, match="split: 'test' is none of train, heldout"):
        load_rows(path, split="test")
    with pytest.raises(ConfigError, match=r"held_out_share: is 1\.5; it lies from 0 to 1"):
        load_rows(path, held_out_share=1.5)
    with pytest.raises(ConfigError, match="source: 'csv' is none of tatqa, finqa"):
        load_demonstrations(path, source="csv")
    with pytest.raises(ConfigError, match="thinking_share: is 2"):
        load_demonstrations(path, thinking_share=2)


def test_demonstrations_of_rows_follow_their_messages(write: Callable[..., str]) -> None:
    straight = {"prompt": "6 * 7?", "completion": "\\boxed{42}", "answer": 42}
    demos = load_demonstrations(write("r.jsonl", TRL_MESSAGES, straight), **ALL)
    first, second = demos[0], demos[1]
    assert (first.thinking, first.reasoning, first.reply) == (True, "six sevens", "\\boxed{42}")
    assert (second.thinking, second.reasoning, second.reply) == (False, "", "\\boxed{42}")
    assert first.task.prompt == (Message("user", "6 * 7?"),)
    with pytest.raises(DataError, match="'messages': hold no assistant message to learn from"):
        load_demonstrations(write("p.jsonl", PLAIN), **ALL)


def test_demonstrations_with_a_working(write: Callable[..., str]) -> None:
    path = write("g.jsonl", GSM8K)
    thinking = load_demonstrations(path, source="gsm8k", thinking_share=1.0, **ALL)[0]
    assert thinking.reasoning == "He has 1,000+2=1002."
    assert (thinking.thinking, thinking.reply, thinking.strategy) == (
        True,
        "\\boxed{1002}",
        "steps",
    )
    plain = load_demonstrations(path, source="gsm8k", thinking_share=0.0, **ALL)[0]
    assert (plain.thinking, plain.reasoning) == (False, "")
    assert plain.reply == "He has 1,000+2=1002.\n\\boxed{1002}"
    tatqa = load_demonstrations(write("t.json", TATQA), source="tatqa", thinking_share=1.0, **ALL)
    assert (tatqa[0].reasoning, tatqa[0].reply) == (
        "44.1-56.7 = -12.6 million",
        "\\boxed{-12.6 million}",
    )
    assert (tatqa[1].strategy, tatqa[1].reply) == ("straight", "\\boxed{2019; 2018}")


def test_check_file_reports_every_kind_of_bad_row(write: Callable[..., str]) -> None:
    bad = {"prompt": "?", "answer": "nan"}
    path = write("r.jsonl", PLAIN, "{oops", {"prompt": "?"}, {"prompt": "!"}, bad, PLAIN)
    report = check_file(path, check_gold=NumericVerifier().check_gold)
    assert report.lines() == [
        f"{path}: read as 'rows', 2 of 6 rows usable",
        "  documents 1, repeated prompts 1",
        "  prompt characters: 6 to 6, median 6",
        "  level: 3 2",
        "  source: r 2",
        "  task: rows 2",
        "  bad: 1 rows, row: is not valid JSON (first: row 2)",
        "  bad: 2 rows, answer: is missing, and so are solution, ground_truth, "
        "reward_model.ground_truth and an assistant message (first: row 3)",
        "  bad: 1 rows, answer: is rejected by the verifier (first: row 5)",
    ]


def test_check_file_of_nothing(write: Callable[..., str]) -> None:
    with pytest.raises(DataError, match="holds no row"):
        check_file(write("empty.jsonl"))


def test_the_source_is_found_by_content(write: Callable[..., str]) -> None:
    finqa = [{"id": "a", "user_prompt": FINQA_PROMPT, "resp": "The answer is: 1"}]
    files = {"tatqa": TATQA, "finqa": finqa, "convfinqa": [CONVFINQA], "gsm8k": GSM8K, "rows": VERL}
    for source, content in files.items():
        assert detect_source(write(f"{source}.json", content)) == source
    assert detect_source(write("broken.json", "{oops")) == "rows"


REAL = {
    "tatqa/tatqa_dataset_dev.json": (load_tatqa, 1668, 278),
    "finqa_dev/finqa_dataset_dev.json": (load_finqa, 848, 221),
    "convfinqa_dev/convfinqa_dev.json": (load_convfinqa, 421, 173),
    "gsm8k/train.jsonl": (load_gsm8k, 7473, 7473),
    "gsm8k/test.jsonl": (load_gsm8k, 1319, 1319),
}


@pytest.fixture(params=REAL)
def real(request: pytest.FixtureRequest) -> tuple[str, Callable[..., LoadedTasks], int, int]:
    if "ASSAY_DATA" not in os.environ:
        pytest.skip("needs real data: set ASSAY_DATA to its folder")
    return str(Path(os.environ["ASSAY_DATA"]) / request.param), *REAL[request.param]


def test_real_files(real: tuple[str, Callable[..., LoadedTasks], int, int]) -> None:
    path, load, num_rows, num_documents = real
    report = check_file(path, check_gold=NumericVerifier().check_gold)
    assert (report.rows, report.usable, report.documents) == (num_rows, num_rows, num_documents)
    assert report.bad == ()
    train, held_out = load(path), load(path, split="heldout")
    assert len(train) + len(held_out) == num_rows
    assert 0.03 < len(held_out) / num_rows < 0.15
    ids = [task.id for part in (train, held_out) for task in tasks_of(part)]
    assert len(set(ids)) == num_rows


def test_real_demonstrations_are_correct(
    real: tuple[str, Callable[..., LoadedTasks], int, int],
) -> None:
    path = real[0]
    demonstrations = load_demonstrations(path, source=detect_source(path), **ALL)
    question = NumericVerifier().question
    for index in range(len(demonstrations)):
        demo = demonstrations[index]
        verdict = verify(gold_of(demo.task), demo.reply, question(demo.task.metadata))
        assert verdict == "equal", demo
