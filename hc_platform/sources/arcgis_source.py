"""ArcGIS feature and map services as a source: the utility's config translated for `arcgis`, and back.

What belongs here: which of a config's keys reach the client, and what a failed pull means to the pipeline.
What does not: the protocol (`hc_platform.arcgis`).
"""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from hc_platform import arcgis
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.sources.base import (
    AbsentError,
    LayerDescription,
    LayerPull,
    PartialPullError,
    Progress,
    SignInError,
    SourceError,
    SourceOptions,
    match_fields,
)
from hc_platform.sources.signing import http_for, may_see_token

_RETRYABLE = {"retry", "shrink"}  # one that is down, or blocks us, will not be otherwise in a minute


@dataclass(frozen=True)
class ArcGISSource:
    """Layers of an ArcGIS FeatureServer or MapServer."""

    options: SourceOptions

    def edited_at(self, config: UtilityConfig, layer: LayerConfig) -> datetime | None:
        """The date in the layer's metadata; MapServers tell none."""
        try:
            return self._info(config, layer).edited_at
        except arcgis.ArcGISError as error:
            raise translated(error, config, layer) from error

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        """Resolve the layer by its name and ask for its fields, count and last edit.

        Raises ContractError where the count fails and a field is gone: the filter may be on that one.
        """
        try:
            info = self._info(config, layer)
        except arcgis.ArcGISError as error:
            raise translated(error, config, layer) from error
        found = LayerDescription(
            url=info.url,
            name=info.name,
            layer_index=info.layer_id,
            fields={f.name: f.type for f in info.fields},
            object_id_field=info.object_id_field,
            count=0,
            edited_at=info.edited_at,
            metadata=info.raw,
            native=info,
        )
        try:
            state = arcgis.layer_state(info, where=layer.where, http=self._http(config, layer))
        except arcgis.ArcGISError as error:
            match_fields(config, layer, found)
            raise translated(error, config, layer) from error
        return replace(found, count=state.count, edited_at=state.edited_at)

    def pull(
        self,
        config: UtilityConfig,
        layer: LayerConfig,
        found: LayerDescription,
        directory: Path,
        progress: Progress,
    ) -> LayerPull:
        """Pull all features under the config's `where`, with the attributes that the layer keeps."""
        try:
            pull = arcgis.pull_layer(
                found.native,
                directory,
                where=layer.where,
                out_fields=_kept_fields(config, layer, found),
                page_size=layer.page_size or config.page_size,
                out_sr=config.out_sr,
                geometry=layer.geometry,
                http=self._http(config, layer),
                progress=lambda done, total: progress(layer.label, done, total),
            )
        except arcgis.ArcGISError as error:
            raise translated(error, config, layer) from error
        if pull.status == "partial" or pull.count_after is None:
            raise PartialPullError(_what_is_missing(config, layer, pull))
        return LayerPull(
            status=pull.status,
            files=pull.files,
            rows=pull.rows,
            expected_count=pull.count_after,
            plan=pull.plan,
            requests=pull.requests,
            bytes=pull.bytes_received,
            notes=[
                *pull.notes,
                *([f"{pull.resumed_rows} rows resumed from an earlier attempt"] if pull.resumed_rows else []),
                *(f"kept without geometry: {q}" for q in pull.quarantined),
                *([f"{pull.null_tokens} NaN or Infinity read as null"] if pull.null_tokens else []),
            ],
        )

    def _info(self, config: UtilityConfig, layer: LayerConfig) -> arcgis.LayerInfo:
        url = config.layer_service_url(layer)
        return arcgis.describe_layer(
            url,
            name=layer.name,
            layer_index=layer.layer_index,
            fields=layer.named_fields,
            http=self._http(config, layer),
        )

    def _http(self, config: UtilityConfig, layer: LayerConfig) -> arcgis.HttpOptions:
        return http_for(config, layer, self.options, config.layer_service_url(layer))


def _kept_fields(config: UtilityConfig, layer: LayerConfig, found: LayerDescription) -> tuple[str, ...]:
    if layer.attributes == "all":
        return ("*",)
    return tuple(dict.fromkeys(match_fields(config, layer, found).values()))


def translated(error: "arcgis.ArcGISError", config: UtilityConfig, layer: LayerConfig) -> SourceError:
    """What a server's failure means to the pipeline, with the mend where it stands in the config."""
    said = f"{config.utility_code}, layer {layer.label}: {error}"
    if error.kind == "moved":
        return AbsentError(said)
    if error.kind == "auth":
        return SignInError(f"{said} {_sign_in_mend(config, error.url)}")
    if error.kind == "blocked":
        return SourceError(f"{said} {_gate_mend(config, layer)}")
    return SourceError(said, retryable=error.kind in _RETRYABLE)


def _sign_in_mend(config: UtilityConfig, url: str) -> str:
    yaml = f"utility_configs/{config.utility_code}.yaml"
    if config.auth is None:
        return f"It needs sign-in: name the variables with the credentials under auth in {yaml}."
    if not may_see_token(config, url):
        host = urlsplit(url).netloc
        return (
            f"No token was sent to {host}, which {yaml} does not name: if credentials may go there, write its "
            "address as service_url or folder."
        )
    names = " and ".join(n for n in (config.auth.identity, config.auth.secret) if n)
    return f"The sign-in by {names} is not enough: check what they hold, and what that account may read."


def _gate_mend(config: UtilityConfig, layer: LayerConfig) -> str:
    sent = {k: v for k, v in config.headers_of(layer).items() if k.lower() in ("referer", "user-agent")}
    yaml = f"utility_configs/{config.utility_code}.yaml"
    told = ", ".join(f"{k}: {v}" for k, v in sent.items()) or "no Referer or User-Agent of its own"
    return (
        f"The config sends {told}; servers behind such a gate want the exact address of the publisher's web map as "
        f"Referer, or a browser's User-Agent: mend headers in {yaml}."
    )


def _what_is_missing(config: UtilityConfig, layer: LayerConfig, pull: "arcgis.LayerPull") -> str:
    sample = ", ".join(map(str, pull.missing_object_ids[:20]))
    reasons = "; ".join([*map(str, pull.quarantined[:5]), *pull.notes[-2:]])
    return (
        f"{config.utility_code}, layer {layer.label}: the pull is partial, {pull.rows} of {pull.count_after} features "
        f"came, {pull.missing_count} are missing (object ids {sample or 'unknown'}). {reasons}. Nothing was published; "
        "run again to resume with the windows already on disk."
    )
