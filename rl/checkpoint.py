"""Checkpoints: complete or absent, and checked before anything is read from them.

    checkpoints/
      latest                     the name of the newest one, replaced last
      0007-reasoning-000040/     serial number, stage, step
        manifest.json            size and sha256 of every other file, and its own sha256
        state.json  arrays.npz   RunState: what the controller needs
        model/  learner/         written by the learner ranks

A checkpoint gets its name in one rename, after all its files were written, flushed, listed and
read back; so a kill at any moment leaves at worst a `tmp-*` entry, which the next writer removes.
Serial numbers only rise: no directory is ever written twice, also when a step is saved again.

What this module writes holds no pickle. A learner's own files may (DeepSpeed's do), and reading
them runs whatever code they hold. So load only from a `Checkpoint`: `verify` and
`latest_checkpoint` make one after comparing every byte with the manifest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from configs.errors import ConfigError, DataError, MissingCapability
from configs.faultpoints import point
from rl.durable import fsync_path, read_json, sha256_of, write_bytes, write_json
from rl.provenance import Fingerprints

FORMAT = 1
CHECKPOINTS = "checkpoints"  # in a run's directory
MODEL_DIR = "model"  # Hugging Face layout, whole tensors
LEARNER_DIR = "learner"  # one file or more a rank
MANIFEST = "manifest.json"
LATEST = "latest"

_STATE = "state.json"
_ARRAYS = "arrays.npz"
_TMP = "tmp-"
_NAME = re.compile(r"(\d{4,})-[\w.-]+-\d{6,}")
_ARRAY_KEY = "__array__"

_log = logging.getLogger(__name__)


class CheckpointError(DataError):
    """A checkpoint is incomplete, damaged or of another format."""


@dataclass(frozen=True, slots=True)
class RunState:
    """What a run needs besides the learner's tensors to go on exactly where it was.

    `curriculum`, `ledger`, `label_weights` and `rng` (generator states by name) are trees of dicts
    with string keys, lists, str, int, float, bool, None and numpy arrays, which come back equal to
    the last bit.
    `config` is the configuration as written, unresolved, so that no secret is stored.
    """

    stage: str
    step: int  # optimizer batches done in this stage
    policy_version: int
    curriculum: Mapping[str, Any]
    ledger: Mapping[str, Any]
    rng: Mapping[str, Any]
    tracker: Mapping[str, int]  # length of each log in bytes
    fingerprints: Fingerprints
    config: str
    code_version: str
    packages: Mapping[str, str]
    label_weights: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A directory whose every byte was compared with its manifest: made only by `verify`."""

    path: Path
    files: Mapping[str, str]  # path within the directory -> sha256

    @property
    def model_dir(self) -> Path:
        return self.path / MODEL_DIR

    @property
    def learner_dir(self) -> Path:
        return self.path / LEARNER_DIR


# Run state


def _save_state(directory: Path, state: RunState) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    tree = {item.name: getattr(state, item.name) for item in fields(RunState)}
    tree["fingerprints"] = asdict(state.fingerprints)
    write_json(directory / _STATE, _encode(tree, "state", arrays))
    np.savez(directory / _ARRAYS, allow_pickle=False, **arrays)
    fsync_path(directory / _ARRAYS)


def load_state(checkpoint: Checkpoint) -> RunState:
    """The run state of a verified checkpoint, equal to the one that was saved."""
    with np.load(checkpoint.path / _ARRAYS, allow_pickle=False) as arrays:
        tree = _decode(read_json(checkpoint.path / _STATE), arrays)
    tree["fingerprints"] = Fingerprints(**tree["fingerprints"])
    return RunState(**tree)


