from pathlib import Path

import numpy as np
import pytest

from configs.errors import ConfigError
from rl.provenance import (
    Fingerprints,
    check_resumable,
    code_version,
    fingerprint_files,
    package_versions,
)


def test_resume_names_what_differs_and_both_fingerprints() -> None:
    saved = Fingerprints({"sft/main": "aaa", "rl/main": "bbb"}, "t1", "m1", 2)
    check_resumable(saved, Fingerprints({"rl/main": "bbb", "sft/main": "aaa"}, "t1", "m1", 2))
    with pytest.raises(ConfigError) as caught:
        check_resumable(saved, Fingerprints({"sft/main": "ccc", "new": "d"}, "t2", "m2", 4))
    message = str(caught.value)
    for part in [
        "data sft/main (checkpoint aaa, now ccc)",
        "data rl/main (checkpoint bbb, now none)",
        "data new (checkpoint none, now d)",
        "tokenizer (checkpoint t1, now t2)",
        "model (checkpoint m1, now m2)",
        "learner.ranks (checkpoint 2, now 4)",
    ]:
        assert part in message
    assert "\n" not in message


def test_fingerprint_depends_on_names_and_bytes_only(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        for name in ["x.json", "y.json"]:
            (tmp_path / folder / name).write_text(name)
    first = fingerprint_files([tmp_path / "a" / "x.json", tmp_path / "a" / "y.json"])
    assert first == fingerprint_files([tmp_path / "b" / "y.json", tmp_path / "b" / "x.json"])
    (tmp_path / "b" / "x.json").write_text("other")
    assert first != fingerprint_files([tmp_path / "b" / "y.json", tmp_path / "b" / "x.json"])


def test_versions_are_stated() -> None:
    assert package_versions()["numpy"] == np.__version__
    assert code_version()
