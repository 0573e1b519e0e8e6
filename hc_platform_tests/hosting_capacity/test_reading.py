"""What a field's own keys do: classes, single, when, combine, and the nulls that mean something."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hc_platform.catalog.fields import FieldTarget
from hc_platform.hosting_capacity.reading import combine, read_field
from hc_platform_tests.hosting_capacity.making import config, normal

H, LO, HI, REST = (
    "hosting_capacity_mw", "hosting_capacity_min_mw", "hosting_capacity_max_mw", "remaining_capacity_mw",
)  # fmt: skip


def read(spec: dict[str, Any], *rows: dict[str, Any], **keys: Any) -> pl.DataFrame:
    """Sections of rows under a map of fields, in MW."""
    return normal(config({"field_map": spec}, capacity_unit="mw", **keys), list(rows)).sections


def withheld(spec: dict[str, Any], *rows: dict[str, Any]) -> dict[str, int]:
    done = normal(config({"field_map": spec}, capacity_unit="mw"), list(rows))
    return dict(done.quality.select("field", "withheld").rows())


# --- classes ----------------------------------------------------------------------------------------


def test_a_class_is_what_the_config_says_of_it_and_is_read_like_any_text() -> None:
    classes = {"LOW": "0 - 150 kW", "High": ">5", "no  capacity": "0", "3": "2.5", "WAIT": "Pending", 7: "9"}
    spec = {"C": {"to": H, "classes": classes}}
    given_texts = ["Low", " HIGH ", "No Capacity", 3, "3.0", "Wait", 7, "4.5", None]
    got = read(spec, *[{"C": text} for text in given_texts])
    assert got.select(H, LO, HI, "value_status").rows() == [
        (None, 0.0, 0.15, "published"), (None, 5.0, None, "published"), (0.0, None, None, "published"),
        (2.5, None, None, "published"), (2.5, None, None, "published"), (None, None, None, "pending"),
        (9.0, None, None, "published"), (4.5, None, None, "published"), (None, None, None, "not_published"),
    ]  # fmt: skip


def test_a_class_the_config_does_not_know_is_no_capacity() -> None:
    done = normal(
        config({"field_map": {"C": {"to": H, "unit": "mw", "classes": {"LOW": "1"}}}}), [{"C": "LOWER"}]
    )
    assert done.rejected.select("reason", "detail").rows() == [("unparseable_capacity", "C = LOWER")]


def test_classes_serve_every_kind_of_column() -> None:
    spec = {
        "U": {"to": "is_overhead", "classes": {"A": "overhead", "B": "underground"}},
        "V": {"to": "voltage_kv", "classes": {"1": "12 kV", "2": "34500"}},
        "W": {"to": "constraining_metric", "classes": {"T": "Thermal"}},
    }
    got = read(spec, {"U": "B", "V": 2, "W": "T"})
    columns = ("is_overhead", "voltage_kv", "constraining_metric", "constraining_metric_raw")
    assert got.select(columns).row(0) == (False, 34.5, "thermal", "Thermal")


# --- single -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "feeder", "counted"),
    [
        ("01332413", "01332413", 0),
        ("01332413, 01332414", None, 1),
        ("01332413,01332413", "01332413", 0),  # one, said twice
        ("01332413,", None, 1),  # and one that is missing
        ("", None, 0),
        (None, None, 0),
    ],
)
def test_a_list_of_several_feeders_names_none(text: str | None, feeder: str | None, counted: int) -> None:
    spec = {"ids": {"to": "feeder_id_external", "single": ","}}
    assert read(spec, {"ids": text})["feeder_id_external"].to_list() == [feeder]
    assert withheld(spec, {"ids": text}) == {"ids": counted}


def test_a_list_of_capacities_is_published_and_has_no_value() -> None:
    spec = {"rank_gathe": {"to": H, "single": ","}, "kv": {"to": "voltage_kv", "single": ","}}
    rows = [{"rank_gathe": "1, 1, 1", "kv": "15, 35"}, {"rank_gathe": "1, 2", "kv": "15"}]
    got = read(spec, *rows)
    assert got.select(H, "value_status", "voltage_kv").rows() == [
        (1.0, "published", None),
        (None, "published", 15.0),
    ]
    assert withheld(spec, *rows) == {"rank_gathe": 1, "kv": 1}


# --- when -------------------------------------------------------------------------------------------


def test_a_field_counts_only_in_the_rows_it_is_meant_for() -> None:
    spec = {
        "kw": [
            {
                "to": "installed_dg_mw",
                "unit": "kw",
                "when": {"status": ["Connected", "In Service"], "live": ["1"]},
            },
            {"to": "queued_dg_mw", "unit": "kw", "when": {"status": ["Queued"]}},
        ]
    }
    cases = [
        ("connected", 1),
        ("In  Service ", 1.0),
        ("Connected", 0),
        ("QUEUED", None),
        ("Withdrawn", 1),
        (None, 1),
    ]
    got = read(spec, *[{"kw": 500, "status": status, "live": live} for status, live in cases])
    assert got.select("installed_dg_mw", "queued_dg_mw").rows() == [
        (0.5, None), (0.5, None), (None, None), (None, 0.5), (None, None), (None, None),
    ]  # fmt: skip


# --- combine ----------------------------------------------------------------------------------------


def seasons(how: str, **keys: Any) -> dict[str, Any]:
    return {f: {"to": H, "combine": how, **keys} for f in ("Summer", "Winter")}


@pytest.mark.parametrize(
    ("summer", "winter", "least", "greatest"),
    [
        (2, 5, (2.0, None, None, "none"), (5.0, None, None, "none")),
        (-1, 0, (-1.0, None, None, "at_floor"), (0.0, None, None, "at_floor")),
        (2, None, (None, None, None, "none"), (None, None, None, "none")),
        (10, 10, (10.0, None, None, "at_ceiling"), (10.0, None, None, "at_ceiling")),
        (
            10,
            4,
            (4.0, None, None, "none"),
            (10.0, None, None, "at_ceiling"),
        ),  # 10 may be more: so may the greatest
        (0, 4, (0.0, None, None, "at_floor"), (4.0, None, None, "none")),  # 0 may be less: so may the least
        ("2 - 6", 4, (None, 2.0, 4.0, "none"), (None, 4.0, 6.0, "none")),
        ("2 - 6", 1, (1.0, None, None, "none"), (None, 2.0, 6.0, "none")),
        (">7.5", 1, (1.0, None, None, "none"), (None, 7.5, None, "at_ceiling")),
        (">7.5", 8, (None, 7.5, 8.0, "none"), (None, 8.0, None, "at_ceiling")),
        ("<=5", 8, (None, None, 5.0, "at_floor"), (8.0, None, None, "none")),
        (">7", ">9", (None, 7.0, None, "at_ceiling"), (None, 9.0, None, "at_ceiling")),
        ("<=5", "<=7", (None, None, 5.0, "at_floor"), (None, None, 7.0, "at_floor")),
    ],
)
def test_the_least_and_the_greatest_of_two_seasons(
    summer: Any, winter: Any, least: Any, greatest: Any
) -> None:
    for how, expected in (("least", least), ("greatest", greatest)):
        spec = seasons(how, ceiling=10, floor=0)
        for row in ({"Summer": summer, "Winter": winter}, {"Summer": winter, "Winter": summer}):
            assert read(spec, row).select(H, LO, HI, "censored").row(0) == expected, how


def test_a_missing_season_tells_why() -> None:
    rows = [(3, "Redacted"), (3, "Pending"), ("Pending", "Redacted"), (3, None), (3, 4)]
    got = read(seasons("least"), *[{"Summer": s, "Winter": w} for s, w in rows])
    assert got["value_status"].to_list() == ["redacted", "pending", "redacted", "not_published", "published"]


def test_an_unreadable_season_rejects_the_row_as_any_capacity_does() -> None:
    done = normal(
        config({"field_map": seasons("least")}, capacity_unit="mw"), [{"Summer": 1, "Winter": "oops x"}]
    )
    assert done.rejected["detail"].to_list() == ["Winter = oops x"]


def test_dates_and_voltages_combine_too() -> None:
    spec = {
        **{f: {"to": "record_date", "combine": "greatest"} for f in ("A", "B")},
        **{f: {"to": "voltage_kv", "combine": "least"} for f in ("U", "V")},
    }
    got = read(spec, {"A": "May 2026", "B": "2026-04-01", "U": 12, "V": 4}, {"A": "May 2026", "U": 12})
    assert [(str(d), v) for d, v in got.select("record_date", "voltage_kv").rows()] == [
        ("2026-05-01", 4.0), ("None", None),
    ]  # fmt: skip


POINTS = st.lists(st.one_of(st.none(), st.integers(-5, 20)), min_size=1, max_size=4)


@settings(max_examples=80, deadline=None)
@given(POINTS, st.sampled_from(["least", "greatest"]))
def test_of_points_it_is_pythons_min_and_max(points: list[int | None], how: Any) -> None:
    target = FieldTarget(to=H)
    frame = pl.DataFrame({str(i): [p if p is None else str(p)] for i, p in enumerate(points)})
    reads = [read_field(frame.cast(pl.String), name, target, "mw") for name in frame.columns]
    whole = None if None in points else (min if how == "least" else max)(p for p in points if p is not None)
    assert combine(reads, how).column.struct.field("value").to_list() == [whole]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"A": {"to": H, "combine": "least"}, "B": H}, "every field of a combined column"),
        (
            {"A": {"to": H, "combine": "least"}, "B": {"to": H, "combine": "greatest"}},
            "by least or by greatest",
        ),
        ({"A": {"to": "feeder_name", "combine": "least"}}, "no least and no greatest"),
    ],
)
def test_what_cannot_be_combined_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config({"field_map": fields}, capacity_unit="mw")


# --- nulls that mean something ----------------------------------------------------------------------


def test_null_and_the_empty_text_may_mean_pending() -> None:
    spec = {"C": {"to": H, "nulls": {"": "pending", "-1": "redacted"}}}
    got = read(spec, *[{"C": c} for c in (None, "", "  ", -1, -0.5, "NA")])
    assert got["value_status"].to_list() == ["pending"] * 3 + ["redacted", "published", "not_published"]
    assert got[H].to_list() == [None] * 4 + [-0.5, None]


def test_where_only_what_remains_is_published_the_status_is_its() -> None:
    spec = {"CAPACITY_REMAINING": {"to": REST, "nulls": {"": "pending"}}}
    rows = [{"CAPACITY_REMAINING": c} for c in (-2.5, None)]
    got = read(spec, *rows, capacity_basis="net_of_existing")
    assert got.select(REST, H, "value_status").rows() == [(-2.5, None, "published"), (None, None, "pending")]


def test_a_range_of_what_remains_is_withheld_and_counted() -> None:
    spec = {"R": {"to": REST}}
    assert read(spec, {"R": "Less than 100 kW AC"})[REST].to_list() == [None]
    assert withheld(spec, {"R": "Less than 100 kW AC"}, {"R": 1}) == {"R": 1}


def test_a_bin_in_a_bounds_field_is_that_bound() -> None:
    spec = {"A": {"to": HI, "unit": "kw"}, "B": {"to": LO, "unit": "kw"}}
    got = read(spec, {"A": "Less than 100kW", "B": ">50"}, {"A": "450 - 600", "B": "450 - 600"})
    assert got.select(LO, HI).rows() == [(0.05, 0.1), (0.45, 0.6)]
