"""How a utility's assets and runs are labelled, so that sixty of them can be filtered and read.

What belongs here: groups and tags. What does not: the assets (`utility_assets`), the runs (`requests`).
"""

import re

from hc_platform.catalog.models import UtilityConfig


def group_of(utility: UtilityConfig) -> str:
    """The asset group: the state; for a utility of several states its parent, else the states."""
    if len(utility.states) == 1:
        return f"us_{utility.states[0].lower()}"
    return _plain(utility.parent_company or "us " + " ".join(utility.states)).lower()


def tags_of(utility: UtilityConfig) -> dict[str, str]:
    """The tags of its assets and its runs alike."""
    return {
        "utility": utility.utility_code,
        "wave": str(utility.wave or "none"),
        "parent": _plain(utility.parent_company or utility.utility_name).lower(),
        "state": "-".join(utility.states),
        "iso": utility.iso_id or "none",
        "source": utility.data_source_type,
        "cadence": utility.cadence,
    }


def _plain(text: str) -> str:
    """Letters, digits and single underscores, which Dagster takes everywhere."""
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:60]
