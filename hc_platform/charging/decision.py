"""The decision: for every device of a fleet, at one instant, what it should do and why.

What belongs here: the rules, over whole columns; the instant is given, never now. What does not: where tariffs and
readings come from, how a command is delivered (`delivery`), the words for a person (`explain`).

In order of strength: an inactive device or one of an unknown utility is allowed; Charge Now and a near deadline allow;
the tariff pauses, jittered to earlier and later; MOER pauses with hysteresis, a cap and a dwell; all else allows.
Every instant is a whole second, UTC. A pause is half-open, [window_start, window_end).
"""

from collections.abc import Collection, Mapping
from datetime import datetime

import polars as pl

from hc_platform.charging.models import Policy, Reason
from hc_platform.charging.situations import bit, kinds_of, situations
from hc_platform.charging.timeline import Timeline

_MINUTE = 60
_TOU = int(Reason.TOU_PEAK | Reason.TOU_JITTER)
_PERSISTED = ("desired", "window_start", "window_end", "paused_since", "moer", "reasons", "next_check_at")
_TOLD = ("desired", "window_start", "window_end", "moer", "reasons")


def decide(
    fleet: pl.DataFrame,
    as_of: datetime,
    *,
    tariffs: Timeline,
    utilities: Collection[str],
    policies: Mapping[str, Policy],
    readings: pl.DataFrame | None,
    clock_trusted: bool = True,
) -> pl.DataFrame:
    """What every device of the fleet should do at `as_of` (UTC, whole seconds).

    `fleet` has the columns of `tables.FLEET`; `utilities` are those with any tariff; `readings` has one row a region
    (region, point_time, percentile, failure), None where MOER is not in use at all; `clock_trusted` False makes no new
    pause. Returns one row a device, in the fleet's order: its new control (columns of `models.Control`), `commanded` (a
    command is needed), `changed` (the control differs), `differs` (a person would call it another decision), and
    schedule, version, tier, rank, region, percentile, point_time, policy_id, protocol, wireless_device_id.
    """
    t = pl.lit(as_of, pl.Datetime("us", "UTC"))
    kinds, kind = kinds_of(fleet)
    shared = situations(kinds, as_of, tariffs, set(utilities), policies, readings)
    return (
        fleet.hstack(shared[kind])
        .lazy()
        .with_columns(**_before(t))
        .with_columns(**_allowances(t))
        .with_columns(**_own_windows())
        .with_columns(**_tou(t))
        .with_columns(moer_next=_moer())
        .with_columns(deferred=_deferred(t))
        .with_columns(moer_next=_moer_after_dwell())
        .with_columns(**_pause(t))
        .with_columns(**_deadline_cut())
        .with_columns(**_desired(clock_trusted=clock_trusted))
        .with_columns(**_outcome(t))
        .with_columns(new_next_check_at=_next_check(t))
        .select(*_result(t))
        .collect()
    )


def _before(t: pl.Expr) -> dict[str, pl.Expr]:
    """What the control says of the moment before: whether the device waits, and since when."""
    legacy = pl.col("protocol") == "legacy"
    told = (pl.col("desired") == "pause").fill_null(False)
    running = told & (legacy | (t < pl.col("window_end"))).fill_null(False)
    started = told & (pl.col("window_start") <= t).fill_null(False)
    was_paused = running & started
    # a window device flips by itself
    over = started & ~legacy & (pl.col("window_end") <= t).fill_null(False)
    began = pl.when(started).then(pl.coalesce("paused_since", "window_start"))
    return {
        "legacy": legacy,
        "was_told": running,  # a pause stands at the device, also one that is still to come
        "was_paused": was_paused,
        # also of a pause that ends at this very instant: one that follows at once is one with it
        "since": pl.when(was_paused | (t == pl.col("window_end"))).then(began),
        "lasted": pl.when(over).then("window_end").otherwise(t) - began,
        "last_flip": pl.max_horizontal(
            "changed_at", pl.when(started).then("window_start"), pl.when(over).then("window_end")
        ),
        "moer_was": pl.col("moer").fill_null("idle"),
        "had_tou": (pl.col("reasons").fill_null(0) & _TOU) != 0,
    }


def _allowances(t: pl.Expr) -> dict[str, pl.Expr]:
    """What allows, whatever tariff and MOER say."""
    must_start = pl.col("deadline") - _seconds(pl.col("need_s"))
    return {
        "overridden": (pl.col("override_until") > t).fill_null(False),
        "hurried": ((pl.col("deadline") > t) & (must_start <= t)).fill_null(False),
        "must_start": pl.when((pl.col("deadline") > t) & (pl.col("need_s") > 0)).then(must_start),
        "inactive": pl.col("status") != "active",
        "unknown": ~pl.col("in_utilities"),
    }


