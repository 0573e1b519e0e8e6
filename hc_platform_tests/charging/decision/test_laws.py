"""What must hold of every story, whatever tariffs, policies, readings and news it is made of."""

import itertools
from datetime import datetime, timedelta

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from hc_platform.charging.models import Policy, Reason
from hc_platform_tests.charging.decision import reference, strategies
from hc_platform_tests.charging.decision.making import (
    Charger,
    Row,
    World,
    device,
    flat_file,
    minutes,
    peak_version,
    reading,
    utc,
)
from hc_platform_tests.laws import law

_story_law = law(25, suppress_health_check=list(HealthCheck))
_ALLOWS = Reason.OVERRIDE | Reason.DEADLINE | Reason.INACTIVE | Reason.UNKNOWN_UTILITY
_BAD = Reason.MOER_MISSING | Reason.MOER_INVALID | Reason.MOER_STALE | Reason.MOER_FUTURE


def _world(data: st.DataObject, t: datetime) -> World:
    tariffs, policies = data.draw(strategies.tariffs(t)), data.draw(strategies.policy_sets())
    return World(tariffs, policies, around=t, ahead=timedelta(days=20))


def _story(data: st.DataObject, steps: int = 8) -> tuple[World, list[Row], datetime]:
    """Some devices after some steps of a random story, at an instant that was not decided yet."""
    t = data.draw(st.sampled_from(strategies.STARTS))
    world = _world(data, t)
    rows = [data.draw(strategies.devices(f"d{n}")) for n in range(6)]
    for _ in range(data.draw(st.integers(0, steps))):
        rows = [data.draw(strategies.moved(row, t)) for row in rows]
        world.readings = data.draw(strategies.readings(t))
        world.step(rows, t)
        checks = [row["next_check_at"] for row in rows if row["next_check_at"] and row["next_check_at"] > t]
        near = [check for check in checks if check < t + timedelta(days=3)]
        t = data.draw(st.sampled_from([*near, t + minutes(5), t + minutes(70)]))
    rows = [data.draw(strategies.moved(row, t)) for row in rows]
    world.readings = data.draw(strategies.readings(t))
    return world, rows, t


@_story_law
@given(st.data())
def test_deciding_twice_at_one_instant_changes_and_sends_nothing(data: st.DataObject) -> None:
    world, rows, t = _story(data)
    world.step(rows, t)
    again = world.decide(rows, t)
    assert [row for row in again if row["commanded"] or row["changed"]] == []


