import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from configs import faultpoints
from configs.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    faultpoints.arm("")


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("ckpt.before_tmp", "POINT=ACTION"),
        ("ckpt.before_tmp=explode", "POINT=ACTION"),
        ("ckpt.before_tmp=kill@0", "POINT=ACTION"),
        ("ckpt.nowhere=kill", "no fault point"),
    ],
)
def test_a_fault_that_would_never_strike_is_refused(spec: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        faultpoints.arm(spec)


def test_a_fault_strikes_at_its_hit_and_only_there() -> None:
    faultpoints.arm("ckpt.before_tmp=raise@2")
    faultpoints.point("ckpt.before_tmp")
    faultpoints.point("ckpt.before_latest")
    with pytest.raises(faultpoints.InjectedFault):
        faultpoints.point("ckpt.before_tmp")
    faultpoints.point("ckpt.before_tmp")


def test_out_of_memory_looks_like_that_of_torch() -> None:
    with pytest.raises(RuntimeError) as real:
        torch.empty(2**60)
    faultpoints.arm("learner.forward=oom")
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        faultpoints.point("learner.forward")
    assert "can't allocate memory" in str(real.value)


def test_the_table_of_fault_points_and_the_code_name_the_same_places() -> None:
    used = set()
    for folder in ["envs", "rollout", "rewards", "rl", "launch"]:
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "point":
                    used.add(ast.literal_eval(node.args[0]))
    assert used == set(faultpoints.POINTS)
