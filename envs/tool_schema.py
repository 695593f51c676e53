"""From a typed Python function to a tool: its schema in OpenAI's form, and what checks a call."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import jsonschema
import referencing
import referencing.exceptions
import referencing.jsonschema

from configs.errors import ConfigError
from envs.types import ToolSpec

SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
SECTIONS = ("args:", "arguments:", "returns:", "raises:", "example:", "examples:", "yields:")
MORE = ("additionalProperties", "unevaluatedProperties", "patternProperties")
PATTERNS = ("pattern", "patternProperties")
COMBINED = ("allOf", "anyOf", "oneOf")
CONDITIONS = ("if", "then", "else")
SHOWN_CHARS = 80  # of a wrong value, in a message to the policy


def _is_integer(_: object, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _multiple(
    _: Any, factor: float, value: object, __: Any
) -> Iterator[jsonschema.ValidationError]:
    """In decimals: 0.07 is seven times 0.01, which floats deny."""
    if isinstance(value, int | float) and Decimal(str(value)) % Decimal(str(factor)):
        yield jsonschema.ValidationError(f"{value} is not a multiple of {factor}")


# JSON Schema takes 3.0 for an integer; a Python function with an `int` parameter does not.
_Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    validators={"multipleOf": _multiple},
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer),
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that can be called: what the policy is told, and the function that answers.

    `function` takes the arguments as keywords and returns text, bytes, or what JSON can hold.
    `parts` are the schemas that say what parameters there are: the spec's, and those it refers to.
    """

    spec: ToolSpec
    function: Callable[..., Any]
    validator: Any  # jsonschema's validators have no common type
    parts: tuple[Mapping[str, Any], ...]

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Name to schema of each parameter."""
        return {n: s for part in self.parts for n, s in part.get("properties", {}).items()}

    def invented(self, arguments: Mapping[str, Any]) -> list[str]:
        """The arguments that the schema does not tell of.

        Most servers leave `additionalProperties` out, by which JSON Schema allows any; what the
        policy was not told of is made up all the same, unless the schema says that more may come.
        """
        if any(part.get(key, False) is not False for part in self.parts for key in MORE):
            return []
        known = self.parameters
        return [name for name in arguments if name not in known]

    def problem(self, arguments: Mapping[str, Any]) -> str:
        """What is wrong with the arguments of a call, or ""."""
        if invented := self.invented(arguments):
            names = ", ".join(self.parameters) or "none"
            return f"no parameter {invented[0][:60]!r}; {self.spec.name} has {names}"
        try:
            error = next(self.validator.iter_errors(arguments), None)
        except RecursionError:
            return "they cannot be checked: the schema refers to itself without end"
        if error is None:
            return ""
        place = ".".join(map(str, error.absolute_path))
        message: str = error.message
        if error.validator == "type":
            message = f"{_shown(error.instance)} is not of type {error.validator_value!r}"
        elif error.validator == "enum":
            message = f"{_shown(error.instance)} is not one of {error.validator_value}"
        return f"{place}: {message}" if place else message


def make_tool(spec: ToolSpec, function: Callable[..., Any]) -> Tool:
    """A tool from a spec of one's own, such as a server's.

    Raises ConfigError for what is no schema, and for one that refers to a schema elsewhere.
    """
    try:
        _Validator.check_schema(spec.parameters)
        _look_up_all(spec.parameters)
    except jsonschema.SchemaError as error:
        raise ConfigError(f"tool {spec.name}: not a JSON schema: {error.message}") from error
    except referencing.exceptions.Unresolvable as error:
        raise ConfigError(
            f"tool {spec.name}: its schema refers to one elsewhere, {error.ref}; include it"
        ) from error
    # An empty registry: whatever is called, no schema is ever fetched.
    validator = _Validator(_without_patterns(spec.parameters), registry=referencing.Registry())
    return Tool(spec, function, validator, _parts(spec.parameters))


def _without_patterns(schema: Any) -> Any:
    """The schema without regular expressions, which a server checks itself: there are some that
    take ages, and all episodes of the process would wait."""
    if isinstance(schema, list):
        return [_without_patterns(part) for part in schema]
    if not isinstance(schema, Mapping):
        return schema
    left_out = {*PATTERNS, *(MORE if "patternProperties" in schema else ())}
    named = ("properties", "$defs", "definitions", "dependentSchemas")
    return {
        key: {name: _without_patterns(part) for name, part in value.items()}
        if key in named and isinstance(value, Mapping)
        else _without_patterns(value)
        for key, value in schema.items()
        if key not in left_out
    }


def _parts(schema: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The schemas that apply to the same object: this one, what it refers to and what it combines.
    Which of several is met is not asked: the parameters of each are told of."""
    resolver = _resolver(schema)
    parts: list[Mapping[str, Any]] = []
    pending: list[Any] = [schema]
    while pending:
        part = pending.pop(0)
        if not isinstance(part, Mapping) or part in parts:
            continue  # True, or one that refers to itself
        parts.append(part)
        pending += [each for key in COMBINED for each in part.get(key, ())]
        pending += [part[key] for key in CONDITIONS if key in part]
        pending += part.get("dependentSchemas", {}).values()
        if "$ref" in part:
            pending.append(resolver.lookup(part["$ref"]).contents)
    return tuple(parts)


