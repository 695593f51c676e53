"""Optimizer steps whose gradient was not finite: not taken, logged, and few."""

from __future__ import annotations

from dataclasses import dataclass

from configs.errors import FaultBudgetSpent
from rl.tracking import Tracker
from rl.types import StepResult

MOST_IN_A_ROW = 3


@dataclass(slots=True)
class SkippedSteps:
    """Watches the steps of one stage. One bad batch may pass, since the weights are as they were;
    when it is not the batch, the run must not go on as if it trained."""

    stage: str
    in_a_row: int = 0

    def observe(self, step: int, result: StepResult, tracker: Tracker) -> bool:
        """Whether step number `step` was skipped, at least in part; what it was made of is worth
        keeping then.

        Raises:
            FaultBudgetSpent: it is one of `MOST_IN_A_ROW` without an end.
        """
        if not result.skipped:
            self.in_a_row = 0
            return False
        self.in_a_row += 1
        tracker.log_event(
            "skipped_step", stage=self.stage, step=step, optimizer_steps=result.skipped,
            loss=str(result.loss), grad_norm=str(result.grad_norm), in_a_row=self.in_a_row,
        )  # fmt: skip
        if self.in_a_row == MOST_IN_A_ROW:
            raise FaultBudgetSpent(
                f"stage {self.stage}: the gradients of steps {step - MOST_IN_A_ROW + 1} to {step} "
                "were not finite; the weights are those of before. Look at the trajectories of "
                "these steps, lower learning_rate, or train in float32, then --resume"
            )
        return True
