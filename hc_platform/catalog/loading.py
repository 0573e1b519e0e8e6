"""Reading utility_configs/: YAML in, `UtilityConfig` out, every mistake with its file, line, key and mend.

What belongs here: parsing, locating a key's line, turning a validation error into advice.
What does not: what the keys mean (`models`).
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hc_platform.catalog.fields import ConstraintColumns, FieldTarget, Resource, ResourceConfig, Verification
from hc_platform.catalog.models import LayerConfig, UtilityConfig


@dataclass(frozen=True)
class Problem:
    """One mistake in one file."""

    file: str
    line: int
    key: str
    message: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key}: {self.message}. Mend: {self.mend}"


class ConfigError(ValueError):
    """A config that cannot be used; `problems` holds every mistake found, not only the first."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, with duplicate keys refused: a second `where:` would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.2's booleans: only true and false. In 1.1, `on:`, fields called NO are booleans.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def load_config(path: Path) -> UtilityConfig:
    """Read one utility's YAML.

    Raises ConfigError with all its problems.
    """
    text = path.read_text(encoding="utf-8")
    try:
        node = yaml.compose(text, Loader=_Loader)
        data = yaml.load(text, Loader=_Loader)  # noqa: S506 - _Loader is a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = f"is not valid YAML: {error.problem}"
        raise ConfigError([Problem(str(path), line, "-", problem, "mend the YAML at this line")]) from error
    if not isinstance(data, dict):
        raise ConfigError(
            [Problem(str(path), 1, "-", "is no mapping of keys", "start from another utility's file")]
        )
    try:
        config = UtilityConfig.model_validate(data)
    except ValidationError as error:
        raise ConfigError([_problem(path, node, e) for e in error.errors()]) from error
    if config.utility_code != path.stem:
        message = f"is {config.utility_code!r} in a file called {path.name}"
        mend = f"rename the file to {config.utility_code}.yaml or the code to {path.stem}"
        raise ConfigError([Problem(str(path), _line(node, ("utility_code",)), "utility_code", message, mend)])
    return config


class Catalog(Mapping[str, UtilityConfig]):
    """All utilities by code, in alphabetical order."""

    def __init__(self, configs: Mapping[str, UtilityConfig]) -> None:
        self._configs = dict(sorted(configs.items()))

    def __getitem__(self, code: str) -> UtilityConfig:
        try:
            return self._configs[code]
        except KeyError:
            near = difflib.get_close_matches(code, self._configs, n=1)
            hint = (
                f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(self._configs) or 'none'}"
            )
            raise KeyError(f"no utility is called {code!r}{hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)


def load_catalog(directory: Path) -> Catalog:
    """Read every *.yaml in a folder.

    Raises ConfigError with the problems of all files together, and when the folder holds none.
    """
    files = sorted(directory.glob("*.yaml"))
    if not files:
        mend = "run from the project's folder, or set HC_CONFIG_DIR"
        raise ConfigError([Problem(str(directory), 1, "-", "holds no utility config (*.yaml)", mend)])
    problems: list[Problem] = []
    configs: dict[str, UtilityConfig] = {}
    for path in files:
        try:
            config = load_config(path)
        except ConfigError as error:
            problems += error.problems
        else:
            configs[config.utility_code] = config
    if problems:
        raise ConfigError(problems)
    return Catalog(configs)


# Parts of a key that the short form of one resource leaves out.
_LEFT_OUT = ("resources", *get_args(Resource))
_MODELS: dict[str, type[BaseModel]] = {
    "layers": LayerConfig,
    "resources": ResourceConfig,
    "field_map": FieldTarget,
    "constraint_columns": ConstraintColumns,
    "verification": Verification,
}


def _problem(path: Path, node: yaml.Node | None, error: Any) -> Problem:
    loc = tuple(part for part in error["loc"] if part != "[key]")
    message = error["msg"].removeprefix("Value error, ")
    return Problem(
        str(path),
        _line(node, loc),
        ".".join(map(str, loc)) or "-",
        message[:1].lower() + message[1:],
        _mend(error, loc),
    )


def _mend(error: Any, loc: tuple[Any, ...]) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        owner = next((_MODELS[p] for p in reversed(loc[:-1]) if p in _MODELS), UtilityConfig)
        near = difflib.get_close_matches(str(loc[-1]), owner.model_fields, n=1)
        return (
            f"did you mean {near[0]}?" if near else f"remove it; known here: {', '.join(owner.model_fields)}"
        )
    if kind == "missing":
        return f"add {loc[-1]}:"
    if kind == "literal_error":
        expected = error.get("ctx", {}).get("expected", "")
        near = difflib.get_close_matches(str(error.get("input")), expected.replace("'", "").split(", "), n=1)
        return f"did you mean {near[0]}?" if near else f"use one of {expected}"
    if kind == "string_type" and isinstance(error.get("input"), int | float):
        return "put it in quotes, so that leading zeros stay"
    return "see `hc config schema` for what is allowed here"


def _line(node: yaml.Node | None, loc: tuple[Any, ...]) -> int:
    """The 1-based line of the deepest part of `loc` that exists in the file."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None and part in _LEFT_OUT:
                continue
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        elif isinstance(part, int):
            continue  # a single value that was read as a list of one
        else:
            return line
    return line
