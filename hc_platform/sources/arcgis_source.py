"""ArcGIS feature and map services as a source: the utility's config translated for `arcgis`, and back.

What belongs here: which of a config's keys reach the client, and what a failed pull means to the pipeline.
What does not: the protocol (`hc_platform.arcgis`).
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hc_platform import arcgis
from hc_platform.catalog.layers import LayerConfig
from hc_platform.catalog.models import UtilityConfig
from hc_platform.settings import secret
from hc_platform.sources.base import (
    LayerDescription,
    LayerPull,
    PartialPullError,
    Progress,
    SourceError,
    SourceOptions,
)

_RETRYABLE = {"retry", "shrink"}  # one that is down, or blocks us, will not be otherwise in a minute


@dataclass(frozen=True)
class ArcGISSource:
    """Layers of an ArcGIS FeatureServer or MapServer."""

    options: SourceOptions

    def edited_at(self, config: UtilityConfig, layer: LayerConfig) -> datetime | None:
        """The date in the layer's metadata; MapServers tell none."""
        try:
            return _info(config, layer, self._http(config, layer)).edited_at
        except arcgis.ArcGISError as error:
            raise _translated(error, config, layer) from error

    def describe(self, config: UtilityConfig, layer: LayerConfig) -> LayerDescription:
        """Resolve the layer by its name and ask for its fields, count and last edit."""
        http = self._http(config, layer)
        try:
            info = _info(config, layer, http)
            state = arcgis.layer_state(info, where=layer.where, http=http)
        except arcgis.ArcGISError as error:
            raise _translated(error, config, layer) from error
        return LayerDescription(
            url=info.url,
            name=info.name,
            layer_index=info.layer_id,
            fields={f.name: f.type for f in info.fields},
            object_id_field=info.object_id_field,
            count=state.count,
            edited_at=state.edited_at,
            metadata=info.raw,
            native=info,
        )

    def pull(
        self,
        config: UtilityConfig,
        layer: LayerConfig,
        found: LayerDescription,
        directory: Path,
        progress: Progress,
    ) -> LayerPull:
        """Pull all features under the config's `where`, with every attribute."""
        try:
            pull = arcgis.pull_layer(
                found.native,
                directory,
                where=layer.where,
                page_size=layer.page_size or config.page_size,
                out_sr=config.out_sr,
                http=self._http(config, layer),
                progress=lambda done, total: progress(layer.label, done, total),
            )
        except arcgis.ArcGISError as error:
            raise _translated(error, config, layer) from error
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

    def _http(self, config: UtilityConfig, layer: LayerConfig) -> arcgis.HttpOptions:
        options, auth = self.options, config.auth
        return arcgis.HttpOptions(
            min_interval_s=options.min_interval_s,
            in_flight=options.in_flight,
            timeout_s=options.timeout_s,
            attempts=options.attempts,
            headers={"User-Agent": options.user_agent, **config.headers_of(layer)},
            token=(lambda: _token(config, auth.secret)) if auth else None,
        )


def _token(config: UtilityConfig, name: str) -> str:
    try:
        return secret(name)
    except LookupError as error:
        raise SourceError(f"{config.utility_code}: {error.args[0]}") from None


def _info(config: UtilityConfig, layer: LayerConfig, http: arcgis.HttpOptions) -> arcgis.LayerInfo:
    return arcgis.describe_layer(
        config.layer_service_url(layer), name=layer.name, layer_index=layer.layer_index, http=http
    )


def _translated(error: "arcgis.ArcGISError", config: UtilityConfig, layer: LayerConfig) -> SourceError:
    return SourceError(
        f"{config.utility_code}, layer {layer.label}: {error}", retryable=error.kind in _RETRYABLE
    )


def _what_is_missing(config: UtilityConfig, layer: LayerConfig, pull: "arcgis.LayerPull") -> str:
    sample = ", ".join(map(str, pull.missing_object_ids[:20]))
    reasons = "; ".join([*map(str, pull.quarantined[:5]), *pull.notes[-2:]])
    return (
        f"{config.utility_code}, layer {layer.label}: the pull is partial, {pull.rows} of {pull.count_after} features "
        f"came, {pull.missing_count} are missing (object ids {sample or 'unknown'}). {reasons}. Nothing was published; "
        "run again to resume with the windows already on disk."
    )
