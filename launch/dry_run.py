"""What `--dry-run` says about who goes where."""

from __future__ import annotations

import math
import os
import platform

from rich.console import Console

from configs.schema import RunConfig
from launch.machine import Machine
from launch.placement import Node, describe, place_run


def print_placement(config: RunConfig, machine: Machine, console: Console | None = None) -> None:
    """Put every actor on a machine, of the cluster that RAY_ADDRESS names or on this one."""
    out = console or Console()
    if "RAY_ADDRESS" in os.environ:
        from launch.connection import cluster_nodes

        nodes, lacking = cluster_nodes(), "missing on the cluster as it is now"
    else:
        # Alone on a machine the roles take turns on its cores; GPUs are given to one each.
        amounts = {"CPU": math.inf, "GPU": float(len(machine.gpus))}
        nodes, lacking = [Node(platform.node(), amounts)], "missing on this machine"
    placement = place_run(config, nodes)
    for label, lines in (("placement", describe(placement)), (lacking, placement.missing)):
        for line in lines:
            out.print(f"{label:<10} {line}", highlight=False, markup=False, soft_wrap=True)
