"""The pages of the project say what is so: commands exist, links lead somewhere, examples load."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml

from configs.load import load, preset_names
from launch.cli import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "benchmarks" / "README.md",
]
CLI = typer.main.get_command(app)


def commands(page: Path) -> list[list[str]]:
    """Every `assay ...` command line of a page, indented or in a table."""
    text = page.read_text()
    indented = re.findall(r"^ {4}(?:\.venv/bin/)?assay (.+)$", text, re.MULTILINE)
    quoted = re.findall(r"`(?:\.venv/bin/)?assay ([^`]+)`", text)
    return [shlex.split(line) for line in [*indented, *quoted]]


def find(words: list[str]) -> typer.core.TyperCommand:
    """The command that the words begin with."""
    command = CLI
    for word in words:
        if not isinstance(command, typer.core.TyperGroup):
            break
        assert word in command.commands, f"assay has no command {' '.join(words)!r}"
        command = command.commands[word]
    return command


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    for words in commands(page):
        options = {name for parameter in find(words).params for name in parameter.opts}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in options, f"{page.name}: {' '.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def keys() -> Iterator[str]:
    """Every key and section of the page that is made from the schema, as a pattern."""
    section = ""
    for line in (ROOT / "docs" / "configuration.md").read_text().splitlines():
        if heading := re.fullmatch(r"### `(.+)`", line):
            section = heading[1] + "."
            yield heading[1]
        elif row := re.match(r"\| `(\w+)` \| (keyword arguments)?", line):
            yield section + row[1] + (".ARGUMENT" if row[2] else "")
            yield section + row[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_keys_exist(page: Path) -> None:
    known = "|".join(keys()).replace(".", r"\.").replace("NAME", r"\w+").replace("ARGUMENT", ".+")
    sections = {key.partition(".")[0] for key in keys()} - {"envs"}  # a folder, too
    for code in re.findall(r"`([^`\n]+)`", page.read_text()):
        key = re.match(r"(\w+)(?:\.\w+)+(?=[ =:]|$)", code)
        if key and key[1] in sections:
            assert re.fullmatch(known, key[0]), f"{page.name} names the key {key[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_exist(page: Path) -> None:
    text = page.read_text()
    folders = "configs|envs|rollout|rewards|rl|launch|tests|benchmarks|docs|deploy"
    for file in re.findall(rf"[`(]((?:{folders})/[\w/.-]+)[`)]", text):
        assert (ROOT / file).exists(), f"{page.name} names {file}"
    for module in re.findall(r"python -m ((?:benchmarks|configs)(?:[ .][a-z_]+)?)", text):
        path = ROOT / re.sub("[ .]", "/", module)
        assert path.is_dir() or path.with_suffix(".py").exists(), f"{page.name}: -m {module}"


def test_make_targets_exist() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for page in PAGES:
        for name in re.findall(r"(?:`|^ {4})make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert name in targets, f"{page.name} names make {name}"


def test_the_readme_example_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [block] = re.findall(r"```yaml\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (tmp_path / "my_tasks.jsonl").write_text('{"prompt": "2 + 3?", "answer": "5"}\n')
    example = yaml.safe_load(block)
    example["model"]["path"] = str(model)
    (tmp_path / "my_run.yaml").write_text(yaml.safe_dump(example))
    config = load("my_run.yaml", ["learner.gpus=1", "rollout.gpus=1"]).config
    assert config.stages["reasoning"].tasks["mine"].source == "rows"


def test_the_readme_names_every_preset() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in preset_names() if f"`{name}`" not in readme] == []