@_story_law
@given(st.data())
def test_nothing_changes_by_itself_before_the_next_check(data: st.DataObject) -> None:
    """The law that the sensor rests on: with time alone moving, no device needs anything before its next check."""
    world, rows, t = _story(data)
    world.step(rows, t)
    second = timedelta(seconds=1)
    quiet = [
        min(((row["next_check_at"] or t + timedelta(days=2)) - t) // second - 1, 4 * 86_400) for row in rows
    ]
    for at in {1, *quiet, data.draw(st.integers(1, max(1, *quiet)))}:
        then = t + at * second
        still = [row for row, last in zip(rows, quiet, strict=True) if 1 <= at <= last]
        for row, later in zip(still, world.decide(still, then), strict=True):
            over = row["protocol"] == "window" and row["window_end"] is not None and row["window_end"] <= then
            now = (later["desired"], later["window_start"], later["window_end"])
            assert not over, "its window's end is not among its checks"
            assert not later["commanded"], (t, then, row, later)
            assert now == (row["desired"], row["window_start"], row["window_end"]), (t, then, row, later)


@_story_law
@given(st.data())
def test_override_deadline_and_unknown_utility_always_allow(data: st.DataObject) -> None:
    world, rows, t = _story(data)
    for row, decision in zip(rows, world.decide(rows, t), strict=True):
        leaves = row["deadline"] and row["deadline"] - timedelta(seconds=row["need_s"]) <= t < row["deadline"]
        over = row["override_until"] and row["override_until"] > t
        if leaves or over or row["status"] == "inactive" or row["utility_id"] not in ("one", "two"):
            assert decision["desired"] == "allow"
            assert Reason(decision["reasons"]) & _ALLOWS


@_story_law
@given(st.data())
def test_bad_readings_and_a_bad_clock_never_begin_a_pause(data: st.DataObject) -> None:
    world, rows, t = _story(data)
    world.clock_trusted = data.draw(st.booleans())
    tariff = int(Reason.TOU_PEAK | Reason.TOU_JITTER | Reason.TOU_AHEAD)
    for row, decision in zip(rows, world.decide(rows, t), strict=True):
        stood = reference.past(row, t)
        if decision["desired"] == "allow" or stood.stands:
            continue
        assert world.clock_trusted
        assert decision["reasons"] & tariff or not Reason(decision["reasons"]) & _BAD


@_story_law
@given(st.data())
def test_moer_alone_never_pauses_longer_than_the_policy_says(data: st.DataObject) -> None:
    t = utc("2026-07-02 06:00")
    drawn = data.draw(strategies.policy_sets())
    policies = {name: policy.model_copy(update={"use_moer": True}) for name, policy in drawn.items()}
    flat = flat_file("one", first=[{"effective_from": "2020-01-01", "tiers": {"flat": 1}}])
    world = World(flat, policies)
    rows = [
        device(f"{protocol} {name}", protocol=protocol, policy_id=name, utility_id="one", rate_plan="first")
        for protocol in ("window", "legacy")
        for name in policies
    ]
    paused_from: dict[str, datetime] = {}
    for _ in range(25):
        world.readings = {"PSCO": data.draw(strategies.one_reading(t))}
        world.step(rows, t)
        for row in rows:
            if row["desired"] != "pause":
                paused_from.pop(row["device_id"], None)
                continue
            since = paused_from.setdefault(row["device_id"], t)
            assert row["window_end"] - since <= timedelta(seconds=policies[row["policy_id"]].max_pause_s)
            assert t < row["window_end"]
        gap = t + timedelta(seconds=data.draw(st.sampled_from((30, 300, 1200))))
        t = min(gap, *(row["next_check_at"] or gap for row in rows))


@_story_law
@given(st.data())
def test_a_device_that_hears_all_never_charges_while_its_tariff_pauses(data: st.DataObject) -> None:
    """Second by second at every edge of the tariff's own, unshifted windows, with a decision at every next check."""
    t = data.draw(st.sampled_from(strategies.STARTS))
    world = _world(data, t)
    row = data.draw(strategies.devices("d")) | {
        "protocol": "window",
        "utility_id": "one",
        "policy_id": "default",
    }
    row["rate_plan"] = data.draw(st.sampled_from(strategies.PLANS))
    charger, end = Charger(), t + timedelta(days=2)
    tariff, rank = world.tariffs[f"one/{row['rate_plan']}"], world.policies["default"].pause_rank
    # for more than two days after the end: a stretch too long to be a window, cut short there, would look like one
    spans = list(reference.pausing_windows(tariff, rank, world.timeline.start, end + timedelta(days=3)))
    second = timedelta(seconds=1)
    edges = sorted({at for a, b in spans for at in (a, a + second, b - second) if t <= at < end})
    for _ in range(400):
        world.readings = data.draw(strategies.readings(t))
        charger.hear(world.step([row], t)[0])
        after = min(row["next_check_at"] or end, t + minutes(data.draw(st.integers(20, 600))))
        for at in (t, *(edge for edge in edges if t < edge < after)):
            assert not (charger.charges(at) and any(a <= at < b for a, b in spans)), (t, at, row)
        t = after
        if t >= end:
            break


@given(st.integers(0, 2**32 - 1), st.sampled_from((0, 59, 60, 600, 3600)), st.integers(0, 60))
@law(20)
def test_jitter_is_earlier_and_later_by_the_same_whole_minutes(spread: int, most: int, day: int) -> None:
    policy = Policy(jitter_s=most, lead_s=0, use_moer=False)
    world = World(
        flat_file("one", timezone="UTC", first=[peak_version("17:00", "21:00")]), {"default": policy}
    )
    row = device(utility_id="one", rate_plan="first", spread=spread)
    start = utc("2026-07-02 17:00") + timedelta(days=day)
    one, two = (world.decide([row], start)[0] for _ in range(2))
    assert one == two
    early, late = start - one["window_start"], one["window_end"] - (start + timedelta(hours=4))
    assert early == late
    assert timedelta(0) <= early <= timedelta(seconds=most)
    assert early % minutes(1) == timedelta(0)


def test_jitter_spreads_a_fleet_over_all_its_minutes() -> None:
    policy = Policy(jitter_s=600, lead_s=0, use_moer=False)
    world = World(
        flat_file("one", timezone="UTC", first=[peak_version("17:00", "21:00")]), {"default": policy}
    )
    rows = [device(f"d{n}", utility_id="one", rate_plan="first") for n in range(500)]
    starts = {row["window_start"] for row in world.decide(rows, utc("2026-07-02 17:00"))}
    assert starts == {utc("2026-07-02 17:00") - minutes(n) for n in range(11)}


def test_a_held_reading_does_not_begin_a_pause_after_a_tariffs_window() -> None:
    """`fail_safe: hold` keeps what goes on: the window device has resumed by itself."""
    policy = Policy(jitter_s=0, lead_s=0, dwell_s=0, fail_safe="hold", max_pause_s=36_000)
    world = World(
        flat_file("one", timezone="UTC", first=[peak_version("17:00", "18:00")]), {"default": policy}
    )
    row = device(utility_id="one", rate_plan="first")
    assert world.one(row, utc("2026-07-02 17:30"), 90.0)["moer"] == "pausing"
    world.readings = {"PSCO": reading(None, None, "http 503")}
    for at, _ in itertools.product(("2026-07-02 18:00", "2026-07-02 18:30"), range(2)):
        assert world.one(row, utc(at))["desired"] == "allow"
