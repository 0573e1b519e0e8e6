"""Where it is: a utility's feeder_locations and feeder_substations, and device_feeders of the nation.

What belongs here: thin assets over `pipeline.locations`, `pipeline.feeder_substations` and `pipeline.device_feeders`.
What does not: the joins.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import polars as pl

from hc_platform.catalog.models import UtilityConfig
from hc_platform.charging.tables import DEVICES
from hc_platform.geo.tables import DEVICE_FEEDERS, FEEDER_LOCATIONS, FEEDER_SUBSTATIONS
from hc_platform.hosting_capacity.tables import RECORDS, SECTIONS
from hc_platform.orchestration.failures import plain_failures, refuse_if_blocked
from hc_platform.orchestration.metadata import bar, check_result, column_schema, markdown
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.reference_assets import REFERENCE
from hc_platform.orchestration.utility_assets import FEEDER, LOCATION, SUBSTATION, Events, common, unchanged
from hc_platform.pipeline.device_feeders import DEVICE_CHECKS, check_devices, prepare_devices
from hc_platform.pipeline.feeder_substations import SUBSTATION_CHECKS, prepare_substations
from hc_platform.pipeline.locations import LOCATION_CHECKS, prepare_locations
from hc_platform.pipeline.normalize import held_by
from hc_platform.pipeline.standing import inputs_of, remember, stands
from hc_platform.reference.reading import ReferenceDataError
from hc_platform.reference.tables import (
    BALANCING_AUTHORITIES,
    COUNTIES,
    ISO_REGIONS,
    PRICING_NODES,
    STATES,
    SUBSTATIONS,
    UTILITY_TERRITORIES,
)

_PLACED_BY = (STATES, COUNTIES, UTILITY_TERRITORIES, BALANCING_AUTHORITIES, ISO_REGIONS)
_MATCHED_BY = (SUBSTATIONS, PRICING_NODES)
"""The reference tables that the joins read."""


def spatial_assets(utility: UtilityConfig, platform: Platform) -> list[dg.AssetsDefinition]:
    """The two joined assets of one utility, partitioned by snapshot like those before them."""
    return [_locations(utility, platform), _substations(utility, platform)]


def _locations(utility: UtilityConfig, platform: Platform) -> dg.AssetsDefinition:
    code = utility.utility_code
    key = dg.AssetKey([LOCATION, code])

    @dg.asset(
        **common(utility, LOCATION),
        deps=[[FEEDER, code], *([REFERENCE, table.name] for table in _PLACED_BY)],
        description=f"{utility.utility_name}: state, county, ISO and balancing authority of each feeder.",
        kinds={"shapely", "deltalake"},
        check_specs=_specs(key, LOCATION_CHECKS),
        metadata={"dagster/column_schema": column_schema(FEEDER_LOCATIONS)},
    )
    def feeder_locations(context: dg.AssetExecutionContext) -> Events:
        lake, run_id = platform.lake, context.run.run_id
        with plain_failures(), _told(), platform.turn():
            held = held_by(lake, code, context.partition_key)
            inputs = inputs_of(utility, held, lake, (RECORDS, SECTIONS), _PLACED_BY)
            if held != context.partition_key and stands(lake, FEEDER_LOCATIONS, utility, held, inputs):
                yield from unchanged(key, LOCATION_CHECKS, held)
                return
            prepared = prepare_locations(utility, held, lake, platform.settings)
            checks = prepared.checks()
            yield from (check_result(c, key) for c in checks)
            refuse_if_blocked(checks)
            prepared.commit(lake, run_id)
            remember(lake, FEEDER_LOCATIONS, utility, held, inputs, run_id)
        rows = prepared.rows
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "dagster/row_count": rows.height,
                "states": bar(_counts(rows, "state")),
                "counties": markdown(rows["county_name"].value_counts(sort=True), 20),
                "balancing authority by": bar(_counts(rows, "balancing_authority_method")),
                "authorities told": markdown(rows["authorities_said"].value_counts(sort=True), 10),
            },
        )

    return feeder_locations


def _substations(utility: UtilityConfig, platform: Platform) -> dg.AssetsDefinition:
    code = utility.utility_code
    key = dg.AssetKey([SUBSTATION, code])

    @dg.asset(
        **common(utility, SUBSTATION),
        deps=[[FEEDER, code], *([REFERENCE, table.name] for table in _MATCHED_BY)],
        description=f"{utility.utility_name}: which substation feeds each feeder, with every candidate.",
        kinds={"shapely", "deltalake"},
        check_specs=_specs(key, SUBSTATION_CHECKS),
        metadata={"dagster/column_schema": column_schema(FEEDER_SUBSTATIONS)},
    )
    def feeder_substations(context: dg.AssetExecutionContext) -> Events:
        lake, run_id = platform.lake, context.run.run_id
        reviewed = [platform.settings.substation_overrides]
        with plain_failures(), _told(), platform.turn():
            held = held_by(lake, code, context.partition_key)
            inputs = inputs_of(utility, held, lake, (RECORDS, SECTIONS), _MATCHED_BY, reviewed)
            if held != context.partition_key and stands(lake, FEEDER_SUBSTATIONS, utility, held, inputs):
                yield from unchanged(key, SUBSTATION_CHECKS, held)
                return
            prepared = prepare_substations(utility, held, lake, platform.settings)
            checks = prepared.checks()
            yield from (check_result(c, key) for c in checks)
            refuse_if_blocked(checks)
            prepared.commit(lake, run_id)
            remember(lake, FEEDER_SUBSTATIONS, utility, held, inputs, run_id)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "dagster/row_count": prepared.rows.height,
                "status": bar(_counts(prepared.best, "status")),
                "method": bar(_counts(prepared.best, "method")),
                "substations known": prepared.known,
            },
        )

    return feeder_substations


def device_feeders(platform: Platform) -> dg.AssetsDefinition:
    """The chargers of the other code location, against every utility's newest lines."""
    key = dg.AssetKey("device_feeders")
    codes = [c.utility_code for c in platform.catalog.values() if c.fetchable]
    # chargers are written every few minutes: new lines bring it up to date, and else every night
    moved = dg.AutomationCondition.eager().without(~dg.AutomationCondition.any_deps_missing())
    nightly = moved.ignore(dg.AssetSelection.assets("devices")) | dg.AutomationCondition.cron_tick_passed(
        "0 4 * * *"
    )

    @dg.asset(
        key=key,
        group_name="national",
        deps=["devices", *([FEEDER, code] for code in codes), [REFERENCE, "utility_territories"]],
        description=DEVICE_FEEDERS.meaning,
        kinds={"shapely", "deltalake"},
        automation_condition=nightly,
        check_specs=_specs(key, DEVICE_CHECKS),
        metadata={"dagster/column_schema": column_schema(DEVICE_FEEDERS)},
    )
    def device_feeders(context: dg.AssetExecutionContext) -> Events:
        with _told():
            rows = prepare_devices(platform.lake, platform.catalog, platform.settings, platform.now())
        devices = platform.lake.scan(DEVICES).select("device_id", "utility_id").collect()
        checks = check_devices(rows, devices, platform.catalog)
        yield from (check_result(c, key) for c in checks)
        refuse_if_blocked(checks)
        platform.lake.replace(DEVICE_FEEDERS, {}, rows, run_id=context.run.run_id)
        best = rows.filter(pl.col("rank") == 1)
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={
                "dagster/row_count": rows.height,
                "status": bar(_counts(best, "status")),
                "method": bar(_counts(best, "method")),
            },
        )

    return device_feeders


def _specs(key: dg.AssetKey, checks: dict[str, tuple[bool, str]]) -> list[dg.AssetCheckSpec]:
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=blocks, description=text)
        for name, (blocks, text) in checks.items()
    ]


def _counts(rows: pl.DataFrame, column: str) -> dict[str, float]:
    counts = rows[column].fill_null("none").value_counts(sort=True)
    return {str(name): float(n) for name, n in counts.iter_rows()}


@contextmanager
def _told() -> Iterator[None]:
    """A reference file that cannot be used is told in a sentence; the old rows stay."""
    try:
        yield
    except ReferenceDataError as error:
        raise dg.Failure(f"{error}; the old rows stay", allow_retries=False) from error
