"""The decision a second time: one device, plain Python, from the words of docs/charge_control.md.

What belongs here: a slow, scalar twin of `hc_platform.charging.decision` that shares nothing with it but the fields of
the models and `tier_at`. What does not: tests. It is also the peer loop of the benchmark.
"""

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from hc_platform.charging.models import Policy, Reason
from hc_platform.charging.tariffs.calendars import utc_offset
from hc_platform.charging.tariffs.compiled import tier_at
from hc_platform.charging.tariffs.model import Tariff

Span = tuple[datetime, datetime]
_DAY = timedelta(days=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STANDING = Reason.TOU_PEAK | Reason.TOU_JITTER


class Around(NamedTuple):
    """A tariff's pausing windows around an instant, unshifted: the last over, the next not over, the one after."""

    last: Span | None = None
    next: Span | None = None
    after: Span | None = None


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def pauses_at(tariff: Tariff, pause_rank: int, at: datetime) -> bool:
    """Whether the tariff asks to wait: never without a version, never on a flat one."""
    now = tier_at(tariff, at)
    version = tariff.version_on(now.local.date())
    return version is not None and not version.is_flat and now.rank is not None and now.rank >= pause_rank


def _edges(tariff: Tariff, day: datetime) -> list[datetime]:
    """All instants of the UTC day from `day` on at which the tier could change."""
    offsets = {utc_offset(tariff, day + n * _DAY) for n in (-1, 0, 1, 2)}
    times = {(0, 0)} | {
        (int(time[:2]) % 24, int(time[3:]))
        for version in tariff.plan.versions
        for period in version.periods
        for time in (period.start, period.end)
    }
    edges = {
        day + timedelta(days=n, hours=hour, minutes=minute) - offset
        for hour, minute in times
        for offset in offsets
        for n in (-1, 0, 1)
    }
    if len(offsets) > 1:  # the clock jumps about now: look every half hour
        edges |= {day + timedelta(minutes=30 * n) for n in range(48)}
    return sorted(edge for edge in edges if day <= edge < day + _DAY)


def pausing_windows(tariff: Tariff, pause_rank: int, start: datetime, end: datetime) -> Iterator[Span]:
    """All pausing windows in [start, end), cut at both, one after another.

    What is cut may be too long to be a window at all: look two days farther than what is asked about.
    """
    if not any(max(v.tiers.values()) >= pause_rank and not v.is_flat for v in tariff.plan.versions):
        return
    since = start if pauses_at(tariff, pause_rank, start) else None
    day = datetime(start.year, start.month, start.day, tzinfo=UTC)
    while day < end:
        for edge in _edges(tariff, day):
            if not start < edge < end:
                continue
            pausing = pauses_at(tariff, pause_rank, edge)
            if pausing and since is None:
                since = edge
            elif not pausing and since is not None:
                if edge - since <= 2 * _DAY:
                    yield since, edge
                since = None
        day += _DAY
    if since is not None and end - since <= 2 * _DAY:
        yield since, end


def around(windows: Iterator[Span], at: datetime) -> Around:
    """The windows around an instant, out of ascending ones; reads no further than it must."""
    last = coming = None
    for window in windows:
        if window[1] <= at:
            last = window
        elif coming is None:
            coming = window
        else:
            return Around(last, coming, window)
    return Around(last, coming, None)


def windows_around(tariff: Tariff, pause_rank: int, at: datetime) -> Around:
    """Looked up by scanning days: from eight before (nothing older reaches into now) to a year after."""
    return around(pausing_windows(tariff, pause_rank, at - 8 * _DAY, at + 370 * _DAY), at)


def jitter(device: Mapping[str, Any], policy: Policy, window: Span) -> timedelta:
    """Whole minutes, 0 to jitter_s, from the device and the hour of the window's start."""
    hours = (window[0] - _EPOCH) // timedelta(hours=1)
    return timedelta(minutes=(device["spread"] + hours * 7919) % (policy.jitter_s // 60 + 1))


def shifted(device: Mapping[str, Any], policy: Policy, window: Span | None) -> Span | None:
    """Earlier to pause, later to resume."""
    if window is None:
        return None
    by = jitter(device, policy, window)
    return window[0] - by, window[1] + by


def lead(device: Mapping[str, Any], policy: Policy) -> timedelta:
    """Whole minutes, a quarter of lead_s to all of it, from the device."""
    least, most = policy.lead_s // 4 // 60, policy.lead_s // 60
    return timedelta(minutes=least + device["spread"] // 64 % (most - least + 1))


class Past(NamedTuple):
    """What the control says of the moment before."""

    stands: bool  # a pause stands at the device, going on or still to come
    paused: bool
    since: datetime | None  # of the pause that goes on, or ended at this very instant
    lasted: timedelta  # of the last pause that began
    flip: datetime | None


def past(device: Mapping[str, Any], t: datetime) -> Past:
    start, end, flip = device["window_start"], device["window_end"], device["changed_at"]
    if device["desired"] != "pause":
        return Past(False, False, None, seconds(0), flip)
    itself = device["protocol"] == "window"  # keeps time by itself
    stands = not itself or t < end
    if t < start:
        return Past(stands, False, None, seconds(0), flip)
    over = itself and end <= t
    since = device["paused_since"] or start
    flips = [f for f in (flip, start, end if over else None) if f is not None]
    return Past(
        stands, stands, since if not over or t == end else None, (end if over else t) - since, max(flips)
    )


def reading_of(
    device: Mapping[str, Any], policy: Policy, readings: Mapping[str, Mapping[str, Any]], t: datetime
) -> tuple[float | None, Reason]:
    """The percentile, or why there is none."""
    region = device["watttime_region"]
    if region is None:
        return None, Reason.NO_REGION
    reading = readings.get(region)
    if reading is None or any(reading[k] is None for k in ("percentile", "point_time")) or reading["failure"]:
        return None, Reason.MOER_MISSING
    if not 0 <= reading["percentile"] <= 100:  # NaN neither
        return None, Reason.MOER_INVALID
    if t - reading["point_time"] > seconds(policy.moer_ttl_s):
        return None, Reason.MOER_STALE
    if reading["point_time"] - t > seconds(policy.moer_skew_s):
        return None, Reason.MOER_FUTURE
    return reading["percentile"], Reason(0)


def moer_state(was: str, p: float | None, bad: bool, policy: Policy, before: Past, blocked: bool) -> str:
    """MOER's next state, the dwell aside. `p` None: no usable reading; `bad`: there ought to be one."""
    if blocked or not policy.use_moer:
        return "idle"
    if was == "capped":
        return "idle" if p is not None and p <= policy.moer_off else "capped"
    high = p is not None and p > policy.moer_on
    held = was == "pausing" and (p > policy.moer_off if p is not None else bad and policy.fail_safe == "hold")
    long = before.lasted >= seconds(policy.max_pause_s) and (before.since is not None or was == "pausing")
    if (high or held) and long:
        return "capped"
    return "pausing" if high or (held and before.paused) else "idle"


def decide_one(  # noqa: C901 - the rules in the order of the document, in one piece
    device: Mapping[str, Any],
    tariffs: Mapping[str, Tariff],
    policies: Mapping[str, Policy],
    readings: Mapping[str, Mapping[str, Any]] | None,
    as_of: datetime,
    *,
    utilities: Collection[str] | None = None,
    clock_trusted: bool = True,
    known_windows: Around | None = None,
) -> dict[str, Any]:
    """One device's decision at an instant: its new control and `commanded`.

    `device` is a row of `tables.FLEET`; `readings` by region with point_time, percentile, failure, None where MOER is
    not in use; `known_windows`: looked up before, else found by scanning the tariff's days.
    """
    t = as_of
    utilities = {tariff.utility_id for tariff in tariffs.values()} if utilities is None else utilities
    known = device["utility_id"] in utilities
    policy = policies.get(device["policy_id"]) or policies.get("default") or Policy()
    why = Reason(0)
    if device["policy_id"] not in policies and device["policy_id"] != "default":
        why |= Reason.UNKNOWN_POLICY
    if not known:
        why |= Reason.UNKNOWN_UTILITY
    tariff = tariffs.get(f"{device['utility_id']}/{device['rate_plan']}")
    windows = Around()
    if tariff is None:
        why |= Reason.NO_PLAN if known else Reason(0)
    else:
        windows = known_windows or windows_around(tariff, policy.pause_rank, t)
        version = tariff.version_on(tier_at(tariff, t).local.date())
        if version is None:
            why |= Reason.NO_VERSION
        elif version.is_flat:
            why |= Reason.FLAT_PLAN

    # what allows
    before = past(device, t)
    inactive = device["status"] != "active"
    overridden = device["override_until"] is not None and device["override_until"] > t
    leaves = device["deadline"] if device["deadline"] is not None and device["deadline"] > t else None
    begin = leaves - seconds(device["need_s"]) if leaves and device["need_s"] else None
    hurried = begin is not None and begin <= t
    allowed = inactive or overridden or hurried or not known

    # the tariff
    legacy = device["protocol"] == "legacy"
    last, coming, after = (shifted(device, policy, window) for window in windows)
    chained = coming is not None and after is not None and after[0] <= coming[1]
    if coming and after and chained:
        coming = coming[0], after[1]
    tail = last is not None and t < last[1]
    inside = coming is not None and coming[0] <= t
    active = tail or inside
    send_at = None if coming is None else coming[0] if legacy else coming[0] - lead(device, policy)
    ahead = not active and not legacy and send_at is not None and send_at <= t
    tou: Span | None = None
    if tail and last:
        tou = (last[0], coming[1]) if coming and coming[0] <= last[1] else last
    elif inside or ahead:
        tou = coming
    peak = windows.next is not None and windows.next[0] <= t
    why |= Reason.TOU_PEAK if peak else Reason.TOU_JITTER if active else Reason(0)
    why |= Reason.TOU_AHEAD if ahead else Reason(0)

    # MOER and the dwell
    p, bad = None, Reason(0)
    in_use = readings is not None and policy.use_moer and known
    if readings is not None and in_use:
        p, bad = reading_of(device, policy, readings, t)
    was = device["moer"] or "idle"
    high = p is not None and p > policy.moer_on
    moer = moer_state(was, p, bad not in (0, Reason.NO_REGION), policy, before, allowed or not in_use)
    early = before.flip is not None and t - before.flip < seconds(policy.dwell_s)
    worn = before.lasted >= seconds(policy.max_pause_s)
    had_tou = bool((device["reasons"] or 0) & _STANDING)
    deferred = False
    if early and not active and not allowed:
        if moer == "pausing" and not before.paused:
            deferred, moer = True, "idle"
        elif (moer, was) == ("idle", "pausing") and before.paused and p is not None and not (had_tou or worn):
            deferred, moer = True, "pausing"
    by_moer = moer == "pausing"

    # the pause that both ask for; a pause that is over is ended a minute before the next window goes out
    just_flipped = not before.stands and before.flip is not None and t - before.flip < seconds(60)
    released = ahead and not by_moer and (before.paused or just_flipped)
    start = end = None
    if active and tou:
        start, end = tou
    elif by_moer:
        start, end = t, (before.since or t) + seconds(policy.max_pause_s)
        if ahead and tou and end >= tou[0]:
            end = tou[1]
    elif ahead and tou and not (before.paused or just_flipped):
        start, end = tou
    if before.paused and start:
        start = device["window_start"]
    within = False
    if start and end and begin and leaves:
        within = begin <= start < leaves
        if start < begin < end:
            end = begin
    pause = start is not None and not allowed and not within
    if not clock_trusted:
        pause = pause and (
            (before.paused and (active or by_moer))
            or (before.stands and not before.paused and (active or ahead))
        )
        if pause:
            start, end = device["window_start"], device["window_end"]
        if by_moer and not (pause and before.paused):
            moer, by_moer = "idle", False
    if not pause:
        start = end = None

    # what is told
    first = device["desired"] is None
    if pause:
        other = end != device["window_end"] or (start > t and start != device["window_start"])
        begins = start <= t and not before.paused
        commanded = first or not before.stands or other or begins
    else:
        commanded = before.stands or (first and not inactive)
    for reason, holds in (
        (bad, bool(bad)),
        (Reason.MOER_HIGH, high),
        (Reason.MOER_HOLD, by_moer and not high and not deferred),
        (Reason.MOER_CAPPED, moer == "capped"),
        (Reason.DWELL, deferred),
        (Reason.OVERRIDE, overridden),
        (Reason.DEADLINE, hurried or within),
        (Reason.CLOCK_UNTRUSTED, not clock_trusted),
        (Reason.FIRST_SIGHT, first),
    ):
        why |= reason if holds else Reason(0)
    if inactive:
        why = Reason.INACTIVE
    goes = pause and start <= t
    since = None if not pause else (before.since or t) if goes else start

    # when to look again
    point = readings.get(device["watttime_region"], {}).get("point_time") if readings else None
    instants = [
        send_at,
        coming[0] if coming and not (pause and start > t) else None,
        tou[1] if tou else None,
        windows.next[1] if windows.next and chained and (active or ahead) else None,
        end,
        device["override_until"],
        begin,
        leaves,
        t + seconds(policy.heartbeat_s) if pause and policy.heartbeat_s else None,
        (before.flip if before.flip and not before.paused else t) + seconds(60) if released else None,
        before.flip + seconds(policy.dwell_s) if deferred and before.flip else None,
        since + seconds(policy.max_pause_s) if pause and by_moer and since else None,
        point + seconds(policy.moer_ttl_s + 1) if by_moer and p is not None and point else None,
        point - seconds(policy.moer_skew_s) if bad == Reason.MOER_FUTURE and point else None,
    ]
    later = [instant for instant in instants if instant is not None and instant > t]
    return {
        "device_id": device["device_id"],
        "rev": (device["rev"] or 0) + 1,
        "ver": (device["ver"] or 0) + commanded,
        "desired": "pause" if pause else "allow",
        "window_start": start,
        "window_end": end,
        "paused_since": since,
        "changed_at": t if bool(goes) != before.paused else before.flip,
        "moer": moer,
        "reasons": int(why),
        "next_check_at": min(later) if later and not inactive else None,
        "commanded": bool(commanded),
    }
