"""The charging code location; nothing else happens here.

It belongs here, apart from hosting capacity: a typo in a utility's YAML must not stop a charger's next command.
"""

from collections.abc import Callable
from functools import lru_cache

import dagster as dg

from hc_platform.charging.site import Site, open_site
from hc_platform.orchestration.charging_assets import GROUP, charging_assets
from hc_platform.orchestration.charging_automation import charging_automation
from hc_platform.orchestration.charging_history import reimport_check, replays
from hc_platform.settings import Settings


def build_definitions(settings: Settings, site: Callable[[], Site]) -> dg.Definitions:
    """Assets, jobs, schedules and sensors of charge control; `site` is asked for when something runs."""
    check, monthly = reimport_check(site)
    automation = charging_automation(settings, site, check)
    return dg.Definitions(
        assets=[charging_assets(site), replays(site, GROUP)],
        asset_checks=[check],
        executor=dg.in_process_executor,
        resources={"io_manager": dg.mem_io_manager},  # steps hand over frames within one process
        jobs=[*automation["jobs"], monthly["job"]],
        schedules=[*automation["schedules"], monthly["schedule"]],
        sensors=automation["sensors"],
    )


@dg.definitions
def defs() -> dg.Definitions:
    """What workspace.yaml loads."""
    settings = Settings()

    @lru_cache(maxsize=1)
    def site() -> Site:
        return open_site(settings)

    return build_definitions(settings, site)
