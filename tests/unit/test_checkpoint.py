import itertools
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import faultpoints
from configs.errors import ConfigError, MissingCapability
from rl.checkpoint import (
    FORMAT,
    CheckpointError,
    CheckpointStore,
    RunState,
    _manifest_digest,
    latest_checkpoint,
    load_state,
    verify,
)
from rl.durable import load_tensors, save_tensors, write_json
from rl.provenance import Fingerprints, fingerprint_files


def run_state(step: int, stage: str = "reasoning") -> RunState:
    generator = np.random.default_rng(step)
    generator.random(3)
    return RunState(
        stage=stage,
        step=step,
        policy_version=step * 2,
        curriculum={"visits": np.arange(step, dtype=np.int64), "pools": [{"mean": 0.1 + 0.2}]},
        ledger={"next_group": 2**70, "owed": [], "oldest": None},
        rng={"tasks": generator.bit_generator.state},
        tracker={"metrics.jsonl": step},
        fingerprints=Fingerprints({"reasoning/main": "d1"}, "t1", "m1", 1),
        config="seed: 17\n",
        code_version="abc",
        packages={"numpy": "2"},
    )


def write_shards(directory: Path) -> None:
    save_tensors(directory / "model" / "model.safetensors", {"w": torch.arange(6.0).view(2, 3)})
    save_tensors(directory / "learner" / "rank-0.safetensors", {"exp_avg": torch.ones(4)})
    write_json(directory / "learner" / "scheduler.json", {"last_lr": 0.1})


def open_store(directory: Path, saves: int = 0) -> CheckpointStore:
    store = CheckpointStore(directory, keep=2)
    for step in range(1, saves + 1):
        store.save(write_shards, run_state(step))
    return store


def latest_step(directory: Path) -> int:
    found = latest_checkpoint(directory)
    assert found is not None
    return load_state(found).step


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    faultpoints.arm("")


def test_everything_comes_back_equal(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    saved = run_state(5)
    store.save(write_shards, saved)
    found = store.latest()
    assert found is not None
    loaded = load_state(found)
    np.testing.assert_array_equal(loaded.curriculum["visits"], saved.curriculum["visits"])
    assert loaded.curriculum["visits"].dtype == np.int64
    assert replace(loaded, curriculum={}) == replace(saved, curriculum={})
    assert loaded.curriculum["pools"] == saved.curriculum["pools"]
    restored = np.random.default_rng()
    restored.bit_generator.state = loaded.rng["tasks"]
    expected = np.random.default_rng(5)
    expected.random(3)
    assert restored.random() == expected.random()
    weights = load_tensors(found.model_dir / "model.safetensors")
    assert torch.equal(weights["w"], torch.arange(6.0).view(2, 3))
    assert set(found.files) == {
        "state.json",
        "arrays.npz",
        "model/model.safetensors",
        "learner/rank-0.safetensors",
        "learner/scheduler.json",
    }


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: 2}, np.float64(1.0), {1, 2}, np.array([object()]), {"__array__": "x"}],
    ids=["tuple", "int_key", "numpy_scalar", "set", "objects", "reserved_key"],
)
def test_a_value_that_would_come_back_changed_is_refused(tmp_path: Path, value: object) -> None:
    state = replace(run_state(1), curriculum={"pool": value})
    with pytest.raises(TypeError, match="state/curriculum/pool"):
        open_store(tmp_path).save(write_shards, state)
    assert list(tmp_path.iterdir()) == []


def test_names_sort_by_time_and_the_oldest_go(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for step, stage in [(2, "sft"), (4, "sft"), (2, "rea/../soning"), (2, "rl")]:
        store.save(write_shards, run_state(step, stage))
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["0003-rea_.._soning-000002", "0004-rl-000002", "latest"]
    assert (tmp_path / "latest").read_text() == "0004-rl-000002\n"


def test_at_least_two_are_kept(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"checkpoint\.keep is 1"):
        CheckpointStore(tmp_path, keep=1)


def test_no_checkpoint_yet(tmp_path: Path) -> None:
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "absent") is None


