"""The errors a user can cause or meet, each with the exit code that `assay` ends with.

Every message says what is wrong, where, and what to do next, on one line.
"""


class AssayError(Exception):
    """Parent of the errors that the command line prints as one line, without a traceback."""

    exit_code = 1


class ConfigError(AssayError, ValueError):
    """A key, value or name in the configuration is wrong."""

    exit_code = 2


class DataError(AssayError, ValueError):
    """A data file, or a row of one, cannot be used."""

    exit_code = 3


class MissingCapability(AssayError, RuntimeError):
    """The machine lacks something the run needs: a package, a device, memory, a port."""

    exit_code = 4


class FaultBudgetSpent(AssayError, RuntimeError):
    """More faults happened than the run's budget allows; the last checkpoint is intact."""

    exit_code = 5


class LearnerLost(FaultBudgetSpent):
    """A learner rank died or did not answer; a run continues from its last checkpoint by itself,
    as often as `learner.restarts` allows."""


class Stopped(AssayError):
    """The run was asked to stop before its last step and saved a checkpoint to resume from."""

    exit_code = 6
