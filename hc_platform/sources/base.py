"""What every adapter offers, and what it hands over.

What belongs here: the interface between a config's layer and the pipeline, and the field contract.
What does not: any protocol (`arcgis_source`, `file_source`), or what is done with the features.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.discovery import Looked

Progress = Callable[[str, int, int], None]


class SourceError(RuntimeError):
    """A layer that cannot be fetched; the message names it and the mend. `retryable`: a later try may do.

    `looked`: the publications that were tried, where the service rotates.
    """

    def __init__(self, message: str, *, retryable: bool = False, looked: Sequence[Looked] = ()) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.looked = tuple(looked)


class AbsentError(SourceError):
    """The layer, or its whole service, does not exist where it should; a server that is silent is not absent."""


class SignInError(SourceError):
    """The server wants a sign-in that the config has not, or refuses the one it has."""


class PartialPullError(SourceError):
    """A pull that ended short: nothing is published, and the next run resumes with the windows on disk."""

    def __init__(self, message: str) -> None:
        super().__init__(message, retryable=True)


class ContractError(SourceError):
    """The layer no longer has a field that the config names; nothing is pulled. `lacks`: which, and little else."""

    def __init__(self, message: str, *, lacks: str = "", looked: Sequence[Looked] = ()) -> None:
        super().__init__(message, looked=looked)
        self.lacks = lacks or message


@dataclass(frozen=True)
class SourceOptions:
    """What the environment says of fetching; the same for every utility."""

    min_interval_s: float = 0.5
    in_flight: int = 4
    timeout_s: float = 120.0
    attempts: int = 3
    user_agent: str = "hc_platform"
    import_dir: Path = Path("imports")


@dataclass(frozen=True)
class LayerDescription:
    """What a layer says of itself before anything is pulled.

    `fields`: published field -> its published type. `count`: rows under the config's `where`.
    `edited_at`: last edit, UTC, None where the source tells none. `looked`: the publications of a rotating service,
    of which the chosen is described. `native`: for the adapter's own use.
    """

    url: str
    name: str
    layer_index: int | None
    fields: Mapping[str, str]
    object_id_field: str | None
    count: int
    edited_at: datetime | None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    native: Any = None
    looked: tuple[Looked, ...] = ()


@dataclass(frozen=True)
class LayerPull:
    """A finished pull: window files with columns object_id, attributes (JSON text), geometry (WKB, EPSG:4326).

    `files` are in object-id order; their rows are distinct and as many as the server counted.
    """

    status: Literal["complete", "changed"]
    files: list[Path]
    rows: int
    expected_count: int
    plan: str
    requests: int
    bytes: int
    notes: list[str]


class LayerSource(Protocol):
    """An adapter."""

    def edited_at(self, config: UtilityConfig, layer: LayerConfig) -> datetime | None:
        """When the layer was last edited, UTC, asked cheaply: no rows come. None where the source does not tell.

        Raises SourceError.
        """
        ...

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        """Ask the source what the layer is now. Raises SourceError."""
        ...

    def pull(
        self,
        config: UtilityConfig,
        layer: LayerConfig,
        found: LayerDescription,
        directory: Path,
        progress: Progress,
    ) -> LayerPull:
        """Fetch every feature into window files below `directory`, resuming what is there.

        Raises PartialPullError when it ends short, SourceError otherwise.
        """
        ...


def published_name(name: str, names: Iterable[str]) -> str | None:
    """The published spelling of a name: the same, else the only one that differs in nothing but case."""
    there = list(names)
    if name in there:
        return name
    folded = [n for n in there if n.lower() == name.lower()]
    return folded[0] if len(folded) == 1 else None


def match_fields(config: UtilityConfig, layer: LayerConfig, found: LayerDescription) -> dict[str, str]:
    """The contract: each field the config names -> the published spelling.

    A field that differs only in case is taken (services are republished so); one that is gone raises ContractError
    naming the utility, the layer, the field and its likeliest new name.
    """
    matched: dict[str, str] = {}
    missing: list[str] = []
    for name in config.fields_of_contract(layer):
        published = published_name(name, found.fields)
        if published is not None:
            matched[name] = published
        else:
            near = difflib.get_close_matches(name, found.fields, n=1)
            missing.append(f"{name} (now {near[0]}?)" if near else name)
    if missing:
        raise ContractError(
            f"{config.utility_code}, layer {layer.label}: the source no longer has the field(s) {', '.join(missing)}; "
            f"it has {', '.join(found.fields)}. Mend utility_configs/{config.utility_code}.yaml, then "
            f"`hc config lint {config.utility_code}`. ({found.url})",
            lacks=f"lacks the field(s) {', '.join(missing)}",
        )
    return matched
