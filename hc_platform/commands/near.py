"""`hc near`: published feeders around a place, and what room they have.

What belongs here: options and the table printed. What does not: the search (`pipeline.near`).
"""

from typing import Annotated, Final

import typer

from hc_platform.commands.shared import DataDir, settings_of
from hc_platform.ingesting import MistakeError
from hc_platform.lake.store import open_lake
from hc_platform.settings import Settings
from hc_platform.terminal import print_table, say

_SHOWN: Final = 3


def near(
    lat: Annotated[float, typer.Option(help="Latitude, degrees.")],
    lon: Annotated[float, typer.Option(help="Longitude, degrees.")],
    radius_km: Annotated[float, typer.Option(min=0, max=100, help="How far to look, km.")] = 1.0,
    limit: Annotated[int, typer.Option(min=1, help="Feeders to show.")] = 50,
    data_dir: DataDir = None,
) -> None:
    """Published feeders within so many km of a place, nearest line first, with what room they have."""
    from hc_platform.pipeline.near import feeders_near

    try:
        found = feeders_near(open_lake(settings_of(data_dir).root), lat, lon, radius_km)
    except ValueError as error:
        raise MistakeError(str(error)) from error
    rows = [
        (
            r["utility_code"],
            r["feeder_name"] or r["feeder_id_external"],
            f"{r['distance_m']:,.0f}",
            _mw(r["remaining_load_mw"]),
            _mw(r["remaining_generation_mw"]),
            r["snapshot"],
        )
        for r in found.head(limit).iter_rows(named=True)
    ]
    print_table(
        f"Feeders within {radius_km:g} km of {lat}, {lon}",
        ("utility", "feeder", "metres", "room for load, MW", "room for generation, MW", "snapshot"),
        rows,
    )
    if found.height > limit:
        say(f"{found.height - limit} more; --limit shows them")
    say("published capacity is an estimate, not an interconnection study; - is not published")


def lines_told(settings: Settings, lat: float, lon: float) -> str:
    """Whose published lines are near enough to say whose grid a place is on, in one line."""
    import polars as pl
    from deltalake.exceptions import DeltaError

    from hc_platform.pipeline.near import SERVED_M, utility_near

    try:
        found = utility_near(open_lake(settings.root), lat, lon)
    except (
        OSError,
        DeltaError,
        pl.exceptions.PolarsError,
    ) as error:  # a charger is registered without the lake too
        return f"published lines not looked up: {str(error).partition(chr(10))[0]}"
    utilities = list(dict.fromkeys(code for code, _, _ in found))
    shown = "; ".join(f"{code} {feeder} at {metres:,.0f} m" for code, feeder, metres in found[:_SHOWN])
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    sure = " (of several utilities: the nearest need not be the one)" if len(utilities) > 1 else ""
    return f"published lines within {SERVED_M:.0f} m: {shown or 'none'}{more}{sure}"


def _mw(value: float | None) -> str:
    return "-" if value is None else f"{value:,.2f}"
