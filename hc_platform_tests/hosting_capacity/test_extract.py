"""Fields out of JSON text, whatever stands in it."""

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hc_platform.hosting_capacity.extract import extract_fields


def test_every_value_becomes_its_text() -> None:
    row = '{"a": "0022", "b": 1011.0, "c": 1714521600000, "d": true, "e": null, "f": [1, 2], "g": {"h": 1}, "i": ""}'
    got = extract_fields(pl.Series([row]), ["a", "b", "c", "d", "e", "f", "g", "i", "missing"])
    assert got.row(0) == ("0022", "1011.0", "1714521600000", "true", None, "[1,2]", '{"h":1}', "", None)
    assert set(got.dtypes) == {pl.String}


def test_rows_keep_their_order_and_missing_attributes_their_place() -> None:
    rows = [json.dumps({"n": i}) if i % 7 else None for i in range(120_000)]
    got = extract_fields(pl.Series("raw", rows, dtype=pl.String), ["n"])["n"]
    assert got.to_list() == [str(i) if i % 7 else None for i in range(120_000)]


@pytest.mark.parametrize("field", ['say "kW"', "a.b", "$", "Größe", "select", "a b", "it's", "a->b", "x[0]"])
def test_odd_field_names(field: str) -> None:
    got = extract_fields(pl.Series([json.dumps({field: "v", "other": 1})]), [field])
    assert got.columns == [field]
    assert got.row(0) == ("v",)


def test_no_fields_and_no_rows() -> None:
    assert extract_fields(pl.Series(["{}"]), []).shape == (0, 0)
    empty = extract_fields(pl.Series("raw", [], dtype=pl.String), ["a", "b"])
    assert (empty.shape, empty.columns) == ((0, 2), ["a", "b"])


TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), st.one_of(TEXT, st.integers(-(2**62), 2**62))))
)
def test_texts_and_integers_survive(rows: list[dict[str, str | int]]) -> None:
    got = extract_fields(pl.Series("raw", [json.dumps(r) for r in rows], dtype=pl.String), ["a", "b", "c"])
    expected = [tuple(None if r.get(k) is None else str(r[k]) for k in "abc") for r in rows]
    assert got.rows() == expected
