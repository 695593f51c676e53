"""Run benchmarks, each a module of this package with a `TARGET` and a function `run`.

    python -m benchmarks                           what there is
    python -m benchmarks NAME [--json] [options]   run one; ends with 1 when a bound does not hold

The keyword parameters of `run` are the options. With --json standard output holds one object and
nothing else; whatever libraries print goes to standard error.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import Any

from benchmarks.figures import Figure, Figures, Target, meets
from launch.machine import this_machine
from rl.provenance import package_versions

NAMES = (
    "task_generator",
    "verifier_speed",
    "tool_speed",
    "tool_episodes",
    "packing",
    "curriculum_scale",
    "fleet_sim",
    "reward_fleet",
    "publish",
    "loop_vs_trl",
    "tools_vs_trl",
    "quickstart",
    "curriculum_efficiency",
)


def main(arguments: Sequence[str]) -> int:
    """List the benchmarks, or run the one named; returns the exit code."""
    if not arguments:
        print("\n".join(listing()))
        return 0
    options, settings = parse(arguments)
    benchmark = load(options.name)
    with noise_on_stderr():
        figures: Figures = benchmark.run(**settings)
    result = as_dict(options.name, figures, benchmark.TARGET)
    print(json.dumps(result) if options.json else "\n".join(table(result)))
    return 0 if result["ok"] else 1


@contextmanager
def noise_on_stderr() -> Iterator[None]:
    """Send standard output to standard error, also that of C libraries and child processes."""
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def load(name: str) -> Any:
    return importlib.import_module(f"benchmarks.{name}")


def listing() -> list[str]:
    """One line a benchmark: name, what it measures, target."""
    width = max(map(len, NAMES))
    return [
        f"{name:<{width}}  {(inspect.getdoc(load(name)) or '').splitlines()[0]}"
        f"  [{', '.join(f'{figure} {bound}' for figure, bound in load(name).TARGET.items())}]"
        for name in NAMES
    ]


def parse(arguments: Sequence[str]) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options of every benchmark, and those of the one named: its run's parameters."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options, rest = parser.parse_known_args(arguments)
    own = argparse.ArgumentParser(prog=f"python -m benchmarks {options.name}")
    for parameter in inspect.signature(load(options.name).run).parameters.values():
        default = parameter.default
        own.add_argument(
            f"--{parameter.name}", type=type(default), default=default, help=f"default: {default}"
        )
    return options, vars(own.parse_args(rest))


def as_dict(name: str, figures: Figures, target: Target) -> dict[str, Any]:
    """The object that --json prints."""
    return {
        "name": name,
        "figures": figures,
        "target": {figure: str(bound) for figure, bound in target.items()},
        "ok": meets(figures, target),
    }


def table(result: dict[str, Any]) -> list[str]:
    """The same for people, with the machine."""
    machine = this_machine()
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    width = max(map(len, result["figures"]))
    return [
        f"{result['name']}: {'ok' if result['ok'] else 'TARGET MISSED'}",
        *(
            f"  {name:<{width}}  {shown(figure):>12}  {result['target'].get(name, '')}".rstrip()
            for name, figure in result["figures"].items()
        ),
        f"  on {machine.cores} cores, {machine.memory_gib:.0f} GiB; {versions}",
    ]


def shown(figure: Figure) -> str:
    if isinstance(figure, float):
        return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.4g}"
    return "-" if figure is None else str(figure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
