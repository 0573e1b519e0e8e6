"""Which resources of the DOE Atlas the configs cover, and how: the list behind `hc coverage` and docs/coverage.md.

What belongs here: the Atlas's rows, held against the catalog, as rows and as Markdown. What does not: what a utility
publishes (its YAML), when it was last ingested (`pipeline.national`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import Field

from hc_platform.catalog.fields import Resource, Strict, Verification
from hc_platform.catalog.loading import Catalog
from hc_platform.catalog.models import UtilityConfig
from hc_platform.documents import Kind, read_document

ATLAS_FILE: Final = Path(__file__).with_name("atlas.yaml")
_HEADER: Final = """# Coverage

Made from the configs by `hc coverage -o docs/coverage.md`; do not edit by hand. Nothing here says that a service answers
today: `hc config verify` asks, and `hc utilities` tells when each was last ingested.

- Status. `fetched`: the config has an address for it and knows its fields. `fetched_if_found`: its service or its layer
  is not known for certain; a pull takes it if it is there, and tells if it is not. `side_not_available`: other data of
  the utility are fetched, this side is not. The other statuses say why nothing is fetched.
- Rows are those that others counted before the verification's date, in all states that the utility's map covers.
- Verification is that of the least known layer, and its date. `live_checked`: the service itself was asked.
  `fields_seen_in_published_pulls`: others published its rows or metadata. `documented`: it is known from inventories,
  programs or papers. `guessed`: its address or its fields are a guess.
- An optional layer may be absent; it does not hold back the others.
"""


class AtlasResource(Strict):
    """One row of the Atlas. `utilities`: the configs that answer for it; `kind`: the side of their data it lists."""

    state: str
    resource: str
    utilities: list[str] = Field(min_length=1)
    kind: Resource | None = None


class Atlas(Strict):
    """The Atlas as far as its rows are known by name; `beyond` it, what was found elsewhere."""

    resources_in_atlas: int
    resources: list[AtlasResource]
    beyond: list[AtlasResource]

    @property
    def unnamed(self) -> int:
        """How many of the Atlas's resources nobody could name."""
        return self.resources_in_atlas - len(self.resources)


@dataclass(frozen=True)
class CoverageRow:
    """One Atlas resource held against one config.

    `status`: `fetched`, `fetched_if_found` where every layer of it is optional or guessed, or why not (an access_status,
    `side_not_available` where the utility is fetched but not this side of its data, or `no_config`). `fetched`: what
    comes, e.g. "generation: section (1,319,715 rows)". `reason`: what does not, and why.
    """

    state: str
    resource: str
    utility_code: str
    status: str
    fetched: str
    verification: str
    reason: str


def load_atlas(path: Path = ATLAS_FILE) -> Atlas:
    """Read the Atlas's rows. Raises ConfigError."""
    kind = Kind(
        Atlas,
        parts={"resources": AtlasResource, "beyond": AtlasResource},
        help="see the other rows",
        example="",
    )
    return read_document(path, kind).parse(Atlas)


def coverage(rows: Iterable[AtlasResource], catalog: Catalog) -> list[CoverageRow]:
    """Each Atlas resource with each of its configs, in the Atlas's order."""
    return [_row(row, code, catalog.get(code)) for row in rows for code in row.utilities]


def _row(row: AtlasResource, code: str, config: UtilityConfig | None) -> CoverageRow:
    if config is None:
        return CoverageRow(row.state, row.resource, code, "no_config", "", "", f"there is no {code}.yaml")
    sides = [row.kind] if row.kind else config.resources
    told = _fetched(config, sides) if config.fetchable else ""
    missing = [config.unavailable[s] for s in sides if s in config.unavailable]
    if told:
        status, reason = _certainty(config, sides), "; ".join(missing)
    elif config.fetchable:
        status, reason = "side_not_available", "; ".join(missing) or "no layer of the config carries it"
    else:
        status, reason = config.access_status, config.access_reason or ""
    return CoverageRow(
        row.state,
        row.resource,
        config.utility_code,
        status,
        told,
        _weakest(config, sides if told else ()),
        reason,
    )


