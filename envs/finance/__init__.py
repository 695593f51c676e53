"""Procedural finance tasks: statements, question families, demonstrations."""

from envs.finance.check import check
from envs.finance.demonstrations import FinanceDemonstrations
from envs.finance.generator import FinanceTasks

__all__ = ["FinanceDemonstrations", "FinanceTasks", "check"]
