"""From a preset or file and `key=value` overrides to a checked `RunConfig`.

Scalars reach OmegaConf as the text that the user wrote, and the declared type decides what they
are. So YAML's guesses (`on` is true, `12:30` is 750, `010` is 8, `1.10` is 1.1) never happen.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from configs.environments import add_environments
from configs.errors import ConfigError
from configs.registry import nearest
from configs.schema import AlgorithmConfig, RunConfig
from configs.validate import validate

PRESETS = Path(__file__).parent / "presets"
COMMAND_LINE = "command line"

PluginArgs = dict[str, Any]
"""The one type of section without declared keys; a mapping given for it replaces it as a whole."""

_EXPECTED = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "text",
}
# YAML 1.2's core schema, for the one place without a declared type: keyword arguments of plug-ins.
_INTEGER = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_CONSTANTS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and where it came from.

    `tree` is OmegaConf's unresolved form, in which `${oc.env:X}` is still written so. `sources`
    says of each key that is not a default where it was set: "command line" or "file:line".
    """

    config: RunConfig
    preset: str
    overrides: tuple[str, ...]
    sources: Mapping[str, str]
    tree: DictConfig


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # yaml has no types
    """Quotes text with U+0085, which YAML 1.1 takes for a line break and folds away."""

    def represent_str(self, data: str) -> yaml.ScalarNode:
        style = '"' if "\x85" in data else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style)


_Dumper.add_representer(str, _Dumper.represent_str)


class _Setting(NamedTuple):
    path: tuple[str, ...]
    value: Any  # text for a typed value; a YAML value under `args`; a dataclass to reset a section
    source: str

    @property
    def key(self) -> str:
        return ".".join(self.path)


def load(preset_or_path: str, overrides: Sequence[str] = ()) -> LoadedConfig:
    """Read, merge, resolve and validate. Raises `ConfigError`; `DataError` for a missing file."""
    tree, sources = compose(preset_or_path, overrides)
    config = _resolve(tree, sources)
    validate(config, sources)
    return LoadedConfig(config, preset_or_path, tuple(overrides), sources, tree)


def compose(
    preset_or_path: str, overrides: Sequence[str] = ()
) -> tuple[DictConfig, dict[str, str]]:
    """Read and merge without resolving `${...}`: the tree, and where each of its keys was set."""
    tree = copy.deepcopy(_defaults())
    sources: dict[str, str] = {}
    settings = [*_from_file(_find(preset_or_path)), *_from_command_line(overrides)]
    for setting in settings:
        _apply(tree, setting)
        for replaced in [key for key in sources if key.startswith(f"{setting.key}.")]:
            del sources[replaced]
        sources[setting.key] = setting.source
    return tree, sources


@functools.cache
def _defaults() -> DictConfig:
    return OmegaConf.structured(RunConfig)


def to_yaml(tree: DictConfig) -> str:
    """The tree as YAML that `load` reads back, with every `${...}` unresolved."""
    plain = _without_enums(OmegaConf.to_container(tree, resolve=False))
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


def save_unresolved(loaded: LoadedConfig, path: Path) -> None:
    """Write the whole configuration; what `${oc.env:X}` stands for is never written."""
    path.write_text(to_yaml(loaded.tree), encoding="utf-8")


def written(text: str) -> dict[str, Any]:
    """A saved configuration as nested dictionaries, with every `${...}` unresolved."""
    return yaml.safe_load(text) or {}


def changed_keys(before: str, now: str) -> list[str]:
    """Keys whose values differ between two configurations as written (YAML), with both values.

    Example: `["learner.token_budget was 4096, is 8192"]`.
    """
    old, new = _flat(written(before)), _flat(written(now))
    return [
        f"{key} was {old.get(key, 'not set')}, is {new.get(key, 'not set')}"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]


def described(text: str) -> RunConfig:
    """What a saved configuration says, each `${...}` left as it is written: to tell, not to run.

    Raises ConfigError where it is of another version.
    """
    source = "saved configuration"
    tree = OmegaConf.structured(RunConfig)
    node = _parse(text, source)
    for setting in _settings((), node, source) if node else ():
        _apply(tree, setting._replace(value=_literal(setting.value)))
    return _resolve(tree, {})


