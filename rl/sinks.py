"""Where a run's figures go besides its logs: Weights & Biases and TensorBoard, if asked for."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from configs.errors import MissingCapability
from configs.schema import TrackingConfig, WandbMode
from rl.tracking import EvaluationRecord, OpenSink, Record, StepRecord


def outside_sinks(config: TrackingConfig, run_dir: Path, run_name: str) -> dict[str, OpenSink]:
    """The sinks that the configuration asks for. Raises MissingCapability without their package."""
    sinks: dict[str, OpenSink] = {}
    if config.wandb != WandbMode.OFF:
        _require("wandb", "tracking.wandb=off")
        sinks["wandb"] = lambda: WandbSink(config, run_dir, run_name)
    if config.tensorboard:
        _require("tensorboard", "tracking.tensorboard=false")
        sinks["tensorboard"] = lambda: TensorBoardSink(run_dir / "tensorboard")
    return sinks


def scalars(record: Record) -> dict[str, float]:
    """What of a record an outside sink draws: a step's metrics, or an evaluation's accuracy."""
    if isinstance(record, StepRecord):
        return {f"{record.stage}/{name}": value for name, value in record.metrics.items()}
    if isinstance(record, EvaluationRecord) and record.results:
        shares = [result.num_correct / result.num_samples for result in record.results]
        return {"heldout/pass_at_1": sum(shares) / len(shares)}
    return {}


class WandbSink:
    """Weights & Biases, given metrics only: no code, git remote, argv, host or package list."""

    def __init__(self, config: TrackingConfig, run_dir: Path, run_name: str) -> None:
        import wandb

        settings = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=20,  # without a network, training's end would wait for the default 90 s
            finish_timeout=20,
            disable_code=True,
            disable_git=True,
            disable_job_creation=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        self._run = wandb.init(
            project=config.wandb_project,
            name=run_name,
            dir=run_dir,
            mode="online" if config.wandb == WandbMode.ONLINE else "offline",
            settings=settings,
        )

    def write(self, global_step: int, record: Record) -> None:
        if values := scalars(record):
            self._run.log(values, step=global_step)

    def close(self) -> None:
        self._run.finish()


class TensorBoardSink:
    """TensorBoard event files under the run directory."""

    def __init__(self, directory: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(directory))

    def write(self, global_step: int, record: Record) -> None:
        for name, value in scalars(record).items():
            self._writer.add_scalar(name, value, global_step)

    def close(self) -> None:
        self._writer.close()


def _require(package: str, otherwise: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingCapability(
            f"{package} is asked for but not installed: pip install {package}, or set {otherwise}"
        )
