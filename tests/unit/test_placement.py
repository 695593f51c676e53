"""Where actors go, and what is said when there is no room."""

from __future__ import annotations

from collections import Counter

from configs.schema import FleetConfig, LearnerConfig, RewardConfig, RolloutConfig, RunConfig
from launch.placement import Node, actor_options, place, place_run, reserved

NODES = [
    Node("head", {"CPU": 8.0}),
    Node("gpu-a", {"CPU": 32.0, "GPU": 4.0, "rollout": 2.0}),
    Node("gpu-b", {"CPU": 32.0, "GPU": 4.0}),
]


def config(resources: dict[str, dict[str, int]] | None = None) -> RunConfig:
    return RunConfig(
        rollout=RolloutConfig(workers=2, cpus=4, gpus=2),
        learner=LearnerConfig(ranks=4, cpus=2, gpus=1),
        reward=RewardConfig(workers=3),
        fleet=FleetConfig(resources=resources or {}),
    )


def test_an_engine_has_all_its_gpus_on_one_machine() -> None:
    found = place([("rollout", 3, {"GPU": 3.0})], NODES)
    assert found.where["rollout"] == Counter({"gpu-a": 1, "gpu-b": 1})
    assert found.missing == ("rollout: no room for 1 of 3 actors of 3 GPU each",)


def test_a_whole_run_is_placed_and_ranks_are_packed() -> None:
    found = place_run(config(), NODES)
    assert found.missing == ()
    assert found.where["rollout"] == Counter({"gpu-a": 2})
    assert found.where["learner"] == Counter({"gpu-b": 4})
    assert found.where["reward"] == Counter({"head": 3})


def test_custom_resources_bind_a_role_to_machines() -> None:
    needs = {"rollout": {"rollout": 1}}
    assert reserved(config(resources=needs), "rollout") == {"CPU": 4, "GPU": 2, "rollout": 1.0}
    three = config(resources=needs)
    three.rollout.workers = 3
    assert place_run(three, NODES).missing == (
        "rollout: no room for 1 of 3 actors of 4 CPU, 2 GPU, 1 rollout each",
    )


def test_engine_and_rank_share_a_gpu_half_and_half() -> None:
    shared = RunConfig(rollout=RolloutConfig(gpus=1), learner=LearnerConfig(gpus=1, colocate=True))
    found = place_run(shared, [Node("one", {"CPU": 4.0, "GPU": 1.0})])
    assert found.missing == ()
    assert reserved(shared, "rollout")["GPU"] == reserved(shared, "learner")["GPU"] == 0.5


def test_options_are_those_of_ray() -> None:
    assert actor_options({"CPU": 2, "GPU": 0.5, "rollout": 1}) == {
        "num_cpus": 2,
        "num_gpus": 0.5,
        "resources": {"rollout": 1},
    }
    assert actor_options({}) == {"num_cpus": 0, "num_gpus": 0, "resources": {}}