def _literal(value: Any) -> Any:
    """The value with its `${...}` escaped, so that they resolve to themselves."""
    if isinstance(value, dict):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_literal(item) for item in value]
    return value.replace("${", "\\${") if isinstance(value, str) else value


def preset_names(folder: Path = PRESETS) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _find(preset_or_path: str) -> Path:
    if preset_or_path.endswith((".yaml", ".yml")):
        return Path(preset_or_path)
    return _preset(preset_or_path, PRESETS, "preset")


def _preset(name: str, folder: Path, what: str) -> Path:
    names = preset_names(folder)
    if name not in names:
        raise ConfigError(
            f"unknown {what} '{name}'; there are {', '.join(names)}{nearest(name, names)}"
        )
    return folder / f"{name}.yaml"


def _from_file(path: Path, under: tuple[str, ...] = ()) -> Iterator[_Setting]:
    shown = path.name if path.is_relative_to(PRESETS) else str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"cannot read the configuration {shown}: {reason}") from error
    node = _parse(text, shown)
    if node is not None:
        yield from _settings(under, node, shown)


def _from_command_line(overrides: Sequence[str]) -> Iterator[_Setting]:
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"{COMMAND_LINE}: '{override}' is not of the form key=value")
        path = tuple(key.split("."))
        kind = _declared(path, COMMAND_LINE)
        if kind in _EXPECTED or _is_enum(kind):
            yield _Setting(path, text, COMMAND_LINE)
        elif (node := _parse(text, f"{COMMAND_LINE}: {key}")) is not None:
            yield from _settings(path, node, COMMAND_LINE)


