"""LaTeX is compared in a process of its own, which may hang or die without harm."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from threading import Timer

import psutil
import pytest

from envs.types import Message, Task
from rewards.latex import FAILED, TIMEOUT, LatexChecker
from rewards.numeric import NumericVerifier
from rollout.types import Score, StopReason, Trajectory

TOWER = "10^{10^{10^{10}}}"


@pytest.fixture(scope="module")
def verifier() -> Iterator[NumericVerifier]:
    made = NumericVerifier(latex_deadline_s=1.0)
    yield made
    made.latex.close()


def score(verifier: NumericVerifier, gold: str, reply: str) -> Score:
    task = Task("t/1", "test", (Message("user", "?"),), gold)
    messages = (*task.prompt, Message("assistant", reply))
    return verifier(Trajectory(task, 0, (), messages, StopReason.STOP))


@pytest.mark.parametrize(
    ("gold", "reply", "reward"),
    [
        (r"\sqrt{8}", r"\boxed{2\sqrt{2}}", 1.0),
        (r"\sqrt{8}", r"\boxed{2}", 0.0),
        (r"\frac{x}{2}", r"\boxed{0.5x}", 1.0),
        (r"\frac{x}{2}", r"\boxed{\frac{x}{3}}", 0.0),
        ("x^{2}+2x+1", r"The answer is $(x+1)^2$", 1.0),
        (r"\sqrt{8}", r"\boxed{__import__('os').system('false')}", 0.0),
        (r"\sqrt{8}", r"\boxed{}", 0.0),
        (r"\sqrt{8}", r"\boxed{x=\frac{8}{\sqrt{8}}=2\sqrt{2}}", 1.0),
        (r"\sqrt{8}", r"\boxed{\sqrt{3}=\sqrt{8}}", 0.0),  # every side counts
        ("x^2+1", r"\boxed{1+x^2}", 1.0),
        ("x^2+1", r"\boxed{x^2+2=x^2+1}", 0.0),
    ],
)
def test_expressions(verifier: NumericVerifier, gold: str, reply: str, reward: float) -> None:
    assert score(verifier, gold, reply).reward == reward


def test_a_gold_that_cannot_be_read_gives_no_verdict(verifier: NumericVerifier) -> None:
    assert score(verifier, r"\relax{", "2").reason == FAILED


def test_what_hangs_is_killed_and_the_next_is_scored(verifier: NumericVerifier) -> None:
    began = time.monotonic()
    hung = score(verifier, r"\sqrt{8}", rf"\boxed{{{TOWER}}}")
    assert (hung.reward, hung.reason) == (None, TIMEOUT)
    assert score(verifier, r"\sqrt{8}", r"\boxed{2\sqrt{2}}").reward == 1.0
    assert time.monotonic() - began < 30
    assert score(verifier, "7", r"\boxed{7}").reward == 1.0


def test_a_helper_that_dies_gives_no_verdict_and_is_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    checker = LatexChecker(deadline_s=20)
    others = {child.pid for child in psutil.Process().children()}
    assert checker(r"\sqrt{8}", r"2\sqrt{2}") == "equal"
    mine = [c for c in psutil.Process().children() if c.pid not in others]
    helper = next(child for child in mine if "spawn_main" in " ".join(child.cmdline()))
    Timer(0.5, helper.kill).start()
    with caplog.at_level(logging.ERROR):
        assert checker(r"\sqrt{8}", TOWER) == FAILED
    assert checker(r"\sqrt{8}", r"2\sqrt{2}") == "equal"
    checker.close()
    assert not helper.is_running()


def test_a_gold_is_checked_without_the_helper() -> None:
    verifier = NumericVerifier()
    verifier.check_gold(Task("t/1", "test", (), r"\frac{x}{2}"))
    with pytest.raises(ValueError, match="latex_deadline_s must be over 0"):
        NumericVerifier(latex_deadline_s=0)
