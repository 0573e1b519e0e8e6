"""What binds: the least of several columns, or a published name."""

from typing import Any

import pytest

from hc_platform_tests.hosting_capacity.making import FEEDER, column, config, normal

CONSTRAINTS = {
    "unit": "kw",
    "ceiling": 10000,
    "ceilings": {"F": 20000},
    "nulls": {"-1": "not_published"},
    "columns": {"V": "voltage", "T": "thermal", "F": "flicker"},
}


@pytest.mark.parametrize(
    ("v", "t", "f", "metric", "named"),
    [
        (3000, 2000, 9000, "thermal", "T"),
        (2000, 2000, 9000, "voltage", "V; T"),  # a tie: all are named, the config's first is the metric
        (10000, 10000, 20000, "none", "V; T"),  # all at their own ceilings: nothing binds
        (10000, 10000, 15000, "voltage", "V; T"),  # flicker is below its own ceiling, so the least one binds
        (None, 12000, 18000, "thermal", "T"),  # thermal stands at its ceiling, flicker does not
        (None, 10000, None, None, None),  # thermal does not bind, and of the others nothing is known
        (-1, 5000, -1, "thermal", "T"),  # a sentinel is no least value
        (0, 5000, 5000, "voltage", "V"),  # and zero is one
        (None, None, None, None, None),
    ],
)
def test_the_least_constraint_column_binds(v: Any, t: Any, f: Any, metric: Any, named: Any) -> None:
    made = config({"constraint_columns": CONSTRAINTS, "field_map": FEEDER})
    done = normal(made, [{"Id": "1", "V": v, "T": t, "F": f}])
    assert (column(done, "constraining_metric"), column(done, "constraining_metric_raw")) == (
        [metric],
        [named],
    )


def test_a_constraints_name_is_classified_and_kept() -> None:
    made = config({"field_map": {**FEEDER, "Why": "constraining_metric"}})
    done = normal(made, [{"Id": "1", "Why": w} for w in ("Thermal", "Moon phase", None)])
    assert column(done, "constraining_metric") == ["thermal", "other", None]
    assert column(done, "constraining_metric_raw") == ["Thermal", "Moon phase", None]


def test_a_published_none_is_a_constraint_and_not_a_missing_one() -> None:
    layer = {
        "field_map": {
            "L": {"to": "constraining_metric", "nulls": ["Redacted"]},
            "C": {"to": "hosting_capacity_mw", "unit": "mw"},
        }
    }
    rows = [{"L": text, "C": 1} for text in ("None", "Thermal", "Redacted", " ", None)]
    got = normal(config(layer), rows).sections.to_dicts()
    assert [(r["constraining_metric"], r["constraining_metric_raw"]) for r in got] == [
        ("none", "None"), ("thermal", "Thermal"), (None, None), (None, None), (None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("published", "metric"),
    [
        ({"TH": "0.2", "VO": "5"}, "thermal"),
        ({"TH": "<=0.1", "VO": "5"}, "thermal"),  # at most 0.1: less than 5 whatever it is
        ({"TH": "about one", "VO": "5"}, None),  # cannot be read: it may bind
        ({"TH": None, "VO": "10"}, None),  # the other stands at its ceiling: only the missing one can bind
        ({"TH": None, "VO": "5"}, "voltage"),
        ({"TH": "10", "VO": "10"}, "none"),
        ({"TH": None, "VO": None}, None),
    ],
)
def test_what_binds_among_columns_that_are_not_all_points(
    published: dict[str, Any], metric: str | None
) -> None:
    layer = {
        "field_map": {"C": {"to": "hosting_capacity_mw", "unit": "mw"}},
        "constraint_columns": {"unit": "mw", "ceiling": 10, "columns": {"TH": "thermal", "VO": "voltage"}},
    }
    [row] = normal(config(layer), [{"C": 1, **published}]).sections.to_dicts()
    assert row["constraining_metric"] == metric
