"""Laws of compiled schedules, for any tariff in any zone."""

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from hc_platform.charging.tables import TOU_SCHEDULES
from hc_platform.charging.tariffs import Tariff, compile_tariffs, tier_at
from hc_platform.charging.tariffs.compiled import day_parts
from hc_platform_tests.charging.tariffs.making import ZONES, tariff_of, tariffs, utc, version, wall_clock_tier
from hc_platform_tests.laws import law

TICK = dt.timedelta(microseconds=1)
# Around the days on which clocks jump, and anywhere.
STARTS = st.sampled_from(
    [utc("2026-03-06T03:00"), utc("2026-10-30T17:30"), utc("2026-04-02T00:00"), utc("2026-10-02T11:11")]
) | st.datetimes(dt.datetime(2025, 9, 1), dt.datetime(2027, 4, 1), timezones=st.just(dt.UTC))  # noqa: DTZ001


def wall(tariff: Tariff, instant: dt.datetime) -> dt.datetime:
    local = instant.astimezone(ZoneInfo(tariff.timezone))
    saving = local.dst() or dt.timedelta(0)
    return local.replace(tzinfo=None) - (saving if tariff.plan.clock == "standard" else dt.timedelta(0))


@given(
    tariff=tariffs(),
    start=STARTS,
    length=st.timedeltas(dt.timedelta(hours=1), dt.timedelta(days=12)),
    data=st.data(),
)
@example(
    tariff=tariff_of(version({"tier": "on_peak", "start": "22:00", "end": "02:00"})),
    start=utc("2026-10-31T22:00"),
    length=dt.timedelta(days=2),
    data=None,
)
@law(150)
def test_compiled_rows_say_what_the_wall_clock_says(
    tariff: Tariff, start: dt.datetime, length: dt.timedelta, data: st.DataObject | None
) -> None:
    end = start + length
    rows = compile_tariffs({tariff.schedule: tariff}, start, end)
    assert rows.schema == TOU_SCHEDULES.schema
    stretches = rows.select("starts_at", "ends_at", "version", "tier", "rank", "starts_local").rows()
    assert (stretches[0][0], stretches[-1][1]) == (start, end)
    for one, two in itertools.pairwise(stretches):
        assert one[1] == two[0], "contiguous"
        assert one[2:4] != two[2:4], "equal neighbours are one row"
    every_quarter = [
        start + n * dt.timedelta(minutes=15) for n in range(int(length / dt.timedelta(minutes=15)))
    ]
    chance = (
        []
        if data is None
        else data.draw(
            st.lists(
                st.datetimes(
                    start.replace(tzinfo=None), (end - TICK).replace(tzinfo=None), timezones=st.just(dt.UTC)
                ),
                max_size=5,
            )
        )
    )
    probes = [s for s, *_ in stretches] + [e - TICK for _, e, *_ in stretches] + every_quarter + chance
    at = 0
    for instant in sorted(probes):
        while stretches[at][1] <= instant:
            at += 1
        now = tier_at(tariff, instant)
        assert now[:3] == stretches[at][2:5]
        assert now.tier == wall_clock_tier(tariff, wall(tariff, instant))
    for starts_at, *_, starts_local in stretches:
        local = dt.datetime.fromisoformat(starts_local)
        assert local == starts_at.replace(microsecond=0)
        assert local.replace(tzinfo=None) == wall(tariff, starts_at).replace(microsecond=0)


@given(start=STARTS, cut=st.timedeltas(dt.timedelta(minutes=1), dt.timedelta(days=5)), tariff=tariffs())
@law(40)
def test_where_one_cuts_the_time_makes_no_difference(
    start: dt.datetime, cut: dt.timedelta, tariff: Tariff
) -> None:
    end = start + dt.timedelta(days=6)
    whole = compile_tariffs({"x": tariff}, start, end)
    tail = compile_tariffs({"x": tariff}, start + cut, end)
    kept = whole.filter(whole["ends_at"] > start + cut)
    assert tail["ends_at"].to_list() == kept["ends_at"].to_list()
    assert tail["tier"].to_list() == kept["tier"].to_list()


@given(tariff=tariffs(), day=st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 31)))
@law(80)
def test_the_parts_of_a_day_are_that_day(tariff: Tariff, day: dt.date) -> None:
    parts = day_parts(tariff, day)
    assert parts[0].start.time() == dt.time(0)
    assert parts[-1].end.date() == day + dt.timedelta(days=1)
    assert all(one.end == two.start for one, two in itertools.pairwise(parts))
    assert all(tier_at(tariff, part.start).tier == part.tier for part in parts)


def test_schedules_follow_each_other_and_none_gives_an_empty_table() -> None:
    both = {zone: tariff_of(version({"tier": "on_peak", "end": "01:00"}), zone=zone) for zone in ZONES[:2]}
    rows = compile_tariffs(both, utc("2026-01-01T00:00"), utc("2026-01-02T00:00"))
    assert rows["timezone"].unique(maintain_order=True).to_list() == list(ZONES[:2])
    assert (
        compile_tariffs({}, utc("2026-01-01T00:00"), utc("2026-01-02T00:00")).schema == TOU_SCHEDULES.schema
    )
