"""Randomness of a sample from what it is, never from who plays it: (run, task, visit, index)."""

from __future__ import annotations

from envs.draws import key_of

_SEED_BITS = 62  # engines take signed 64-bit seeds


def sample_seeds(run_seed: int, task_id: str, visit: int, count: int) -> tuple[int, ...]:
    """Seeds of the samples of one group; the same for any number of workers, and on resume."""
    return tuple(
        key_of("sample", run_seed, task_id, visit, index) >> (64 - _SEED_BITS)
        for index in range(count)
    )


def is_thinking(run_seed: int, task_id: str, visit: int, share: float) -> bool:
    """Whether this visit of a task is played in thinking mode: true for `share` of all visits."""
    return key_of("thinking", run_seed, task_id, visit) < share * 2**64
