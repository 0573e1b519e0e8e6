"""What should hold of a fleet, and is told to whoever looks after it. None stops a run: devices go on being controlled.

What belongs here: the checks and their wording. What does not: running them (`orchestration`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from hc_platform.charging.delivery import MAX_RESENDS
from hc_platform.charging.models import Reason
from hc_platform.charging.schedules import Schedules
from hc_platform.charging.steps import Decided, Moer
from hc_platform.checking import Check

CHECKS: Final = {
    "devices_have_schedules": "every active device has a utility, a plan and a version of it that we know",
    "devices_are_readable": "every device in the registry can be read; one that another program broke is left out",
    "regions_are_fresh": "every region in use has a reading that can be used, and this machine's clock is right",
    "no_dead_letters": "no command of the last day was given up",
    "devices_agree": "no device goes on saying otherwise after three re-sends",
    "schedules_load": "tou_schedules/ and charge_policies.yaml are in order",
}
_DAY = timedelta(hours=24)
_UNSCHEDULED = Reason.UNKNOWN_UTILITY | Reason.NO_PLAN | Reason.NO_VERSION | Reason.UNKNOWN_POLICY


def devices_have_schedules(decided: Decided) -> Check:
    """Devices that the tariffs say nothing of, by reason."""
    bad = decided.frame.filter(
        (pl.col("status") == "active") & (pl.col("reasons") & pl.lit(int(_UNSCHEDULED)) != 0)
    )
    rows = bad.select("device_id", "reasons").iter_rows()
    told = _some(f"{device} ({', '.join((Reason(bits) & _UNSCHEDULED).names)})" for device, bits in rows)
    message = f"{bad.height} active devices without a schedule that can be used: {told}"
    return _check("devices_have_schedules", bad.height, message)


def devices_are_readable(unreadable: list[str]) -> Check:
    """Devices that the registry left out, with what is wrong with them: they are not controlled."""
    return _check(
        "devices_are_readable",
        len(unreadable),
        f"{len(unreadable)} devices are left out: {_some(unreadable)}",
    )


def regions_are_fresh(moer: Moer) -> Check:
    """Regions without a usable answer, and a clock that is off."""
    return _check("regions_are_fresh", len(moer.alerts), "; ".join(moer.alerts))


def no_dead_letters(commands: pl.DataFrame, now: datetime) -> Check:
    """Commands given up within a day, by their newest state."""
    newest = commands.sort("updated_at").unique("command_id", keep="last")
    dead = newest.filter((pl.col("status") == "dead") & (pl.col("updated_at") > now - _DAY))
    told = (f"{d} v{v}: {e}" for d, v, e in dead.select("device_id", "ver", "error").iter_rows())
    return _check("no_dead_letters", dead.height, f"{dead.height} commands given up: {_some(told)}")


def devices_agree(fleet: pl.DataFrame) -> Check:
    """Devices whose own word still differs after the last re-send."""
    bad = fleet.filter((pl.col("resends") >= MAX_RESENDS) & (pl.col("reported") != pl.col("desired")))
    told = (f"{d} says {s}" for d, s in bad.select("device_id", "reported").iter_rows())
    return _check("devices_agree", bad.height, f"{bad.height} devices do not do as told: {_some(told)}")


def schedules_load(schedules: Schedules) -> Check:
    """Whether the files could be read; if not, the last good ones are in force."""
    return _check("schedules_load", int(schedules.problem is not None), schedules.problem or "")


def _check(name: str, bad: int, message: str) -> Check:
    return Check(name, bad == 0, False, CHECKS[name] if bad == 0 else message, {"count": bad})


def _some(texts: Iterable[str]) -> str:
    listed = list(texts)
    return "; ".join(listed[:10]) + (f"; and {len(listed) - 10} more" if len(listed) > 10 else "")