def _parse(text: str, where: str) -> yaml.Node | None:
    """YAML text as nodes. No aliases and no tags: neither bombs nor objects."""
    try:
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise ConfigError(f"{where}: YAML aliases (*{event.anchor}) are not supported")
            if isinstance(event, yaml.ScalarEvent | yaml.CollectionStartEvent) and event.tag:
                raise ConfigError(f"{where}: YAML tags ({event.tag}) are not supported")
        return yaml.compose(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{where}{line}: not YAML: {error.problem}") from error


def _settings(path: tuple[str, ...], node: yaml.Node, file: str) -> Iterator[_Setting]:
    """The leaves under `node`, each with its key and source."""
    source = file if file == COMMAND_LINE else f"{file}:{node.start_mark.line + 1}"
    kind = _declared(path, source)
    key = ".".join(path)
    if kind is Any or (kind == PluginArgs and isinstance(node, yaml.MappingNode)):
        yield _Setting(path, _untyped(node), source)
    elif kind is AlgorithmConfig and isinstance(node, yaml.ScalarNode):
        yield from _algorithm(path, node.value, source)
    elif kind in _EXPECTED or _is_enum(kind):
        if not isinstance(node, yaml.ScalarNode) or (
            not node.style and node.value in ("null", "~")
        ):
            raise ConfigError(f"{source}: {key}: expected {_expected(kind)}")
        yield _Setting(path, node.value, source)
    elif isinstance(node, yaml.MappingNode):
        if not node.value and path:
            yield _Setting(path, {}, source)
        for child_path, child in _children(path, node, file):
            yield from _settings(child_path, child, file)
    else:
        raise ConfigError(f"{source}: {key}: expected a section of keys")


def _children(
    path: tuple[str, ...], node: yaml.MappingNode, file: str
) -> Iterator[tuple[tuple[str, ...], yaml.Node]]:
    seen: dict[str, int] = {}
    for name, child in node.value:
        line = name.start_mark.line + 1
        if not isinstance(name, yaml.ScalarNode):
            raise ConfigError(f"{file}:{line}: a key must be a word")
        if name.value in seen:
            raise ConfigError(
                f"{file}:{line}: duplicate key '{name.value}', first on line {seen[name.value]}"
            )
        seen[name.value] = line
        child_path = (*path, *name.value.split("."))
        _declared(child_path, file if file == COMMAND_LINE else f"{file}:{line}")
        yield child_path, child


def _algorithm(path: tuple[str, ...], name: str, source: str) -> Iterator[_Setting]:
    """A bare name in place of an `algorithm` section: that preset replaces the whole section."""
    yield _Setting(path, AlgorithmConfig(), source)
    try:
        yield from _from_file(_preset(name, PRESETS / "algorithms", "algorithm"), under=path)
    except ConfigError as error:
        raise ConfigError(f"{source}: {'.'.join(path)}: {error}") from error


def _untyped(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _untyped(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_untyped(value) for value in node.value]
    text = str(node.value)
    if node.style:  # quoted
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _declared(path: tuple[str, ...], source: str) -> Any:
    """The type that the schema declares at `path`; `ConfigError` when it has no such key."""
    kind: Any = RunConfig
    for depth, name in enumerate(path):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            hints = _hints(kind)
            if name not in hints:
                raise ConfigError(_unknown_key(path, depth, list(hints), source))
            kind = hints[name]
        elif get_origin(kind) is dict:
            kind = get_args(kind)[1]
        elif kind is not Any:
            parent = ".".join(path[:depth])
            raise ConfigError(
                f"{source}: unknown key '{'.'.join(path)}': {parent} is {_expected(kind)}"
            )
    return kind


def _unknown_key(path: tuple[str, ...], depth: int, valid: list[str], source: str) -> str:
    key = ".".join(path)
    elsewhere = [known for known in _schema_keys() if known.rpartition(".")[2] == path[-1]]
    if elsewhere and len(path) == 1:
        hint = f"; did you mean '{elsewhere[0]}'?"
    else:
        prefix = "".join(f"{name}." for name in path[:depth])
        hint = nearest(prefix + path[depth], [prefix + name for name in valid])
    return f"{source}: unknown key '{key}'{hint or '; `assay config show PRESET` prints all keys'}"


def _schema_keys(kind: Any = RunConfig, prefix: str = "") -> Iterator[str]:
    """Every key of the schema; NAME stands for the name of a stage or a task set."""
    for name, hint in _hints(kind).items():
        value_type, path = hint, f"{prefix}{name}"
        yield path
        if get_origin(hint) is dict:
            value_type, path = get_args(hint)[1], f"{path}.NAME"
        if dataclasses.is_dataclass(value_type):
            yield from _schema_keys(value_type, f"{path}.")


def _apply(tree: DictConfig, setting: _Setting) -> None:
    is_empty = setting.value == {}
    section = setting.path if is_empty else setting.path[:-1]
    try:
        for depth in range(1, len(section) + 1):  # makes a stage or task set, with its type
            key = ".".join(section[:depth])
            if OmegaConf.select(tree, key) is None:
                kind = _declared(section[:depth], setting.source)
                is_typed = isinstance(kind, type) and dataclasses.is_dataclass(kind)
                OmegaConf.update(tree, key, kind() if is_typed else {})
        if not is_empty or _declared(setting.path, setting.source) == PluginArgs:
            OmegaConf.update(tree, setting.key, setting.value, merge=False)
    except OmegaConfBaseException as error:
        kind = _declared(setting.path, setting.source)
        hint = nearest(setting.value, [e.value for e in kind]) if _is_enum(kind) else ""
        problem = f"expected {_expected(kind)}, got '{setting.value}'{hint}"
        raise ConfigError(f"{setting.source}: {setting.key}: {problem}") from error


def _resolve(tree: DictConfig, sources: Mapping[str, str]) -> RunConfig:
    try:
        config = OmegaConf.to_object(tree)
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        where = f"{sources.get(key, 'default')}: {key}"
        missing = re.search(r"Environment variable '(\w+)' not found", str(error))
        if missing:
            name = missing[1]
            raise ConfigError(
                f"{where}: environment variable {name} is not set; run `export {name}=...` first"
            ) from None
        # The value is not shown: it may come from the environment and be a secret.
        raise ConfigError(f"{where}: its ${{...}} cannot be resolved to the key's type") from None
    assert isinstance(config, RunConfig)
    add_environments(config)
    return config


def _expected(kind: Any) -> str:
    if _is_enum(kind):
        return "one of " + ", ".join(member.value for member in kind)
    return _EXPECTED.get(kind, "a section of keys")


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


def _without_enums(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_enums(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_enums(item) for item in value]
    return value.value if isinstance(value, StrEnum) else value


def _flat(tree: object, prefix: str = "") -> dict[str, object]:
    if not isinstance(tree, dict) or not tree:
        return {prefix.rstrip("."): tree}
    return {
        key: value
        for name, child in tree.items()
        for key, value in _flat(child, f"{prefix}{name}.").items()
    }
