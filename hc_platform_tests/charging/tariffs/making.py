"""Tariffs for tests: made by hand in one line, or at random."""

import datetime as dt
from typing import Any

from hypothesis import strategies as st

from hc_platform.charging.tariffs.calendars import day_of
from hc_platform.charging.tariffs.model import RatePlan, Tariff, TariffFile, TariffVersion, tariffs_of

PEAK = {"tier": "on_peak", "days": "weekdays", "start": "17:00", "end": "21:00"}
TIERS = {"off_peak": 1, "on_peak": 3}
ZONES = ("America/Denver", "America/Phoenix", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
NAMES = ("New Year's Day", "Independence Day", "Thanksgiving Day", "Christmas Day")


def utc(text: str) -> dt.datetime:
    """ISO 8601 as an instant in UTC."""
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def version(*periods: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A version since 2020 with two tiers, of which off_peak is the base."""
    return {
        "effective_from": dt.date(2020, 1, 1),
        "default_tier": "off_peak",
        "tiers": TIERS,
        "periods": periods,
        **fields,
    }


def file_of(*versions: dict[str, Any], zone: str = "America/Denver", clock: str = "prevailing") -> TariffFile:
    """The file demo.yaml with one plan."""
    plan = {
        "name": "Demo plan",
        "clock": clock,
        "verification": {"status": "documented", "on": dt.date(2026, 11, 1), "sources": ("a page",)},
        "versions": versions,
    }
    return TariffFile.model_validate(
        {"utility_id": "demo", "utility_name": "Demo", "timezone": zone, "rate_plans": {"plan": plan}}
    )


def tariff_of(*versions: dict[str, Any], zone: str = "America/Denver", clock: str = "prevailing") -> Tariff:
    """That file's tariff."""
    return tariffs_of(file_of(*versions, zone=zone, clock=clock))["demo/plan"]


def wall_clock_tier(tariff: Tariff, wall: dt.datetime) -> str | None:
    """What the definition of a window says, written down a second time: intervals of wall time, day by day."""
    held = [
        v for v in tariff.plan.versions if v.effective_from <= wall.date() <= (v.effective_to or wall.date())
    ]
    if not held:
        return None
    found = []
    for day in (wall.date() - dt.timedelta(days=1), wall.date()):
        midnight = dt.datetime.combine(day, dt.time())
        for period in held[0].periods:
            start, end = (
                midnight + dt.timedelta(hours=int(text[:2]), minutes=int(text[3:]))
                for text in (period.start, period.end)
            )
            end += dt.timedelta(days=end <= start)
            if start <= wall < end and day_of(held[0], day).matches(period):
                found.append((period.priority, period.tier))
    return max(found)[1] if found else held[0].default_tier


_TIMES = st.sampled_from(
    ("00:00", "00:30", "01:00", "01:30", "02:00", "02:30", "03:00", "06:15", "17:00", "22:00")
)
_DAYS = st.lists(
    st.sampled_from(("all", "weekdays", "weekends", "holidays", "mon", "fri", "sat", "sun")),
    min_size=1,
    max_size=3,
    unique=True,
)
_MONTH_DAYS = st.sampled_from(
    ("01-01", "02-27", "02-29", "03-01", "03-31", "06-01", "09-30", "11-01", "12-31")
)


@st.composite
def versions(draw: st.DrawFn, begin: dt.date, end: dt.date | None, ranked: bool = True) -> TariffVersion:
    """Any version; with `ranked` no two periods have one priority, so that none can be at odds."""
    seasons = draw(st.dictionaries(st.sampled_from(("a", "b")), st.tuples(_MONTH_DAYS, _MONTH_DAYS)))
    periods = [
        {
            "tier": draw(st.sampled_from(("off_peak", "shoulder", "on_peak"))),
            "days": draw(_DAYS),
            "seasons": draw(st.lists(st.sampled_from(sorted(seasons)), unique=True)) if seasons else (),
            "start": draw(_TIMES),
            "end": draw(_TIMES | st.just("24:00")),
            "priority": index if ranked else draw(st.integers(0, 1)),
        }
        for index in range(draw(st.integers(0, 4)))
    ]
    return TariffVersion.model_validate(
        {
            "effective_from": begin,
            "effective_to": end,
            "default_tier": "off_peak" if ranked else draw(st.sampled_from(("off_peak", None))),
            "tiers": {"off_peak": 1, "shoulder": 2, "on_peak": 3},
            "seasons": seasons,
            "holidays": {
                "names": draw(st.lists(st.sampled_from(NAMES), unique=True)),
                "dates": draw(st.lists(st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)), max_size=2)),
                "observed": draw(st.sampled_from(("none", "sunday_to_monday", "nearest_weekday"))),
            },
            "periods": periods,
        }
    )


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    """Any tariff of one to three versions, which may leave time without any between them."""
    days = sorted(draw(st.sets(st.dates(dt.date(2025, 10, 1), dt.date(2027, 3, 31)), min_size=2, max_size=6)))
    ends: list[dt.date | None] = [*days[1::2]]
    begins = days[0::2]
    if len(ends) < len(begins) or draw(st.booleans()):
        ends = [*ends[: len(begins) - 1], None]
    plan = RatePlan(
        name="any",
        clock=draw(st.sampled_from(("prevailing", "standard"))),
        verification={"status": "unverified", "on": dt.date(2026, 1, 1), "sources": ("chance",)},
        versions=tuple(draw(versions(b, e)) for b, e in zip(begins, ends, strict=True)),
    )
    return Tariff(utility_id="demo", rate_plan="any", timezone=draw(st.sampled_from(ZONES)), plan=plan)