def _encode(value: Any, where: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """`value` as JSON, its arrays set aside under the place they had. Exact types only: a numpy
    float or a tuple that came back as something else would make a resumed run another run."""
    if type(value) in (str, int, float, bool, type(None)):
        return value
    if isinstance(value, Mapping):
        if not all(type(key) is str and key != _ARRAY_KEY for key in value):
            raise TypeError(f"{where}: keys must be strings other than {_ARRAY_KEY!r}")
        return {key: _encode(item, f"{where}/{key}", arrays) for key, item in value.items()}
    if type(value) is list:
        return [_encode(item, f"{where}/{index}", arrays) for index, item in enumerate(value)]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        arrays[where] = value
        return {_ARRAY_KEY: where}
    raise TypeError(f"{where}: cannot save a {type(value).__name__} exactly; convert it first")


def _decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    if isinstance(value, dict):
        if _ARRAY_KEY in value:
            return arrays[value[_ARRAY_KEY]]
        return {key: _decode(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    return value


# Reading


def verify(path: Path) -> Checkpoint:
    """Compare every file of a checkpoint with its manifest.

    Raises:
        CheckpointError: names the first file that is missing or damaged, with both hashes.
    """
    records = _read_manifest(path)
    for name, record in records.items():
        size = (path / name).stat().st_size if (path / name).is_file() else None
        if size != record["size"]:
            found = "missing" if size is None else f"{size} bytes long"
            raise CheckpointError(
                f"{path / name} is {found}, the manifest says {record['size']} bytes: "
                "the checkpoint is damaged; use another one"
            )
    try:
        digests = sha256_of(path / name for name in records)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error}): use another one") from error
    for (name, record), digest in zip(records.items(), digests, strict=True):
        if digest != record["sha256"]:
            raise CheckpointError(
                f"{path / name} has sha256 {digest}, the manifest says {record['sha256']}: "
                "the checkpoint is damaged; use another one"
            )
    return Checkpoint(path, dict(zip(records, digests, strict=True)))


def _read_manifest(path: Path) -> dict[str, dict[str, Any]]:
    file = path / MANIFEST
    try:
        manifest = read_json(file)
        records: dict[str, dict[str, Any]] = manifest["files"]
        intact = manifest["sha256"] == _manifest_digest(manifest["format"], records)
    except FileNotFoundError as error:
        raise CheckpointError(f"{file} is missing: {path} is no complete checkpoint") from error
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}): damaged; use another") from error
    if not intact:
        raise CheckpointError(f"{file} does not have the sha256 it states: damaged; use another")
    if manifest["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {manifest['format']}, this version reads {FORMAT}: "
            "resume it with the version of Assay that wrote it"
        )
    outside = [n for n in records if ".." in PurePosixPath(n).parts or n.startswith("/")]
    if outside:
        raise CheckpointError(f"{file} lists {outside[0]!r}, which lies outside the checkpoint")
    return records


def _manifest_digest(format_: int, records: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps([format_, records], sort_keys=True).encode()).hexdigest()


def latest_checkpoint(directory: Path) -> Checkpoint | None:
    """The checkpoint that `latest` names or, with a warning, the newest one that is whole.

    None only if there never was one.

    Raises:
        CheckpointError: there are checkpoints and not one of them is whole; starting from scratch
            instead would lose the run without a word.
    """
    names = _names(directory)
    pointer = directory / LATEST
    pointed = pointer.read_bytes().decode(errors="replace").strip() if pointer.is_file() else None
    if pointed is None and not names:
        return None
    newest_first = names[::-1]
    if pointed in names:
        newest_first.sort(key=lambda name: name != pointed)
    else:
        _log.warning("%s names no checkpoint (%r): taking the newest", pointer, pointed)
    for name in newest_first:
        try:
            return verify(directory / name)
        except CheckpointError as error:
            _log.warning("CHECKPOINT SKIPPED, falling back to an older one: %s", error)
    raise CheckpointError(
        f"no checkpoint in {directory} is whole (the log names the damaged files): "
        "restore one from a copy, or start a new run under another name"
    )


def has_checkpoint(directory: Path) -> bool:
    """Whether there is a finished checkpoint, without a look at whether it is whole."""
    return bool(_names(directory))


def _names(directory: Path) -> list[str]:
    """Names of finished checkpoints, oldest first; whatever else lies there is not one."""
    serials = {
        entry.name: int(match[1])
        for entry in directory.glob("*")
        if (match := _NAME.fullmatch(entry.name)) and entry.is_dir()
    }
    return sorted(serials, key=lambda name: serials[name])


