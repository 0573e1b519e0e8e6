"""The hosting-capacity code location; nothing else happens here."""

from functools import cache

import dagster as dg

from hc_platform.catalog import load_catalog
from hc_platform.orchestration.automation import jobs_and_automation
from hc_platform.orchestration.national_assets import national_assets
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.reference_assets import reference_assets
from hc_platform.orchestration.spatial_assets import spatial_assets
from hc_platform.orchestration.utility_assets import utility_assets
from hc_platform.settings import Settings


def build_definitions(platform: Platform) -> dg.Definitions:
    """All assets, jobs, schedules and sensors of one catalog."""
    fetchable = [c for c in platform.catalog.values() if c.fetchable]
    per_utility = [a for c in fetchable for a in (*utility_assets(c, platform), *spatial_assets(c, platform))]
    return dg.Definitions(
        assets=[*reference_assets(platform), *per_utility, *national_assets(platform)],
        executor=dg.in_process_executor,
        **jobs_and_automation(platform),
    )


@dg.definitions
@cache  # Dagster asks twice while it loads the location
def defs() -> dg.Definitions:
    """What workspace.yaml loads."""
    settings = Settings()
    return build_definitions(Platform(settings, load_catalog(settings.configs)))