def _certainty(config: UtilityConfig, sides: Iterable[Resource]) -> str:
    """`fetched` where one layer of these sides at least is neither optional nor guessed."""
    certain = any(
        not layer.optional and (layer.verification or config.verification).status != "guessed"
        for layer in config.layers
        if any(side in layer.resources for side in sides)
    )
    return "fetched" if certain else "fetched_if_found"


def _fetched(config: UtilityConfig, sides: Iterable[Resource]) -> str:
    """'generation: section (1,319,715 rows), feeder (3,032 rows)' for each side that some layer carries."""
    parts = []
    for side in sides:
        layers = [layer for layer in config.layers if side in layer.resources]
        told = [
            f"{x.grain} ({x.rows_seen:,} rows)" if x.rows_seen else f"{x.grain} (rows not known)"
            for x in layers
        ]
        if told:
            parts.append(f"{side}: {', '.join(told)}")
    return "; ".join(parts)


_TRUST: Final = ("guessed", "documented", "fields_seen_in_published_pulls", "live_checked")


def _weakest(config: UtilityConfig, sides: Iterable[Resource]) -> str:
    """The verification of the least known of the layers that carry these sides; else the config's own."""
    known: list[Verification] = [
        layer.verification or config.verification
        for layer in config.layers
        if any(side in layer.resources for side in sides)
    ]
    least = min(known or [config.verification], key=lambda v: _TRUST.index(v.status))
    return f"{least.status} {least.on}"


def coverage_markdown(atlas: Atlas, catalog: Catalog) -> str:
    """docs/coverage.md: the Atlas's rows, what is beyond it, every layer, every licence."""
    rows, beyond = coverage(atlas.resources, catalog), coverage(atlas.beyond, catalog)
    named = len({(r.state, r.resource) for r in rows})
    fetched = len({(r.state, r.resource) for r in rows if r.status == "fetched"})
    perhaps = len({(r.state, r.resource) for r in rows if r.status == "fetched_if_found"})
    summary = (
        f"The Atlas counts {atlas.resources_in_atlas} resources. {named} of them are known by name and stand below, "
        f"{fetched} with data that are fetched and {perhaps} that are fetched if found; {atlas.unnamed} could not be "
        "named. "
        f"{sum(c.fetchable for c in catalog.values())} of {len(catalog)} configs fetch.\n"
    )
    shown = (
        "state",
        "resource",
        "config",
        "status",
        "what is fetched",
        "verification",
        "what is not, and why",
    )

    def cells(row: CoverageRow) -> list[str]:
        return [
            row.state, row.resource, row.utility_code, row.status, row.fetched, row.verification, row.reason
        ]  # fmt: skip

    layers = [
        [
            code, resource, layer.label, layer.grain, f"{layer.rows_seen:,}" if layer.rows_seen else "not known",
            (layer.verification or config.verification).status, "optional" if layer.optional else "",
        ]
        for code, config in catalog.items() for layer in config.layers for resource in layer.resources
    ]  # fmt: skip
    terms = [
        [code, config.utility_name, config.licence or "none stated", config.disclaimer or ""]
        for code, config in catalog.items() if config.layers
    ]  # fmt: skip
    return "\n".join(
        [
            _HEADER, summary, "## The Atlas's resources\n", _table(shown, map(cells, rows)),
            "## Beyond the Atlas\n", _table(shown, map(cells, beyond)),
            "## Every layer\n",
            _table(("config", "resource", "layer", "grain", "rows last seen", "verification", ""), layers),
            "## Licences and disclaimers\n", _table(("config", "utility", "licence", "disclaimer"), terms),
        ]
    )  # fmt: skip


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    names = list(header)
    lines = [
        names,
        ["---"] * len(names),
        *[[" ".join(c.replace("|", "\\|").split()) for c in row] for row in rows],
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