FILES = [
    "manifest.json",
    "state.json",
    "arrays.npz",
    "model/model.safetensors",
    "learner/rank-0.safetensors",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove"])
def test_a_damaged_file_is_named_and_the_one_before_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    store = open_store(tmp_path, saves=2)
    newest = tmp_path / "0002-reasoning-000002"
    data = bytearray((newest / name).read_bytes())
    if damage == "remove":
        (newest / name).unlink()
    elif damage == "truncate":
        (newest / name).write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        (newest / name).write_bytes(data)
    with pytest.raises(CheckpointError, match=name):
        verify(newest)
    with caplog.at_level(logging.WARNING):
        assert latest_step(tmp_path) == 1
    (record,) = caplog.records
    assert str(newest / name) in record.getMessage()
    if damage == "flip" and name != "manifest.json":
        assert len(set(re.findall(r"[0-9a-f]{64}", record.getMessage()))) == 2
    store.save(write_shards, run_state(2))
    assert (tmp_path / "latest").read_text() == "0003-reasoning-000002\n"
    assert latest_step(tmp_path) == 2


def test_every_flipped_bit_of_a_manifest_is_found(tmp_path: Path) -> None:
    open_store(tmp_path, saves=1)
    manifest = tmp_path / "0001-reasoning-000001" / "manifest.json"
    good = manifest.read_bytes()
    for place, bit in itertools.product(range(0, len(good) - 1, 11), range(8)):
        bad = bytearray(good)
        bad[place] ^= 1 << bit
        manifest.write_bytes(bad)
        with pytest.raises(CheckpointError, match=r"manifest\.json"):
            verify(manifest.parent)


def test_a_manifest_cannot_point_outside(tmp_path: Path) -> None:
    open_store(tmp_path, saves=1)
    (tmp_path / "secret").write_text("x")
    bad = tmp_path / "0001-reasoning-000001" / "manifest.json"
    records = {"../secret": {"size": 1, "sha256": fingerprint_files([tmp_path / "secret"])}}
    write_json(
        bad, {"format": FORMAT, "files": records, "sha256": _manifest_digest(FORMAT, records)}
    )
    with pytest.raises(CheckpointError, match="outside"):
        verify(bad.parent)


@pytest.mark.parametrize(
    "content", [b"", b"0009-gone-000001\n", b"../../etc", b"/etc", b".", b"\xff\x00", None]
)
def test_a_bad_pointer_falls_back_to_the_newest(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    open_store(tmp_path, saves=3)
    (tmp_path / "tmp-0009-reasoning-000009-aa").mkdir()
    (tmp_path / "notes").mkdir()
    if content is None:
        (tmp_path / "latest").unlink()
    else:
        (tmp_path / "latest").write_bytes(content)
    assert latest_step(tmp_path) == 3
    assert "names no checkpoint" in caplog.text


def test_a_pointer_may_name_an_older_one(tmp_path: Path) -> None:
    open_store(tmp_path, saves=3)
    (tmp_path / "latest").write_text("0002-reasoning-000002\n")
    assert latest_step(tmp_path) == 2


def test_never_from_scratch_when_there_was_a_checkpoint(tmp_path: Path) -> None:
    open_store(tmp_path, saves=2)
    for state in tmp_path.glob("*/state.json"):
        state.write_text("{}")
    with pytest.raises(CheckpointError, match="no checkpoint in"):
        latest_checkpoint(tmp_path)


def test_another_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl.checkpoint.FORMAT", 99)
    store = open_store(tmp_path, saves=1)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="has format 99"):
        verify(store.directory / "0001-reasoning-000001")


def test_leftovers_of_a_killed_writer_are_removed_at_the_next_start(tmp_path: Path) -> None:
    open_store(tmp_path, saves=1)
    (tmp_path / "tmp-0002-reasoning-000002-aa" / "model").mkdir(parents=True)
    (tmp_path / "tmp-latest").write_text("000")
    open_store(tmp_path)
    assert not list(tmp_path.glob("tmp-*"))
    assert latest_step(tmp_path) == 1


def test_a_failing_write_leaves_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path, saves=1)
    before = sorted(tmp_path.rglob("*"))

    def disk_full(directory: Path) -> None:
        write_shards(directory)
        raise OSError(28, "No space left on device")

    with pytest.raises(MissingCapability, match=r"0002-.*No space left.*intact"):
        store.save(disk_full, run_state(2))
    assert sorted(tmp_path.rglob("*")) == before


