"""A tariff file as YAML text: short enough to read, and the same file when it is loaded again.

What belongs here: the layout. What does not: where tariffs come from (`rows`, `urdb`), reading them (`loading`).
"""

from typing import Any

import yaml

from hc_platform.charging.tariffs.model import TariffFile
from hc_platform.documents import Loader


class _Flow(dict[str, Any]):
    """A mapping that stands on one line."""


class _FlowList(list[Any]):
    """A list that stands on one line."""


class _Dumper(yaml.SafeDumper):
    """Indents lists below their key, and writes no aliases: each version reads by itself."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """See yaml.emitter.Emitter; `indentless` is never taken."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Always."""
        return True


# What the reader takes for a word needs no quotes (the key `on`); what other readers take for a number gets them.
_BOOL = "tag:yaml.org,2002:bool"
_Dumper.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != _BOOL]
    + [(tag, regexp) for tag, regexp in Loader.yaml_implicit_resolvers.get(first, []) if tag == _BOOL]
    for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
_Dumper.add_representer(
    _Flow,
    lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=True),
)
_Dumper.add_representer(
    _FlowList, lambda dumper, data: dumper.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)
)


def dump_tariff_file(file: TariffFile) -> str:
    """The file as YAML, without what is left at its default; loads back to an equal one."""
    data = file.model_dump(exclude_defaults=True)
    if "states" in data:
        data["states"] = _FlowList(data["states"])
    for plan in data["rate_plans"].values():
        plan["verification"]["sources"] = list(plan["verification"]["sources"])
        plan["versions"] = [_version(version) for version in plan["versions"]]
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def _version(version: dict[str, Any]) -> dict[str, Any]:
    version["tiers"] = _Flow(version["tiers"])
    if "seasons" in version:
        version["seasons"] = {name: _FlowList(days) for name, days in version["seasons"].items()}
    if "holidays" in version:
        version["holidays"] = _lists(version["holidays"])
    if "periods" in version:
        version["periods"] = [_Flow(_lists(period)) for period in version["periods"]]
    return version


def _lists(values: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists; a single kind of day as the word that it is."""
    plain = {key: _FlowList(each) if isinstance(each, tuple) else each for key, each in values.items()}
    if len(values.get("days", ())) == 1:
        plain["days"] = values["days"][0]
    return plain
