"""From the reward section to rules, routes and a judge: what is wrong is named with its key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from configs.errors import ConfigError, DataError
from configs.load import load
from configs.schema import RewardConfig
from launch.gold import FORMS_FILE, TINY_FORMS, gold_set
from launch.judging import (
    asks_anyone,
    judge_settings,
    load_gold,
    load_routes,
    load_rubrics,
    load_rules,
    with_cache,
)
from launch.placement import Node, place_run
from launch.plan import make_plan
from rewards.judge import Limits
from rewards.routing import Disagreement, Mode
from rewards.rubric import load_rubric
from rewards.texts import gate

SERVER = {"url": "http://127.0.0.1:1/v1", "model": "m"}


def test_the_general_preset_is_sound() -> None:
    config = load("general").config.reward
    routes = load_routes(config)
    assert asks_anyone(config)
    assert set(load_rubrics(config, routes)) == {"commentary"}
    assert load_rules(config).routes == routes
    assert len(gold_set(load_rubric("commentary_tiny"))) == 200


def test_the_rubric_has_the_form_of_its_judge(tmp_path: Path) -> None:
    def names(*changes: str) -> tuple[str, int]:
        config = load("general", list(changes)).config.reward
        routes = load_routes(config)
        rubrics = load_rubrics(config, routes)
        return rubrics["commentary"].name, len(load_gold(routes, rubrics)["commentary"])

    assert names() == ("commentary_tiny", 200)
    assert names("reward.judge.model=org/judge") == ("commentary", 84)
    assert names("reward.judge={url: 'http://h/v1', model: graded}") == ("commentary", 84)
    (tmp_path / FORMS_FILE).write_text(json.dumps(TINY_FORMS))  # as a trained one has it
    assert names(f"reward.judge.model={tmp_path}") == ("commentary_tiny", 200)
    refusal = "reward.routes.refusal={mode: judge, rubric: refusal}"
    with pytest.raises(ConfigError, match=r"routes\.refusal\.rubric: .* on commentary alone"):
        names(refusal)
    assert names(refusal, "reward.judge.model=org/judge") == ("commentary", 84)


@pytest.mark.parametrize("name", ["commentary_tiny", "commentary", "refusal", "preference"])
def test_a_rubric_that_is_shipped_has_a_gold_set(name: str) -> None:
    rubric = load_rubric(name)
    cases = gold_set(rubric)
    assert len(cases) >= 50
    for criterion, levels in rubric.criteria.items():
        assert {case.levels[criterion] for case in cases} == set(levels)
    graded: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}
    for case in cases:
        assert gate(case.texts["candidate"]) == ""
        shown = rubric.prompt(case.texts, nonce="")[-1].content
        assert all(text in shown for text in case.texts.values())
        told = tuple(sorted(case.texts.items()))
        assert graded.setdefault(told, case.levels) == case.levels, "one text, one grade"


def test_generated_gold_is_for_shipped_rubrics_only() -> None:
    with pytest.raises(ConfigError, match=r"x\.gold: there is no generated gold set .* mine, only"):
        gold_set(replace(load_rubric("commentary"), name="mine"), "reward.routes.x.gold")
    other = replace(load_rubric("commentary_tiny"), name="commentary")
    with pytest.raises(ConfigError, match="which yours differ from"):
        gold_set(other)


def test_a_run_keeps_its_verdicts_unless_told_otherwise(tmp_path: Path) -> None:
    def cache(*given: str) -> str:
        config = with_cache(load("general", list(given)).config, tmp_path / "verdicts")
        return judge_settings(config.reward).cache

    assert cache() == str(tmp_path / "verdicts")
    assert cache("reward.judge.cache=/elsewhere") == "/elsewhere"
    assert cache('reward.judge.cache=""') == ""
    unjudged = replace(load("general").config, reward=RewardConfig())
    assert with_cache(unjudged, tmp_path) is unjudged, "nobody is asked"


def test_a_plan_reads_the_gold() -> None:
    route = "reward.routes={commentary: {mode: both, rubric: commentary, gold: /nowhere.jsonl}}"
    with pytest.raises(DataError, match="cannot read the gold set /nowhere"):
        make_plan(load("general", [route]))


@pytest.mark.parametrize(
    ("routes", "judge", "problem"),
    [
        ({"x": {"mode": "both", "rubric": "commentary"}}, {}, "routes.x asks a judge"),
        ({"x": {"mode": "bot", "rubric": "commentary"}}, SERVER, "reward.routes.x: mode must be"),
        (
            {"x": {"mode": "judge", "rubric": "commentary", "weights": {"logik": 1}}},
            SERVER,
            "routes.x.weights: no term 'logik'; did you mean 'logic'",
        ),
        ({"x": {"modus": "both"}}, SERVER, "reward.routes.x: unknown keyword 'modus'"),
        ({"x": "both"}, SERVER, "reward.routes.x: expected a section"),
        ({"x": {"mode": "judge", "rubric": "comment"}}, SERVER, "routes.x.rubric: no rubric"),
        ({"x": {"mode": "rule", "rules": "opne"}}, {}, "reward.routes.x.rules: 'opne' is neither"),
        (
            {"x": {"mode": "rule", "rules_args": {"weights": {"fact": 1}}}},
            {},
            "no term 'fact'",
        ),
        (
            {"x": {"mode": "rule_then_judge", "rubric": "preference"}},
            SERVER,
            "pairwise rubric needs every answer",
        ),
        ({"x": {"mode": "judge", "rubric": "commentary"}}, {"modle": "m"}, "did you mean 'model'"),
        (
            {"x": {"mode": "judge", "rubric": "commentary"}},
            {**SERVER, "workers": 0},
            "reward.judge.workers: must be",
        ),
        (
            {"x": {"mode": "judge", "rubric": "commentary"}},
            {**SERVER, "deadline_s": 0},
            "deadline_s must be over 0",
        ),
        ({"x": {"mode": "judge", "rubric": "commentary"}}, {"url": "http://a/v1"}, "model"),
    ],
)
def test_a_wrong_section_is_refused(
    routes: Mapping[str, Any], judge: Mapping[str, Any], problem: str
) -> None:
    config = RewardConfig(routes=dict(routes), judge=dict(judge))
    with pytest.raises(ConfigError, match=problem):
        check(config)


def check(config: RewardConfig) -> Limits:
    load_rules(config)
    asks_anyone(config)
    load_rubrics(config, load_routes(config))
    return judge_settings(config).limits


def test_routes_of_a_configuration_are_what_they_say() -> None:
    given = {"mode": "rule_then_judge", "rubric": "commentary", "disagreement": "abstain"}
    route = load_routes(RewardConfig(routes={"x": given}))["x"]
    assert route.mode is Mode.RULE_THEN_JUDGE
    assert route.disagreement is Disagreement.ABSTAIN


def test_workers_share_the_fleets_limits() -> None:
    config = RewardConfig(judge={**SERVER, "workers": 4, "max_in_flight": 30, "per_minute": 120})
    limits = judge_settings(config).limits
    assert (limits.max_in_flight, limits.per_minute) == (8, 30.0)


def test_an_engine_of_its_own_reserves_what_it_needs() -> None:
    config = load("general", ["reward.judge={model: org/judge, gpus: 1, workers: 2}"]).config
    placement = place_run(config, [Node("a", {"CPU": 9.0, "GPU": 1.0})])
    assert placement.where["judge"] == {"a": 1}
    assert "judge: no room for 1 of 2 actors" in placement.missing[0]
    on_server = load("general", ["reward.judge={model: m, url: 'http://h/v1'}"]).config
    assert place_run(on_server, [Node("a", {"CPU": 9.0})]).missing == ()