def test_a_rank_that_does_not_answer_is_no_full_disk(tmp_path: Path) -> None:
    def hang(directory: Path) -> None:
        raise TimeoutError("rank 1")

    with pytest.raises(TimeoutError, match="rank 1"):
        open_store(tmp_path).save(hang, run_state(1))
    assert list(tmp_path.iterdir()) == []


def test_a_file_torn_while_saving_never_becomes_a_checkpoint(tmp_path: Path) -> None:
    store = open_store(tmp_path, saves=1)
    faultpoints.arm("ckpt.before_verify=truncate")
    with pytest.raises(CheckpointError, match=r"state\.json is"):
        store.save(write_shards, run_state(2))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["0001-reasoning-000001", "latest"]


def test_all_is_flushed_before_the_name_and_the_name_before_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path, saves=2)
    events: list[tuple[str, str]] = []
    flush, rename = os.fsync, Path.rename

    def recording_fsync(descriptor: int) -> None:
        flushed = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        parts = ["NEW" if part.startswith("tmp-0003") else part for part in flushed.parts]
        events.append(("fsync", "/".join(parts[len(tmp_path.parts) :])))
        flush(descriptor)

    def recording_move(source: Path, target: Path) -> Path:
        events.append(("move", target.name))
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "rename", recording_move)
    monkeypatch.setattr(Path, "replace", recording_move)
    store.save(write_shards, run_state(3))
    monkeypatch.undo()

    named = events.index(("move", "0003-reasoning-000003"))
    flushed_before = {path for kind, path in events[:named] if kind == "fsync"}
    files = {f"NEW/{name}" for name in FILES}
    assert flushed_before >= files | {"NEW", "NEW/model", "NEW/learner"}
    assert events[named + 1 :] == [
        ("fsync", ""),
        ("fsync", "tmp-latest"),
        ("move", "latest"),
        ("fsync", ""),
        ("move", "tmp-0001-reasoning-000001"),
    ]


OUTCOMES = {  # does a save that fails here leave the new directory, and does it move the pointer?
    "ckpt.mid_file": (False, False),
    "ckpt.before_rename": (False, False),
    "ckpt.before_latest": (True, False),
    "ckpt.before_prune": (True, True),
}
ACTIONS = ["save", "damage newest", "lose pointer", "restart", *OUTCOMES]


@settings(max_examples=25)
@given(st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=8))
def test_any_history_ends_in_the_checkpoint_that_a_plain_model_predicts(history: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        store = open_store(directory)
        whole: dict[int, bool] = {}  # step -> undamaged, oldest first
        pointed: int | None = None
        for step, action in enumerate(history, start=1):
            leaves, moves = OUTCOMES.get(action, (action == "save", action == "save"))
            if action in OUTCOMES:
                faultpoints.arm(f"{action}=raise@1")
                with pytest.raises(faultpoints.InjectedFault):
                    store.save(write_shards, run_state(step))
                faultpoints.arm("")
            elif action == "save":
                store.save(write_shards, run_state(step))
            elif action == "damage newest" and whole:
                (newest,) = directory.glob(f"*-{max(whole):06d}/state.json")
                newest.write_bytes(b"\x00")
                whole[max(whole)] = False
            elif action == "lose pointer" and pointed is not None:
                (directory / "latest").write_bytes(b"")
                pointed = -1
            elif action == "restart":
                store = open_store(directory)
            if leaves:
                whole[step] = True
            if moves:
                pointed = step
            if action == "save":
                whole = dict(list(whole.items())[-store.keep :])

            usable = [step for step, undamaged in whole.items() if undamaged]
            if whole and not usable:
                with pytest.raises(CheckpointError):
                    store.latest()
            elif usable:
                expected = pointed if pointed in usable else usable[-1]
                assert latest_step(directory) == expected
            else:
                assert store.latest() is None
