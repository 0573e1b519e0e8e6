"""Services that rotate as a source: the newest publication that has the layer and its fields.

What belongs here: trying candidates and saying what each lacks. What does not: listing them (`discovery`), asking
one of them (`arcgis_source`).
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from hc_platform import arcgis
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.arcgis_source import ArcGISSource, translated
from hc_platform.sources.base import (
    AbsentError,
    ContractError,
    LayerDescription,
    LayerPull,
    Progress,
    SignInError,
    SourceError,
    SourceOptions,
    match_fields,
)
from hc_platform.sources.contract import field_drift
from hc_platform.sources.discovery import (
    Candidate,
    Looked,
    dated,
    listed,
    newest_first,
    of_one_age,
    passed_over,
)
from hc_platform.sources.signing import http_for
from hc_platform.sources.vintage import Period

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)


def candidates(config: UtilityConfig, layer: LayerConfig, options: SourceOptions) -> list[Candidate]:
    """The publications of a rotating layer that are listed now, newest first; none of them is tried.

    Raises SourceError; ValueError for a layer that has no discovery.
    """
    discovery = config.discovery_of(layer)
    if discovery is None:
        raise ValueError(f"{config.utility_code}, layer {layer.label} does not rotate")
    try:
        found = listed(discovery, partial(http_for, config, layer, options))
    except arcgis.ArcGISError as error:
        raise translated(error, config, layer) from error
    if discovery.dated_by == "modified" and len(found) > 1:
        # an item is modified by a new thumbnail too; where the layer tells when its data were edited, that counts
        found = newest_first(
            [dated(c, _edited_at(config, layer, c, options) or c.modified_at) for c in found]
        )
    return found


def pinned(layer: LayerConfig, candidate: Candidate) -> LayerConfig:
    """The layer as it stands in one publication, which then is like any other service."""
    return layer.model_copy(update={"service_url": candidate.url, "discovery": None})


def _edited_at(
    config: UtilityConfig, layer: LayerConfig, candidate: Candidate, options: SourceOptions
) -> datetime | None:
    try:
        return ArcGISSource(options).edited_at(config, pinned(layer, candidate))
    except SourceError as error:
        if error.retryable:
            raise
        return None  # what is wrong with it is told when it is tried


@dataclass(frozen=True)
class RotatingSource:
    """A layer whose service is published anew under other names. `within`: only publications of that period."""

    options: SourceOptions
    within: Period | None = None

    def edited_at(self, config: UtilityConfig, layer: LayerConfig) -> datetime | None:
        """Of the publication that would be taken now."""
        return self._chosen(config, layer).edited_at

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        """The newest publication that has the layer, its fields and rows; `looked` tells of all.

        One that is gone, lacks any of these, or wants a sign-in that the config has not, gives way to the next older;
        one that does not answer is waited for. Raises AbsentError where there is no publication, ContractError where
        none fits.
        """
        return self._chosen(config, layer)

    def pull(
        self,
        config: UtilityConfig,
        layer: LayerConfig,
        found: LayerDescription,
        directory: Path,
        progress: Progress,
    ) -> LayerPull:
        """Pull the publication that was described, and note what newer ones lack."""
        chosen = next(look.candidate for look in found.looked if look.verdict == "chosen")
        pull = ArcGISSource(self.options).pull(config, pinned(layer, chosen), found, directory, progress)
        return replace(pull, notes=[*passed_over(found.looked), *pull.notes])

    def _chosen(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        due: list[Candidate] = []
        looked: list[Looked] = []
        for candidate in candidates(config, layer, self.options):
            if self.within is None or (candidate.vintage and self.within.holds(candidate.vintage)):
                due.append(candidate)
            else:
                told = f"it is of {candidate.vintage or 'no known date'}"
                looked.append(Looked(candidate, "other_period", told))
        found: LayerDescription | None = None
        for group in of_one_age(due):
            if found:
                looked += [Looked(candidate, "not_newest") for candidate in group]
            else:
                found = self._newest_of(config, layer, group, looked)
        if found:
            return replace(found, looked=tuple(looked))
        raise _none_fits(config, layer, looked)

    def _newest_of(
        self, config: UtilityConfig, layer: LayerConfig, group: list[Candidate], looked: list[Looked]
    ) -> LayerDescription | None:
        """Of publications of one date the one that fits, else the one that was edited last; adds to `looked`.

        Raises SourceError where several fit and their edit dates do not tell.
        """
        fitting: dict[Candidate, LayerDescription] = {}
        for candidate in group:
            if any(candidate.title == other.title for other in fitting):
                looked.append(Looked(candidate, "not_newest", "it is another face of the same service"))
                continue
            found, look = self._tried(config, layer, candidate)
            if found:
                fitting[candidate] = found
            else:
                looked.append(look)
        edits = {candidate: found.edited_at for candidate, found in fitting.items()}
        dates = sorted((edited for edited in edits.values() if edited), reverse=True)
        if len(fitting) > 1 and (len(dates) < len(fitting) or dates[0] == dates[1]):
            raise _ambiguous(config, layer, list(fitting), looked)
        chosen = max(fitting, key=lambda c: edits[c] or _LONG_AGO, default=None)
        for candidate in fitting:
            last = candidate is chosen
            looked.append(
                Looked(candidate, "chosen") if last else Looked(candidate, "not_newest", "edited earlier")
            )
        return fitting[chosen] if chosen else None

    def _tried(
        self, config: UtilityConfig, layer: LayerConfig, candidate: Candidate
    ) -> tuple[LayerDescription | None, Looked]:
        one = pinned(layer, candidate)
        try:
            found = ArcGISSource(self.options).describe(config, one)
            match_fields(config, one, found)
        except AbsentError as error:
            lacks = isinstance(error.__cause__, arcgis.LayerMoved)
            return None, Looked(candidate, "lacks_layer" if lacks else "gone", _short(error))
        except SignInError as error:
            if config.auth:
                raise
            return None, Looked(candidate, "needs_sign_in", _short(error))
        except ContractError as error:
            return None, Looked(candidate, "lacks_fields", error.lacks)
        if retyped := [told for _, grave, told in field_drift(one, found) if grave]:
            return None, Looked(candidate, "lacks_fields", "; ".join(retyped))
        if found.count == 0:  # made known before it was filled
            return None, Looked(candidate, "empty", f"has no rows where {layer.where}")
        return found, Looked(candidate, "chosen")


def _short(error: SourceError) -> str:
    """What the server said, without the mend of a config that may be right."""
    cause = error.__cause__
    return cause.what if isinstance(cause, arcgis.ArcGISError) else str(error)


def _ambiguous(
    config: UtilityConfig, layer: LayerConfig, fitting: list[Candidate], looked: list[Looked]
) -> SourceError:
    names = ", ".join(candidate.title for candidate in fitting)
    told = "of the same date as others that fit"
    return SourceError(
        f"{config.utility_code}, layer {layer.label}: {names} have the layer and its fields, and neither their names nor "
        f"their edit dates tell which is the newest: narrow title in utility_configs/{config.utility_code}.yaml",
        looked=[*looked, *(Looked(candidate, "ambiguous", told) for candidate in fitting)],
    )


def _none_fits(config: UtilityConfig, layer: LayerConfig, looked: list[Looked]) -> SourceError:
    told = "; ".join(f"{look.candidate.title}: {look.reason}" for look in looked)
    message = f"{config.utility_code}, layer {layer.label}: no publication of the service fits. {told}"
    verdicts = {look.verdict for look in looked}
    if verdicts & {"lacks_fields", "empty"}:
        mend = (
            f"Mend utility_configs/{config.utility_code}.yaml, then `hc config lint {config.utility_code}`."
        )
        return ContractError(f"{message}. {mend}", looked=looked)
    if verdicts == {"needs_sign_in"}:
        return SignInError(f"{message}. Name the variables with the credentials under auth.", looked=looked)
    return AbsentError(f"{message}. Correct discovery, name or layer_index.", looked=looked)
