"""What can go wrong with a worker, as its callers see it."""

from __future__ import annotations

from enum import StrEnum


class FaultClass(StrEnum):
    """Whose fault it is: that of machines and processes, or of what they were given."""

    INFRASTRUCTURE = "infrastructure"
    DATA = "data"


class ProcessDied(Exception):
    """The process is gone, or must not be used any more; from `Role.ask`."""


class RequestFailed(Exception):
    """A worker answered with an error; it goes on serving."""

    def __init__(self, cause: str, fault_class: FaultClass) -> None:
        super().__init__(cause)
        self.fault_class = fault_class


class WorkerLost(Exception):
    """The worker was given up: it died, is late, or was condemned. Ask another one."""
