"""YAML documents that people write: read strictly, every mistake told with its file, line, key and mend.

What belongs here: parsing, locating a key's line, turning a validation error into advice, for any kind of document.
What does not: what the keys of a kind mean; those stand in the room that owns it (`catalog`, `charging.tariffs`).
"""

import difflib
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)
Loc = tuple[str | int, ...]
"""Where a value stands in a document: keys and list indices from the top."""


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


class Loader(yaml.CSafeLoader):
    """YAML's safe subset, with duplicate keys refused: a second `where:` would silently win.

    libyaml's parser: every process of the UI reads all configs, and PyYAML's own takes ten times as long.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping; raises ConstructorError for a key that stands there twice."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a list or mapping stands here as a key", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands here twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.2's scalars where 1.1's surprise: on and NO are words, 17:00 is a text and not the number 1020.
_OWN = {
    "tag:yaml.org,2002:bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "tag:yaml.org,2002:int": (
        r"[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+",
        "-+0123456789",
    ),
}
Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag not in _OWN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, (_pattern, _firsts) in _OWN.items():
    Loader.add_implicit_resolver(_tag, re.compile(f"^(?:{_pattern})$"), list(_firsts))


@dataclass(frozen=True)
class Kind:
    """One kind of document, as far as advice about its mistakes needs it."""

    model: type[BaseModel]
    parts: Mapping[str, type[BaseModel]]
    """The model of what stands below a key."""
    help: str
    """Where to read what is allowed."""
    example: str
    """What to start from."""
    left_out: tuple[str, ...] = ()
    """Parts of a key that a short form may leave out of the file."""


@dataclass(frozen=True)
class Document:
    """One file as read: its values, and where each of them stands."""

    path: Path
    kind: Kind
    data: dict[str, Any]
    node: yaml.Node | None

    def line(self, loc: Loc) -> int:
        """The 1-based line of the deepest part of `loc` that exists in the file."""
        line, node = 1, self.node
        for part in loc:
            if isinstance(node, yaml.MappingNode):
                found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
                if found is None and part in self.kind.left_out:
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

    def problem(self, loc: Loc, message: str, mend: str) -> Problem:
        """A mistake at that place."""
        return Problem(str(self.path), self.line(loc), ".".join(map(str, loc)) or "-", message, mend)

    def parse(self, model: type[M]) -> M:
        """The document as its model.

        Raises ConfigError with all mistakes that the model sees.
        """
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            raise ConfigError([self._invalid(e) for e in error.errors()]) from error

    def _invalid(self, error: Any) -> Problem:
        loc = tuple(part for part in error["loc"] if part != "[key]")
        message = error["msg"].removeprefix("Value error, ")
        return self.problem(loc, message[:1].lower() + message[1:], self._mend(error, loc))

    def _mend(self, error: Any, loc: Loc) -> str:
        kind = error["type"]
        if kind == "extra_forbidden":
            parts = self.kind.parts
            owner = next((parts[str(p)] for p in reversed(loc[:-1]) if p in parts), self.kind.model)
            near = nearest(str(loc[-1]), owner.model_fields)
            return (
                f"did you mean {near}?" if near else f"remove it; known here: {', '.join(owner.model_fields)}"
            )
        if kind == "missing":
            return f"add {loc[-1]}:"
        if kind == "literal_error":
            expected = error.get("ctx", {}).get("expected", "")
            near = nearest(str(error.get("input")), re.findall(r"'([^']+)'", expected))
            return f"did you mean {near}?" if near else f"use one of {expected}"
        if kind == "string_type" and isinstance(error.get("input"), int | float):
            return "put it in quotes, so that leading zeros stay"
        return self.kind.help


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that somebody who wrote `word` most likely meant."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def _place(error: yaml.reader.ReaderError | UnicodeDecodeError) -> int:
    return error.start if isinstance(error, UnicodeDecodeError) else error.position


def read_document(path: Path, kind: Kind) -> Document:
    """Read one file.

    Raises ConfigError when it is no YAML, or no mapping of keys.
    """
    try:
        loader = Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        data = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = f"is not valid YAML: {error.problem}"
        raise ConfigError([Problem(str(path), line, "-", problem, "mend the YAML at this line")]) from error
    except (yaml.reader.ReaderError, UnicodeDecodeError) as error:
        problem = f"is no UTF-8 text: {error.reason} at character {_place(error)}"
        raise ConfigError([Problem(str(path), 1, "-", problem, "save the file as UTF-8 text")]) from error
    if not isinstance(data, dict):
        raise ConfigError([Problem(str(path), 1, "-", "is no mapping of keys", f"start from {kind.example}")])
    return Document(path, kind, data, node)