# Writing


class CheckpointStore:
    """The one writer of a directory of checkpoints; making it removes what a killed writer left."""

    def __init__(self, directory: Path, keep: int) -> None:
        if keep < 2:
            raise ConfigError(f"checkpoint.keep is {keep}: at least 2 are needed to fall back on")
        self.directory = directory
        self.keep = keep
        directory.mkdir(parents=True, exist_ok=True)
        for leftover in directory.glob(f"{_TMP}*"):
            _remove(leftover)

    def latest(self) -> Checkpoint | None:
        """See `latest_checkpoint`."""
        return latest_checkpoint(self.directory)

    def save(self, write: Callable[[Path], None], state: RunState) -> Checkpoint:
        """Save a checkpoint, move `latest` to it, and remove the oldest beyond `keep`.

        `write` gets an empty directory and returns once every learner rank has written its files
        into it (DeepSpeed's own among them). All are flushed here. Blocks until all is on disk.

        Raises:
            MissingCapability: the disk is full or fails. `latest` and what it names are untouched.
            CheckpointError: what was read back is not what was written; the same holds.
            Other errors of `write` pass through, and again the same holds.
        """
        name = self._next_name(state)
        point("ckpt.before_tmp")
        # The suffix keeps out a straggling rank of a killed run, which still writes under its name.
        tmp = self.directory / f"{_TMP}{name}-{secrets.token_hex(4)}"
        try:
            tmp.mkdir()
            write(tmp)
            _save_state(tmp, state)
            files = _seal(tmp).files
            point("ckpt.before_rename", tmp / _STATE)
            final = tmp.rename(self.directory / name)
            fsync_path(self.directory)
            point("ckpt.before_latest", final / _STATE)
            self._point_latest_at(name)
        except (TimeoutError, ConnectionError):
            raise  # a rank that does not answer; OSError is their parent
        except OSError as error:
            raise MissingCapability(
                f"checkpoint {name} could not be saved in {self.directory} ({error}): the one "
                "before it is intact; free space there and resume"
            ) from error
        finally:
            _remove(tmp)
        point("ckpt.before_prune", final / _STATE)
        self._prune()
        return Checkpoint(final, files)

    def _next_name(self, state: RunState) -> str:
        names = _names(self.directory)
        serial = int(names[-1].split("-")[0]) + 1 if names else 1
        stage = re.sub(r"[^\w.-]", "_", state.stage, flags=re.ASCII)
        name = f"{serial:04d}-{stage}-{state.step:06d}"
        assert _NAME.fullmatch(name), f"no checkpoint would be found under {name!r}"
        return name

    def _point_latest_at(self, name: str) -> None:
        tmp = self.directory / f"{_TMP}{LATEST}"
        write_bytes(tmp, f"{name}\n".encode())
        tmp.replace(self.directory / LATEST)
        fsync_path(self.directory)

    def _prune(self) -> None:
        for name in _names(self.directory)[: -self.keep]:
            doomed = (self.directory / name).rename(self.directory / f"{_TMP}{name}")
            point("ckpt.mid_prune")
            _remove(doomed)


def _seal(directory: Path) -> Checkpoint:
    """Flush every file, list them in the manifest, and read them back."""
    entries = sorted(directory.rglob("*"))
    files = [path for path in entries if path.is_file()]
    for path in entries:
        fsync_path(path)
    point("ckpt.before_manifest")
    records = {
        path.relative_to(directory).as_posix(): {"size": path.stat().st_size, "sha256": digest}
        for path, digest in zip(files, sha256_of(files), strict=True)
    }
    manifest = {"format": FORMAT, "files": records, "sha256": _manifest_digest(FORMAT, records)}
    write_json(directory / MANIFEST, manifest)
    fsync_path(directory)
    point("ckpt.before_verify", directory / _STATE)
    return verify(directory)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # the next writer tries again
    else:
        path.unlink(missing_ok=True)
