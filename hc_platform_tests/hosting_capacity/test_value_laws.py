"""Laws that hold for any text that a utility may publish."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from functools import partial
from typing import get_args

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from hc_platform.hosting_capacity import tables
from hc_platform.hosting_capacity.values import (
    CAPACITY_UNITS,
    ValueStatus,
    parse_capacity,
    parse_column,
    parse_date,
    parse_identifier,
    parse_phase,
    parse_text,
)
from hc_platform_tests.hosting_capacity.reading import PARSERS, many, one

# --- laws -------------------------------------------------------------------------------------------

finite = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False).map(lambda x: 0.0 if abs(x) < 1e-9 else x)
odd_text = st.text(max_size=30) | st.from_regex(r"[-+<>=0-9.,/: a-zA-Z%~≥≤–−]{0,20}", fullmatch=True)


@st.composite
def spelled(draw: st.DrawFn) -> tuple[str, float]:
    """One number and one of the ways in which a service writes it."""
    number = draw(finite)
    spelling = draw(
        st.sampled_from(["{!r}", "{:.12g}", "{:.15e}", "{:+.9f}", " {!r} ", "{:,.9f}", "{!r}\u00a0"])
    )
    return spelling.format(number), number


@settings(deadline=None)
@given(st.lists(spelled(), min_size=1, max_size=40))
def test_numbers_parse_back_from_every_spelling(rows: list[tuple[str, float]]) -> None:
    texts, numbers = [t for t, _ in rows], [n for _, n in rows]
    for got, number in zip(many(partial(parse_capacity, unit="mw"), texts), numbers, strict=True):
        assert got["bad"] is False
        assert math.isclose(got["value"], number, rel_tol=1e-9, abs_tol=1e-9)


@settings(deadline=None)
@given(finite, st.sampled_from(sorted(CAPACITY_UNITS)), st.sampled_from(sorted(CAPACITY_UNITS)))
def test_a_power_is_the_same_in_every_unit(mw: float, unit: str, field_unit: str) -> None:
    text = f"{mw / CAPACITY_UNITS[unit]!r} {unit}"
    got = one(partial(parse_capacity, unit=field_unit), text)
    assert math.isclose(got["value"], mw, rel_tol=1e-9, abs_tol=1e-12)
    plain = one(partial(parse_capacity, unit=unit), repr(mw / CAPACITY_UNITS[unit]))
    assert math.isclose(plain["value"], mw, rel_tol=1e-9, abs_tol=1e-12)


@settings(deadline=None)
@given(
    finite, finite, st.sampled_from([" - ", "-", " to ", " – ", " −"]), st.sampled_from(["", " kW", " MW"])
)
def test_ranges_keep_their_order_and_falling_ones_are_bad(a: float, b: float, dash: str, unit: str) -> None:
    got = one(partial(parse_capacity, unit="kw"), f"{a:.9f}{dash}{b:.9f}{unit}")
    assert got["value"] is None
    if float(f"{a:.9f}") <= float(f"{b:.9f}"):
        scale = 1.0 if unit == " MW" else 1000.0
        assert not got["bad"]
        assert got["low"] <= got["high"]
        assert math.isclose(got["low"], a / scale, abs_tol=2e-9, rel_tol=1e-9)
        assert math.isclose(got["high"], b / scale, abs_tol=2e-9, rel_tol=1e-9)
    else:
        assert got["bad"]
        assert (got["low"], got["high"]) == (None, None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.none() | odd_text, max_size=20))
def test_no_text_raises_and_the_invariants_hold(texts: list[str | None]) -> None:
    frame = pl.DataFrame({"field": texts}, schema={"field": pl.String})
    parsed = frame.select(parser(pl.col("field")).alias(name) for name, parser in PARSERS.items())
    assert parsed.height == len(texts)
    for text, row in zip(texts, parsed["capacity"].to_list(), strict=True):
        assert row["censored"] in tables.CENSORED
        assert row["status"] in tables.VALUE_STATUS
        point, interval = row["value"] is not None, (row["low"], row["high"]) != (None, None)
        assert point + interval + row["bad"] <= 1
        assert (point or interval or row["bad"]) == (row["status"] == "published")
        if point:
            assert math.isfinite(row["value"])
        if text is None:
            assert (row["status"], row["bad"]) == ("not_published", False)
    for name in ("voltage", "voltage_in_v"):
        assert all(r["value"] is None or 0 < r["value"] <= 765 for r in parsed[name].to_list())
    assert all(r["value"] is None or 1990 <= r["value"].year <= 2100 for r in parsed["date"].to_list())
    assert not any(
        r["bad"] and r["value"] is not None for n in ("date", "phase", "voltage") for r in parsed[n].to_list()
    )


@given(st.lists(st.none() | odd_text, max_size=30))
@settings(max_examples=25, deadline=None)
def test_a_column_at_once_its_rows_one_by_one_and_lazily_agree(texts: list[str | None]) -> None:
    series = pl.Series("field", texts, dtype=pl.String)
    frame = series.to_frame()
    for parser in PARSERS.values():
        whole = frame.select(parser(pl.col("field"))).to_series()
        assert whole.name == "field"
        assert_series_equal(frame.lazy().select(parser(pl.col("field"))).collect().to_series(), whole)
        assert_series_equal(
            frame.lazy().select(parser(pl.col("field"))).collect(engine="streaming").to_series(), whole
        )
        assert_series_equal(parse_column(series, parser), whole)
        repeated = pl.concat([series] * 3)
        assert_series_equal(parse_column(repeated, parser), pl.concat([whole] * 3))


@given(st.lists(st.none() | odd_text, min_size=1, max_size=8))
@settings(max_examples=25, deadline=None)
def test_a_row_does_not_depend_on_its_neighbours(texts: list[str | None]) -> None:
    for parser in PARSERS.values():
        whole = pl.DataFrame({"f": texts}, schema={"f": pl.String}).select(parser(pl.col("f"))).to_series()
        rows = [
            pl.DataFrame({"f": [t]}, schema={"f": pl.String}).select(parser(pl.col("f"))).to_series()
            for t in texts
        ]
        assert_series_equal(pl.concat(rows), whole)


@settings(deadline=None)
@given(st.from_regex(r"0{0,6}[0-9]{1,9}", fullmatch=True), st.sampled_from(["{}", " {} ", "{}.0", "\t{}.00"]))
def test_leading_zeros_of_identifiers_survive(digits: str, spelling: str) -> None:
    assert one(parse_identifier, spelling.format(digits)) == digits


@settings(deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_texts_are_idempotent_and_only_trimmed(text: str) -> None:
    once = one(parse_text, text)
    if once is not None:
        assert once in text
        assert one(parse_text, once) == once
        assert one(parse_identifier, one(parse_identifier, once)) == one(parse_identifier, once)


instants = st.datetimes(datetime(1990, 1, 1), datetime(2100, 12, 31, 23, 59), timezones=st.just(UTC))  # noqa: DTZ001


@settings(deadline=None)
@given(instants)
def test_epoch_milliseconds_are_utc_days(instant: datetime) -> None:
    ms = (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert one(parse_date, str(ms)) == {"value": instant.date(), "bad": False}


@settings(deadline=None)
@given(instants, st.integers(-12 * 60, 14 * 60))
def test_offsets_move_to_utc(instant: datetime, minutes: int) -> None:
    local = instant.astimezone(timezone(timedelta(minutes=minutes)))
    # the offset may move the written date out of the calendar's years, never the instant
    assert one(parse_date, local.isoformat()) == {"value": instant.date(), "bad": False}


@settings(deadline=None)
@given(st.dates(date(1990, 1, 1), date(2100, 12, 31)))
def test_spellings_of_one_day_agree(day: date) -> None:
    spellings = ["{:%Y-%m-%d}", "{:%m/%d/%Y}", "{:%Y/%m/%d} 23:59:59+00", "{:%m/%d/%Y}, 11:59 PM",
                 "{:%b %d, %Y}", "{:%d-%b-%Y}", "{:%B %d, %Y}"]  # fmt: skip
    assert {r["value"] for r in many(parse_date, [s.format(day) for s in spellings])} == {day}
    assert one(parse_date, f"{day:%b %Y}")["value"] == day.replace(day=1)


@settings(deadline=None)
@given(st.permutations("ABC").map("".join), st.integers(1, 3), st.sampled_from(["{}", "[{}]", "{}N", " {} "]))
def test_phases_are_sorted(letters: str, count: int, spelling: str) -> None:
    assert one(parse_phase, spelling.format(letters[:count]))["value"] == "".join(sorted(letters[:count]))


# --- house rules ------------------------------------------------------------------------------------


def test_statuses_are_those_of_the_tables() -> None:
    assert set(get_args(ValueStatus)) == set(tables.VALUE_STATUS)


def test_parsers_keep_the_columns_name_and_accept_literals_and_other_types() -> None:
    frame = pl.DataFrame({"GenCapacity_kW": [1500], "none": [None]})
    got = frame.select(
        parse_capacity(
            pl.col(
                "GenCapacity_kW",
            ),
            unit="kw",
        ),
        parse_phase(pl.col("none")),
    )
    assert got.columns == ["GenCapacity_kW", "none"]
    assert got["GenCapacity_kW"].struct.field("value").to_list() == [1.5]
    assert got["none"].to_list() == [{"value": None, "bad": False}]
    assert pl.select(parse_capacity(pl.lit("5 MW"), unit="kw")).item()["value"] == 5.0


def test_an_empty_column_parses() -> None:
    empty = pl.DataFrame(schema={"field": pl.String})
    for parser in PARSERS.values():
        assert empty.select(parser(pl.col("field"))).height == 0
        assert parse_column(empty["field"], parser).len() == 0


def test_a_long_column_of_integers_keeps_every_value() -> None:
    column = pl.select(field=pl.int_range(1_300_000).mod(10_007).cast(pl.String))
    parsed = column.select(parse_capacity(pl.col("field"), unit="kw", ceiling=10_000)).to_series()
    assert parsed.struct.field("value").sum() == pytest.approx(column["field"].cast(pl.Int64).sum() / 1000)
