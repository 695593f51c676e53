"""From the `reward` section of a configuration to rules, routes and a judge.

What only the judge needs is imported where it is used: processes of rule checks start often.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.errors import ConfigError
from configs.registry import VERIFIERS, bind, nearest, resolve
from configs.schema import RewardConfig, RunConfig
from envs.types import Task
from rewards.routing import Mode, Route
from rewards.scoring import Rules

if TYPE_CHECKING:
    from rewards.calibration import GoldCase
    from rewards.judge import Backend, Limits
    from rewards.panel import Panel
    from rewards.rubric import Rubric

JUDGE = "reward.judge"


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What `reward.judge` may hold. With `url` the judge is a model behind an OpenAI-compatible
    server, else an engine of our own on the weights at `model`.

    `key_env` or `key_file` say where the server's key is, never what it is. `max_in_flight` and
    `per_minute` (0: no limit) are those of the whole fleet of `workers`. `prompt_price` and
    `reply_price` are per million tokens. `cache` is a folder for verdicts ("": none is kept);
    a training run that is not told has one of its own.
    A stage does not begin with a judge whose kappa on its gold set is under `min_kappa`, and every
    `calibrate_every` steps the set is graded again (0: only before the first).
    `cpus`, `gpus`, `max_length` and `dtype` are those of an engine of our own.
    """

    url: str = ""
    model: str = ""
    key_env: str = ""
    key_file: str = ""
    max_tokens: int = 512
    workers: int = 1
    max_in_flight: int = 32
    per_minute: float = 0.0
    deadline_s: float = 60.0
    attempts: int = 4
    prompt_price: float = 0.0
    reply_price: float = 0.0
    cache: str = ""
    min_kappa: float = 0.6
    calibrate_every: int = 20
    cpus: int = 1
    gpus: int = 0
    max_length: int = 4096
    dtype: str = "float32"

    def __post_init__(self) -> None:
        whole = ("max_tokens", self.max_tokens), ("workers", self.workers), ("cpus", self.cpus)
        for name, value in (*whole, ("max_length", self.max_length)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ConfigError(f"{JUDGE}.{name}: must be a whole number over 0, is {value}")
        if self.url and not self.model:
            raise ConfigError(f"{JUDGE}.model: a server needs the name of its model")

    @property
    def limits(self) -> Limits:
        """Each worker's share of the fleet's limits."""
        from rewards.judge import Limits

        return Limits(
            max_in_flight=math.ceil(self.max_in_flight / self.workers),
            per_minute=self.per_minute / self.workers,
            deadline_s=float(self.deadline_s),
            attempts=self.attempts,
        )


def judge_settings(config: RewardConfig) -> JudgeSettings:
    """Raises ConfigError, naming the key, for what it may not hold."""
    settings: JudgeSettings = _build(JudgeSettings, config.judge, JUDGE)
    return settings


def load_routes(config: RewardConfig) -> dict[str, Route]:
    """The routes by kind of task. Raises ConfigError, naming the key."""
    routes: dict[str, Route] = {}
    for kind, given in config.routes.items():
        where = f"reward.routes.{kind}"
        if not isinstance(given, Mapping):
            raise ConfigError(f"{where}: expected a section of keys such as mode and rubric")
        routes[kind] = _build(Route, given, where)
    return routes


def load_rubrics(config: RewardConfig, routes: Mapping[str, Route]) -> dict[str, Rubric]:
    """The rubric of every route that has one, in the form that its judge was trained on, if any.

    Raises ConfigError, naming the key.
    """
    from launch.gold import forms_of
    from rewards.open_answers import CHECKS
    from rewards.rubric import load_rubric

    forms = {} if config.judge.get("url") else forms_of(str(config.judge.get("model", "")))
    for kind, route in routes.items():
        if forms and route.mode is not Mode.RULE and route.rubric not in {*forms, *forms.values()}:
            raise ConfigError(
                f"reward.routes.{kind}.rubric: the judge {JUDGE}.model={config.judge['model']} was "
                f"trained on {', '.join(forms)} alone, not on {route.rubric}: name another judge"
            )
    rubrics = {
        kind: load_rubric(forms.get(route.rubric, route.rubric), f"reward.routes.{kind}.rubric")
        for kind, route in routes.items()
        if route.rubric
    }
    for kind, route in routes.items():
        known = {*CHECKS, *(rubrics[kind].criteria if kind in rubrics else ())}
        wrong = set(route.weights) - known
        if wrong and route.rules == "open":  # terms of others are not known before they score
            hint = nearest(min(wrong), known)
            raise ConfigError(f"reward.routes.{kind}.weights: no term '{min(wrong)}'{hint}")
    for kind, rubric in rubrics.items():
        if routes[kind].mode is Mode.RULE_THEN_JUDGE and rubric.pairwise:
            raise ConfigError(f"reward.routes.{kind}: a pairwise rubric needs every answer judged")
    return rubrics


def load_gold(
    routes: Mapping[str, Route], rubrics: Mapping[str, Rubric]
) -> dict[str, Sequence[GoldCase]]:
    """The gold set of every route that names one. Raises DataError for an unusable file, and
    ConfigError where there is none, naming the key."""
    from launch.gold import GRADED, gold_set
    from rewards.calibration import read_gold

    return {
        kind: gold_set(rubric, f"reward.routes.{kind}.gold")
        if routes[kind].gold == GRADED
        else read_gold(Path(routes[kind].gold), rubric)
        for kind, rubric in rubrics.items()
        if routes[kind].gold
    }


def load_rules(config: RewardConfig) -> Rules:
    """The rule checks of every kind of task. Raises ConfigError, naming the key."""
    default = _verifier(config.verifier, config.args, "reward.verifier", "reward.args")
    routes = load_routes(config)
    by_kind: dict[str, tuple[Any, Callable[[Task], None]]] = {}
    for kind, route in routes.items():
        where = f"reward.routes.{kind}.rules"
        verifier = _verifier(route.rules, route.rules_args, where, f"{where}_args")
        by_kind[kind] = (verifier, verifier.check_gold)
    return Rules(default, default.check_gold, routes, by_kind)


def asks_anyone(config: RewardConfig) -> bool:
    """Whether any route asks a judge. Raises ConfigError where one does and there is none."""
    asking = [kind for kind, route in load_routes(config).items() if route.mode is not Mode.RULE]
    if asking and not (judge_settings(config).url or judge_settings(config).model):
        raise ConfigError(
            f"reward.routes.{asking[0]} asks a judge, and there is none: set {JUDGE}.url and "
            f"{JUDGE}.model for a server, or {JUDGE}.model to a directory of weights"
        )
    return bool(asking)


def with_cache(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration with verdicts kept in `folder`, where it asks a judge and does not say."""
    if not asks_anyone(config.reward) or "cache" in config.reward.judge:
        return config
    judge = {**config.reward.judge, "cache": str(folder.resolve())}
    return replace(config, reward=replace(config.reward, judge=judge))


async def open_panel(config: RewardConfig) -> Panel:
    """The judge with its routes, in the process that asks it; an engine of our own starts here.

    Raises:
        ConfigError: a route, a rubric or the judge's own section is wrong, or its key is missing.
    """
    from rewards.judge import Judge, open_cache
    from rewards.panel import Panel

    settings, routes = judge_settings(config), load_routes(config)
    backend = _server(settings) if settings.url else await _engine(settings)
    prices = (float(settings.prompt_price), float(settings.reply_price))
    judge = Judge(backend, settings.limits, open_cache(settings.cache), prices)
    rubrics = load_rubrics(config, routes)
    return Panel(judge, routes, rubrics, load_gold(routes, rubrics))


def _server(settings: JudgeSettings) -> Backend:
    from rewards.judge_server import ServerBackend  # a second of imports

    return ServerBackend(
        settings.url,
        settings.model,
        settings.key_env,
        settings.key_file,
        settings.max_tokens,
        float(settings.deadline_s),
    )


async def _engine(settings: JudgeSettings) -> Backend:
    from rewards.judge_engine import EngineBackend
    from rl.export import untied
    from rl.model import local_directory
    from rl.provenance import fingerprint_files
    from rollout.engine import EngineSettings, VllmEngine
    from rollout.renderer import Renderer

    source = local_directory(settings.model, "")
    renderer = Renderer(source)
    renderer.check()
    engine = VllmEngine(
        EngineSettings(
            model=str(untied(source, Path(tempfile.mkdtemp(prefix="assay-judge-")) / "model")),
            dtype=settings.dtype,
            max_length=settings.max_length,
            stop_token_ids=tuple(renderer.stop_token_ids),
            max_num_seqs=settings.max_in_flight,
            threads=settings.cpus,
            gpus=settings.gpus,
            tokenizer=str(source),
        )
    )
    await engine.warm_up()
    identity = fingerprint_files([source / "config.json", *source.glob("*.safetensors")])
    return EngineBackend(engine, renderer, identity, settings.max_tokens)


def _verifier(name: str, args: Mapping[str, Any], where: str, where_args: str) -> Any:
    target = resolve(name, VERIFIERS, where)
    try:
        return bind(target, args, where_args)()
    except TypeError as error:  # a value of the wrong type, or a missing argument
        raise ConfigError(f"{where_args}: {error}") from error


def _build(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    try:
        return bind(kind, given, where)()
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error
    except ConfigError as error:
        named = str(error).startswith("reward.")
        raise ConfigError(str(error) if named else f"{where}: {error}") from None