def _own_windows() -> dict[str, pl.Expr]:
    """The tariff's windows as this device keeps them: paused earlier and resumed later by its own whole minutes.

    The shift depends on device and window alone, so that a re-run finds the same; a city does not step back at once.
    """
    slots = pl.col("jitter_s") // _MINUTE + 1

    def jitter(window_start: pl.Expr) -> pl.Expr:
        hour = window_start.dt.epoch("s") // 3600
        return _seconds((pl.col("spread") + hour * 7919) % slots * _MINUTE)

    least = pl.col("lead_s") // 4 // _MINUTE
    lead = (least + pl.col("spread") // 64 % (pl.col("lead_s") // _MINUTE - least + 1)) * _MINUTE
    last, coming, after = (jitter(pl.col(f"{which}_start")) for which in ("last", "next", "after"))
    starts, ends = pl.col("next_start") - coming, pl.col("next_end") + coming
    chained = (pl.col("after_start") - after <= ends).fill_null(False)
    return {
        "last_from": pl.col("last_start") - last,
        "last_until": pl.col("last_end") + last,
        "tou_from": starts,
        "tou_until": pl.when(chained).then(pl.col("after_end") + after).otherwise(ends),
        "chained": chained,
        "send_at": pl.when(pl.col("legacy")).then(starts).otherwise(starts - _seconds(lead)),
    }


def _tou(t: pl.Expr) -> dict[str, pl.Expr]:
    """Whether the tariff pauses now, or a window is to be sent ahead, and which window."""
    tail = (t < pl.col("last_until")).fill_null(False)
    inside = (pl.col("tou_from") <= t).fill_null(False)
    active = tail | inside
    peak = (pl.col("next_start") <= t).fill_null(False)
    ahead = ~active & ~pl.col("legacy") & (pl.col("send_at") <= t).fill_null(False)
    # a tail that reaches into the next window is one pause with it
    joined = tail & (pl.col("tou_from") <= pl.col("last_until")).fill_null(False)
    return {
        "tou_active": active,
        "tou_ahead": ahead,
        "tou_bits": bit(Reason.TOU_PEAK, peak)
        | bit(Reason.TOU_JITTER, active & ~peak)
        | bit(Reason.TOU_AHEAD, ahead),
        "tou_start": pl.when(tail).then("last_from").when(inside | ahead).then("tou_from"),
        "tou_end": pl.when(tail & ~joined & ~inside)
        .then("last_until")
        .when(active | ahead)
        .then("tou_until"),
    }


def _moer() -> pl.Expr:
    """MOER's next state: pausing above `on`, until at or below `off` or paused long enough; capped until `off`.

    Only a pause that goes on is held, between the two or, with `fail_safe: hold`, by bad data: neither begins one.
    """
    was, usable = pl.col("moer_was"), pl.col("moer_usable")
    blocked = pl.col("overridden") | pl.col("hurried") | pl.col("inactive") | pl.col("unknown")
    # a window device has resumed by itself when it has paused long enough
    counts = pl.col("since").is_not_null() | (was == "pausing")
    holds = (was == "pausing") & pl.when(usable).then(~pl.col("low")).otherwise(
        (pl.col("moer_bad") != 0) & (pl.col("fail_safe") == "hold")
    )
    return (
        pl.when(blocked | ~pl.col("use_moer"))
        .then(pl.lit("idle"))
        .when((was == "capped") & ~pl.col("low"))
        .then(pl.lit("capped"))
        .when((pl.col("high") | holds) & _worn() & counts)
        .then(pl.lit("capped"))
        .when(pl.col("high") | (holds & pl.col("was_paused")))
        .then(pl.lit("pausing"))
        .otherwise(pl.lit("idle"))
    )


def _worn() -> pl.Expr:
    """Whether the last pause that began, of whatever cause, lasted as long as MOER may make one."""
    return (pl.col("lasted") >= _seconds(pl.col("max_pause_s"))).fill_null(False)


def _deferred(t: pl.Expr) -> pl.Expr:
    """A flip that MOER alone causes waits until the dwell since the last flip is over; nothing else ever waits."""
    early = (t - pl.col("last_flip") < _seconds(pl.col("dwell_s"))).fill_null(False)
    was, now = pl.col("moer_was"), pl.col("moer_next")
    pauses = (now == "pausing") & ~pl.col("was_paused")
    resumes = (now == "idle") & (was == "pausing") & pl.col("was_paused") & pl.col("moer_usable")
    allowed = pl.col("overridden") | pl.col("hurried") | pl.col("inactive") | pl.col("unknown")
    return early & ~pl.col("tou_active") & ~allowed & (pauses | (resumes & ~pl.col("had_tou") & ~_worn()))


def _moer_after_dwell() -> pl.Expr:
    """A deferred flip leaves MOER as it was."""
    kept = pl.when(pl.col("moer_was") == "pausing").then(pl.lit("pausing")).otherwise(pl.lit("idle"))
    return (
        pl.when(pl.col("deferred") & (pl.col("moer_next") == "pausing"))
        .then(pl.lit("idle"))
        .when("deferred")
        .then(kept)
        .otherwise("moer_next")
    )


def _pause(t: pl.Expr) -> dict[str, pl.Expr]:
    """The pause that tariff and MOER together ask for, and its window."""
    by_moer = pl.col("moer_next") == "pausing"
    active, ahead = pl.col("tou_active"), pl.col("tou_ahead")
    since = pl.coalesce("since", t)
    cap = since + _seconds(pl.col("max_pause_s"))
    reaches = ahead & (cap >= pl.col("tou_start")).fill_null(False)
    start = pl.when(by_moer & ~active).then(t).otherwise("tou_start")
    # a pause that is over is ended before the next window goes out: a device would bridge the two
    just_now = pl.col("was_paused") | (t - pl.col("last_flip") < _seconds(pl.lit(_MINUTE))).fill_null(False)
    released = ahead & just_now & ~by_moer & ~(pl.col("was_told") & ~pl.col("was_paused"))
    return {
        "asked": active | by_moer | (ahead & ~released),
        "released": released,
        # a pause that goes on keeps its start
        "start": pl.when(pl.col("was_paused")).then("window_start").otherwise(start),
        "end": pl.when(by_moer & ~active & ~reaches).then(cap).otherwise("tou_end"),
        "by_moer": by_moer,
    }


def _deadline_cut() -> dict[str, pl.Expr]:
    """End the pause where the car must begin to charge; send none ahead that would begin within that time."""
    must, leaves = pl.col("must_start"), pl.col("deadline")
    cut = ((pl.col("start") < must) & (must < pl.col("end"))).fill_null(False)
    within = ((must <= pl.col("start")) & (pl.col("start") < leaves)).fill_null(False)
    return {"end": pl.when(cut).then(must).otherwise("end"), "within_need": within}


def _desired(*, clock_trusted: bool) -> dict[str, pl.Expr]:
    """Pause or allow, with the window."""
    allowed = pl.col("overridden") | pl.col("hurried") | pl.col("inactive") | pl.col("unknown")
    pause = pl.col("asked") & ~allowed & ~pl.col("within_need")
    if clock_trusted:
        return {"pause": pause, "untrusted": pl.lit(False)}
    # peaks are a matter of clock: with one that is off, a pause that stands may go on, none begins or grows
    goes_on = pause & pl.col("was_paused") & (pl.col("tou_active") | pl.col("by_moer"))
    to_come = pl.col("was_told") & ~pl.col("was_paused") & (pl.col("tou_active") | pl.col("tou_ahead"))
    stands = goes_on | (pause & to_come)
    return {
        "pause": stands,
        "untrusted": pl.lit(True),
        "start": pl.when(stands).then("window_start").otherwise("start"),
        "end": pl.when(stands).then("window_end").otherwise("end"),
        "moer_next": pl.when(pl.col("by_moer") & ~goes_on).then(pl.lit("idle")).otherwise("moer_next"),
        "by_moer": pl.col("by_moer") & goes_on,
    }


def _outcome(t: pl.Expr) -> dict[str, pl.Expr]:
    """The new control, without its next check, and whether the device must be told."""
    pause = pl.col("pause")
    start, end = pl.when(pause).then("start"), pl.when(pause).then("end")
    now_paused = pause & (pl.col("start") <= t)
    first = pl.col("desired").is_null()  # never told, or under an address that was not
    other_window = (pl.col("end") != pl.col("window_end")).fill_null(True) | (
        (pl.col("start") > t) & (pl.col("start") != pl.col("window_start"))
    ).fill_null(True)
    begins = now_paused & ~pl.col("was_paused")
    tell_pause = first | ~pl.col("was_told") | other_window | begins
    tell_allow = pl.col("was_told") | (first & ~pl.col("inactive"))
    return {
        "new_desired": pl.when(pause).then(pl.lit("pause")).otherwise(pl.lit("allow")),
        "new_start": start,
        "new_end": end,
        "new_since": pl.when(pause).then(
            pl.when(now_paused).then(pl.coalesce("since", t)).otherwise("start")
        ),
        "new_changed_at": pl.when(now_paused != pl.col("was_paused")).then(t).otherwise("last_flip"),
        "commanded": pl.when(pause).then(tell_pause).otherwise(tell_allow),
        "new_reasons": pl.when("inactive")
        .then(int(Reason.INACTIVE))
        .otherwise(
            pl.col("common")
            | pl.col("moer_bad")
            | pl.col("tou_bits")
            | bit(Reason.MOER_HIGH, pl.col("high"))
            | bit(Reason.MOER_HOLD, pl.col("by_moer") & ~pl.col("high") & ~pl.col("deferred"))
            | bit(Reason.MOER_CAPPED, pl.col("moer_next") == "capped")
            | bit(Reason.DWELL, pl.col("deferred"))
            | bit(Reason.OVERRIDE, pl.col("overridden"))
            | bit(Reason.DEADLINE, pl.col("hurried") | pl.col("within_need"))
            | bit(Reason.CLOCK_UNTRUSTED, pl.col("untrusted"))
            | bit(Reason.FIRST_SIGHT, first)
        ),
    }


def _next_check(t: pl.Expr) -> pl.Expr:
    """The earliest instant after `t` at which the device's state can change without news from outside."""
    pause, by_moer = pl.col("pause"), pl.col("by_moer")
    told_ahead = pause & (pl.col("start") > t)
    instants = (
        pl.col("send_at"),
        pl.when(~told_ahead).then("tou_from"),
        pl.when(pl.col("tou_active") | pl.col("tou_ahead")).then("tou_end"),
        # then the window after the next may be seen to reach into one more
        pl.when(pl.col("chained") & (pl.col("tou_active") | pl.col("tou_ahead"))).then("next_end"),
        pl.col("new_end"),
        pl.col("override_until"),
        pl.col("must_start"),
        pl.col("deadline"),
        pl.when(pause).then(t + _seconds(pl.col("heartbeat_s"))),
        pl.when("released").then(
            pl.when("was_paused").then(t).otherwise("last_flip") + _seconds(pl.lit(_MINUTE))
        ),
        pl.when("deferred").then(pl.col("last_flip") + _seconds(pl.col("dwell_s"))),
        pl.when(by_moer & pause).then(pl.col("new_since") + _seconds(pl.col("max_pause_s"))),
        # the instant at which the reading is too old: one second after its time to live
        pl.when(by_moer & pl.col("moer_usable")).then(
            pl.col("point_time") + _seconds(pl.col("moer_ttl_s") + 1)
        ),
        pl.when(pl.col("moer_bad") == int(Reason.MOER_FUTURE)).then(
            pl.col("point_time") - _seconds(pl.col("moer_skew_s"))
        ),
    )
    later = pl.min_horizontal(pl.when(instant > t).then(instant) for instant in instants)
    return pl.when(~pl.col("inactive")).then(later)


def _result(t: pl.Expr) -> list[pl.Expr]:
    """The columns of the answer."""
    new = {
        "desired": "new_desired",
        "window_start": "new_start",
        "window_end": "new_end",
        "paused_since": "new_since",
        "moer": "moer_next",
        "reasons": "new_reasons",
        "next_check_at": "new_next_check_at",
    }
    # the first sight is told once; it is no other decision when it is gone
    steady = ~int(Reason.FIRST_SIGHT)

    def moved(names: tuple[str, ...]) -> pl.Expr:
        pairs = {n: pl.col(new[n]).ne_missing(pl.col(n)) for n in names}
        pairs["reasons"] = (pl.col("new_reasons") & steady).ne_missing(pl.col("reasons") & steady)
        if "next_check_at" in names:
            # a look too early does no harm: an instant that only moves on is not worth a write for each device
            early = (pl.col("next_check_at") > t) & (pl.col("new_next_check_at") > pl.col("next_check_at"))
            pairs["next_check_at"] &= ~early.fill_null(False)
        return pl.col("rev").is_null() | pl.any_horizontal(*pairs.values()) | pl.col("commanded")

    ver, rev = pl.col("ver").fill_null(0), pl.col("rev").fill_null(0)
    return [
        pl.col("device_id", "wireless_device_id", "protocol", "status", "policy_id"),
        (rev + 1).alias("rev"),
        (ver + pl.col("commanded").cast(pl.Int64)).alias("ver"),
        *(pl.col(value).alias(name) for name, value in new.items()),
        pl.col("new_changed_at").alias("changed_at"),
        pl.col("reported", "reported_at"),
        pl.when(pl.col("commanded")).then(0).otherwise(pl.col("resends").fill_null(0)).alias("resends"),
        pl.col("commanded"),
        moved(_PERSISTED).alias("changed"),
        moved(_TOLD).alias("differs"),
        pl.concat_str(pl.col("utility_id", "rate_plan"), separator="/").alias("schedule"),
        pl.col("version", "tier", "rank", "percentile", "point_time"),
        pl.col("watttime_region").alias("region"),
    ]


def _seconds(count: pl.Expr) -> pl.Expr:
    return pl.duration(seconds=count)
