"""Who may import whom, and how large things may grow: what docs/design.md promises."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from configs.reference import num_keys

ROOT = Path(__file__).parents[2]

MAY_IMPORT = {
    "configs": set(),
    "envs": {"configs"},
    "rollout": {"configs", "envs"},
    "rewards": {"configs", "envs", "rollout"},
    "rl": {"configs", "envs", "rollout"},
    "launch": {"configs", "envs", "rollout", "rewards", "rl"},
}
"""Our own packages, beside itself."""

VLLM_FILES = ("rollout/engine.py", "rollout/weight_receiver.py")

HOMES = {
    "ray": ("launch/",),
    "vllm": VLLM_FILES,
    "deepspeed": ("rl/learner.py", "rl/checkpoint.py"),
    "torch": ("rl/", *VLLM_FILES),
    "transformers": ("rollout/renderer.py", "rl/model.py"),
    "flash_attn": ("rl/attention.py",),
    "huggingface_hub": ("rl/model.py",),
    "tokenizers": ("rl/tokenizer.py", "rollout/renderer.py"),
    "datasets": ("envs/",),
    "mcp": ("envs/mcp_server.py",),
    "websockets": ("envs/openenv_server.py",),
    "httpx": ("envs/openenv_server.py",),
    "wandb": ("rl/sinks.py",),
    "tensorboard": ("rl/sinks.py",),
    "matplotlib": ("launch/plots.py", "launch/curriculum_plots.py"),
    "omegaconf": ("configs/load.py",),
    "yaml": ("configs/load.py", "rewards/addressing.py", "rewards/rubric.py"),
    "pebble": ("rewards/latex.py", "rewards/processes.py"),
    "math_verify": ("rewards/latex.py",),
    "rapidfuzz": ("configs/registry.py",),
    "jsonschema": ("envs/tool_schema.py",),
    "referencing": ("envs/tool_schema.py",),
    "bm25s": ("envs/simulated/library.py",),
    "simpleeval": ("envs/simulated/expressions.py",),
    "openai": ("rewards/judge_server.py",),
    "httpx2": ("rewards/judge_server.py", "envs/mcp_server.py"),
    "tenacity": ("rewards/judge.py",),
    "aiolimiter": ("rewards/judge.py",),
    "diskcache": ("rewards/judge.py",),
}
"""The only files, or folders, in which a third-party package is imported."""

FREE = {"numpy", "rich", "typer", "safetensors", "pyarrow", "psutil"}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 80
MAX_KEYS = 120


def product_files() -> list[Path]:
    return [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


@lru_cache(maxsize=1)
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Top-level name and line of every import in a file, those within functions included."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield str(node.module).partition(".")[0], node.lineno


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.fixture(scope="module", params=product_files(), ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    """A file of ours; by its scope all tests of one come before those of the next."""
    file: Path = request.param
    return file


def test_imports_follow_the_tables(path: Path) -> None:
    name = name_of(path)
    package = name.partition("/")[0]
    allowed = MAY_IMPORT[package] | {package} | FREE | set(sys.stdlib_module_names)
    wrong = [
        f"{name}:{line} imports {module}"
        for module, line in imports(path)
        if module not in allowed and not name.startswith(HOMES.get(module, ("nowhere",)))
    ]
    assert not wrong


def test_files_and_functions_stay_small(path: Path) -> None:
    num_lines = len(path.read_text(encoding="utf-8").splitlines())
    assert num_lines <= MAX_FILE_LINES, f"{name_of(path)} has {num_lines} lines"
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{node.name} has {length} lines"


def test_the_configuration_stays_small() -> None:
    assert 0 < num_keys() <= MAX_KEYS


def test_what_a_configuration_names_is_imported_in_one_place(path: Path) -> None:
    if name_of(path) == "configs/registry.py":
        return
    called = [node.func for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)]
    plain = {function.id for function in called if isinstance(function, ast.Name)}
    dotted = {function.attr for function in called if isinstance(function, ast.Attribute)}
    assert not {"import_module", "__import__"} & (plain | dotted)
    assert not {"eval", "exec"} & plain  # `model.eval()` is something else


def test_setup_lists_every_package() -> None:
    found = {
        init.parent.relative_to(ROOT).as_posix().replace("/", ".")
        for package in (*MAY_IMPORT, "benchmarks")
        for init in (ROOT / package).rglob("__init__.py")
    }
    [listed] = [
        node.value
        for node in parsed(ROOT / "setup.py").body
        if isinstance(node, ast.Assign) and node.targets[0].id == "PACKAGES"  # type: ignore[attr-defined]
    ]
    assert set(ast.literal_eval(listed)) == found
