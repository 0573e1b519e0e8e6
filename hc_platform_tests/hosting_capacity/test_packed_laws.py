"""What goes into a packed cell comes out of it, whatever its text."""

import html
import json

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from hc_platform.catalog.layers import Explode, Unpack
from hc_platform.hosting_capacity.packed import FEATURE, explode, unpack

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\0"), max_size=12)
OBJECTS = st.lists(
    st.fixed_dictionaries({}, optional={"id": TEXT, "n": st.integers(-(2**53), 2**53), "x": TEXT}), max_size=4
)
LISTS = Explode.model_validate({"json": "data", "fields": ["id", "n"]})
FIELDS = ["Feeder", "HC (kW)", "<b>", "A & B"]
POPUP = Unpack(column="P", format="html_table", fields=FIELDS)
OBJECT = Unpack(column="P", format="json", fields=["id", "n"])


def as_text(value: object) -> str | None:
    return None if value is None else str(value)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(OBJECTS, st.sampled_from(["{", "nope", "[1]", '{"id": "A"}'])), min_size=1, max_size=6)
)
def test_every_object_of_every_list_comes_out_once_and_every_feature_is_accounted_for(
    cells: list[object],
) -> None:
    texts = [c if isinstance(c, str) else json.dumps(c) for c in cells]
    frame = pl.DataFrame({FEATURE: pl.int_range(len(texts), eager=True, dtype=pl.UInt32), "data": texts})
    opened, rejected = explode(frame, LISTS)
    expected = []
    for i, cell in enumerate(cells):
        if isinstance(cell, list):
            expected += [(i, as_text(o.get("id")), as_text(o.get("n"))) for o in cell or [{}]]
    assert opened.select(FEATURE, "data.id", "data.n").rows() == expected
    assert rejected[FEATURE].to_list() == [i for i, cell in enumerate(cells) if isinstance(cell, str)]
    assert sorted({*opened[FEATURE], *rejected[FEATURE]}) == list(range(len(cells)))


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FIELDS), TEXT, min_size=1),
    st.booleans(),
    st.sampled_from(["td", "th"]),
    st.booleans(),
)
def test_a_popup_gives_back_what_was_written_into_it(
    pairs: dict[str, str], closed: bool, head: str, nested: bool
) -> None:
    end = (lambda tag: f"</{tag}>") if closed else (lambda tag: "")
    rows = "".join(
        f'<tr bgcolor="#fff"><{head}>{html.escape(name)}{end(head)}<td class=v>{html.escape(value)}{end("td")}{end("tr")}'
        for name, value in pairs.items()
    )
    text = f"<table border=1>{rows}</table>"
    if nested:
        text = f"<html><body><table><tr><td>{text}</td></tr></table></body></html>"
    found, unread = unpack(pl.Series("P", [text]), POPUP)
    assert unread.to_list() == [False]
    expected = [None if pairs.get(f) is None else " ".join(pairs[f].split()) for f in FIELDS]
    assert list(found.row(0)) == expected


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60) | TEXT.map(lambda t: f"<table><tr><td>{t}</td><td>{t}"))
def test_no_popup_breaks_the_batch(text: str) -> None:
    found, unread = unpack(pl.Series("P", [text, "<table><tr><td>Feeder</td><td>1</td></tr></table>"]), POPUP)
    assert (found.height, len(unread)) == (2, 2)
    assert found["P.Feeder"][1] == "1"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.none() | st.fixed_dictionaries({"id": TEXT, "n": st.integers(-99, 99)}), min_size=1, max_size=5
    )
)
def test_an_object_gives_back_its_fields(objects: list[dict[str, object] | None]) -> None:
    found, unread = unpack(pl.Series("P", [o and json.dumps(o) for o in objects], dtype=pl.String), OBJECT)
    assert found.rows() == [(None, None) if o is None else (o["id"], str(o["n"])) for o in objects]
    assert not unread.any()
