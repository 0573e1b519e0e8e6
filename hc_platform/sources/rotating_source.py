"""Services that rotate as a source: the newest publication that has the layer and its fields.

What belongs here: trying candidates and saying what each lacks. What does not: listing them (`discovery`), asking
one of them (`arcgis_source`).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path

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
from hc_platform.sources.discovery import Candidate, Looked, dated, listed, newest_first, passed_over
from hc_platform.sources.signing import http_for
from hc_platform.sources.vintage import Period


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
        found: LayerDescription | None = None
        looked: list[Looked] = []
        for candidate in candidates(config, layer, self.options):
            if self.within and not (candidate.vintage and self.within.holds(candidate.vintage)):
                looked.append(
                    Looked(candidate, "other_period", f"it is of {candidate.vintage or 'no known date'}")
                )
            elif found:
                looked.append(Looked(candidate, "not_newest"))
            else:
                found, look = self._tried(config, layer, candidate)
                looked.append(look)
        if found:
            return replace(found, looked=tuple(looked))
        raise _none_fits(config, layer, looked)

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
        if found.count == 0:  # made known before it was filled
            return None, Looked(candidate, "empty", f"has no rows where {layer.where}")
        return found, Looked(candidate, "chosen")


def _short(error: SourceError) -> str:
    """What the server said, without the mend of a config that may be right."""
    cause = error.__cause__
    return cause.what if isinstance(cause, arcgis.ArcGISError) else str(error)


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