def _resolver(schema: Mapping[str, Any]) -> Any:
    resource = referencing.jsonschema.DRAFT202012.create_resource(schema)
    return referencing.Registry().with_resource("", resource).resolver()


def _look_up_all(schema: Mapping[str, Any]) -> None:
    """Resolve every `$ref` within the schema itself. Raises Unresolvable."""
    resolver = _resolver(schema)
    pending: list[Any] = [schema]
    while pending:
        part = pending.pop()
        if isinstance(part, Mapping):
            if isinstance(reference := part.get("$ref"), str):
                resolver.lookup(reference)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)


def tool_of(function: Callable[..., Any]) -> Tool:
    """The tool that a function, or a method of an object, is.

    The schema follows its type hints: str, int, float, bool, None, list[X], dict[str, X], Literal,
    X | Y, and Annotated[X, "description"]. Name and description are the function's and its
    docstring's; descriptions of parameters may stand under "Args:". A parameter with a default may
    be left out. Raises ConfigError where a hint or the docstring is missing or not of these kinds.
    """
    plain = function.__func__ if isinstance(function, types.MethodType) else function
    if not inspect.isfunction(plain):
        raise ConfigError(f"tools are functions or methods, not {type(plain).__name__}")
    return replace(_described(plain, plain is not function), function=function)


@lru_cache(maxsize=512)  # worlds make their tools anew in every episode
def _described(function: Callable[..., Any], is_method: bool) -> Tool:
    name = function.__name__
    summary, described = read_docstring(inspect.getdoc(function) or "")
    if not summary:
        raise ConfigError(f"tool {name}: no docstring; the policy knows a tool by its description")
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:
        raise ConfigError(f"tool {name}: {error} in its type hints; import it") from error
    properties: dict[str, Any] = {}
    required: list[str] = []
    for parameter in list(inspect.signature(function).parameters.values())[is_method:]:
        where = f"tool {name}, parameter {parameter.name}"
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ConfigError(f"{where}: must be a named one, not {parameter}")
        if parameter.name not in hints:
            raise ConfigError(f"{where}: has no type hint; add one, such as str or list[float]")
        schema = schema_of(hints[parameter.name], where)
        if text := described.get(parameter.name):
            schema.setdefault("description", text)
        if parameter.default is parameter.empty:
            required.append(parameter.name)
        elif parameter.default is not None:
            schema["default"] = parameter.default
        properties[parameter.name] = schema
    if unknown := [key for key in described if key not in properties]:
        raise ConfigError(f"tool {name}: its docstring describes '{unknown[0]}', no parameter")
    parameters = {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }
    return make_tool(ToolSpec(name, summary, parameters), function)


def schema_of(hint: Any, where: str) -> dict[str, Any]:
    """The JSON schema of a type hint. Raises ConfigError naming `where` for other kinds."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint in SIMPLE:
        return {"type": SIMPLE[hint]}
    if origin is Annotated:
        schema = schema_of(arguments[0], where)
        texts = [text for text in arguments[1:] if isinstance(text, str)]
        return {**schema, "description": " ".join(texts)} if texts else schema
    if origin is Literal:
        return {"enum": list(arguments)} | _type_of_all(arguments)
    if origin is list and arguments:
        return {"type": "array", "items": schema_of(arguments[0], where)}
    if origin is dict and arguments and arguments[0] is str:
        return {"type": "object", "additionalProperties": schema_of(arguments[1], where)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(argument, where) for argument in arguments]}
    raise ConfigError(
        f"{where}: type {hint} has no schema; use str, int, float, bool, list[X], dict[str, X], "
        "Literal or X | None"
    )


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description, and those of the parameters under "Args:" ("name: text" or "name (type):
    text", longer ones going on indented deeper)."""
    summary: list[str] = []
    described: dict[str, str] = {}
    section, name, indent = "", "", -1
    for line in text.splitlines():
        depth, line = len(line) - len(line.lstrip()), line.strip()
        if depth == 0 and line.lower() in SECTIONS:
            section = line.lower()
        elif not section:
            summary.append(line)
        elif section in SECTIONS[:2] and line:
            indent = depth if indent < 0 else indent
            head, colon, rest = line.partition(":")
            if depth == indent and colon:
                name = head.split("(")[0].strip()
                described[name] = rest.strip()
            elif name:
                described[name] = f"{described[name]} {line}".strip()
    return " ".join(" ".join(summary).split()), described


def _type_of_all(values: tuple[object, ...]) -> dict[str, str]:
    """{"type": ...} where all values of a Literal are of one type."""
    kinds = {SIMPLE.get(type(value)) for value in values}
    [kind] = kinds if len(kinds) == 1 else [None]
    return {"type": kind} if kind else {}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
