"""The reference assets: states, counties, territories, grid regions, pricing nodes, ZIP centres, substations.

What belongs here: one asset a reference table, its checks and metadata. What does not: the rows (`pipeline.reference`).
"""

import dagster as dg

from hc_platform.orchestration.failures import refuse_if_blocked
from hc_platform.orchestration.metadata import check_result, column_schema, markdown
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.utility_assets import Events
from hc_platform.pipeline.reference import build_reference
from hc_platform.reference.checks import REFERENCE_CHECKS, check_reference
from hc_platform.reference.datasets import DATASETS, Dataset
from hc_platform.reference.reading import ReferenceDataError

REFERENCE = "reference"
REFERENCE_KEYS = [dg.AssetKey([REFERENCE, name]) for name in DATASETS]
# once when they are not there (on_missing() would wait for them to go missing again), and every month: what a setting
# names may have a new edition
_MONTHLY = dg.AutomationCondition.missing().newly_true() | dg.AutomationCondition.cron_tick_passed(
    "0 5 2 * *"
)


def reference_assets(platform: Platform) -> list[dg.AssetsDefinition]:
    """One asset for each reference table."""
    return [_reference(dataset, platform) for dataset in DATASETS.values()]


def _reference(dataset: Dataset, platform: Platform) -> dg.AssetsDefinition:
    table = dataset.table
    key = dg.AssetKey([REFERENCE, table.name])

    @dg.asset(
        key=key,
        group_name=REFERENCE,
        description=table.meaning,
        kinds={"geoparquet" if "geometry" in table.schema else "polars", "deltalake"},
        automation_condition=_MONTHLY,
        check_specs=[
            dg.AssetCheckSpec(name, asset=key, blocking=blocks, description=text)
            for name, (blocks, text) in REFERENCE_CHECKS.items()
        ],
        metadata={
            "source": dataset.about.source,
            "licence": dataset.about.licence,
            "vintage": dataset.about.vintage,
            "settings": ", ".join(dataset.environment) or "none: shipped with the package",
            "dagster/column_schema": column_schema(table),
        },
    )
    def reference_table(context: dg.AssetExecutionContext) -> Events:
        try:
            rows = build_reference(dataset, platform.settings, platform.lake, platform.catalog)
        except ReferenceDataError as error:
            raise dg.Failure(f"{error}; the old rows stay", allow_retries=False) from error
        kept = rows.is_empty() and not dataset.configured(platform.settings)
        if kept:  # a shell that lacks the setting must not empty what the daemon has read
            rows = platform.lake.scan(table).collect()
        checks = check_reference(dataset, rows, platform.settings, kept=kept and rows.height > 0)
        yield from (check_result(c, key) for c in checks)
        refuse_if_blocked(checks)
        # a version of its own for equal rows would have all joins of all utilities made anew
        if platform.lake.version(table) < 0 or not rows.equals(platform.lake.scan(table).collect()):
            platform.lake.replace(table, {}, rows, run_id=context.run.run_id)
        told = rows.group_by("source", "licence", "vintage").len("rows").sort("source")
        yield dg.MaterializeResult(
            asset_key=key,
            metadata={"dagster/row_count": rows.height, "provenance": markdown(told)},
        )

    return reference_table
