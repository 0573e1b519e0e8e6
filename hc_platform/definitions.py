"""The hosting-capacity code location; nothing else happens here."""

import dagster as dg

from hc_platform.catalog import load_catalog
from hc_platform.orchestration.automation import jobs_and_automation
from hc_platform.orchestration.national_assets import national_assets
from hc_platform.orchestration.platform import Platform
from hc_platform.orchestration.utility_assets import utility_assets
from hc_platform.settings import Settings


def build_definitions(platform: Platform) -> dg.Definitions:
    """All assets, jobs, schedules and sensors of one catalog."""
    per_utility = [utility_assets(c, platform) for c in platform.catalog.values() if c.fetchable]
    return dg.Definitions(
        assets=[*[asset for assets in per_utility for asset in assets], *national_assets(platform)],
        executor=dg.in_process_executor,
        **jobs_and_automation(platform),
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What workspace.yaml loads."""
    settings = Settings()
    return build_definitions(Platform(settings, load_catalog(settings.configs)))
