"""Every constraint name that the research quotes is known to a rule: read from the research itself, where it is there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from hc_platform.hosting_capacity.vocabulary import classify_constraint, unknown_constraints

RESEARCH = Path(__file__).resolve().parents[2].parent / "shared" / "research"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not RESEARCH.is_dir(), reason=f"no research notes: {RESEARCH} is absent"),
]

_QUOTED = re.compile(r'"([^"{}]+)"')
_NAMES_A_CONSTRAINT = re.compile(r"constrain|criteria|limit(?:ing|er)|_con_|_lc$|_lf$|cause|violation", re.I)
_SOUNDS_LIKE_ONE = re.compile(
    r"therm|volt(?:age)?s?\b(?! class)|island|protect|flicker|fault|breaker|\btps\b|flow|regulator|overload|limited by",
    re.I,
)
_LISTED = re.compile(r"per-constraint[^:;]*[:;] ?(?:also )?(.*)|one of ([^:]*):")
_NO_CONSTRAINT = {
    # values of the same columns that say something else
    "Potentially Viable", "66/12 kV", "Exceeded", "0.03", "0.1", "10_17", "none", "Region = 'Pepco'",
}  # fmt: skip


def quoted_names() -> Iterator[str]:
    """Texts quoted of a column that names constraints, the lists of per-constraint columns, and whatever else is quoted
    anywhere and sounds like a constraint."""
    research = yaml.safe_load((RESEARCH / "utility_layers.yaml").read_text(encoding="utf-8"))
    for entry in research["entries"]:
        for field in entry.get("fields") or []:
            meaning, sample = str(field.get("meaning") or ""), field.get("sample")
            named = _NAMES_A_CONSTRAINT.search(field["name"]) and "value" not in field["name"]
            if named and not field["name"].startswith("limiting_month"):
                yield from _QUOTED.findall(meaning)
                if isinstance(sample, str):
                    yield sample
            for listed in _LISTED.finditer(meaning):
                yield from re.findall(r"[A-Za-z_0-9]{5,}", listed[1] or listed[2])
        for quirk in entry.get("quirks") or []:
            yield from (text for text in _QUOTED.findall(str(quirk)) if _SOUNDS_LIKE_ONE.search(text))
    notes = (RESEARCH / "utility_layers.md").read_text(encoding="utf-8")
    _, _, after = notes.partition("## What constraint names look like")
    yield from _QUOTED.findall(after.partition("\n## ")[0])


def names() -> list[str]:
    def is_prose(text: Any) -> bool:
        return text in _NO_CONSTRAINT or bool(re.fullmatch(r"[\d., ]+|.* kV", text))

    return sorted({name for name in quoted_names() if not is_prose(name)})


def test_the_research_quotes_names_at_all() -> None:
    found = names()
    assert {"Thermal Discharging", "UnintentionalIslanding", "rev_power_flow", "Primary Over-Voltage"} <= set(
        found
    )
    assert len(found) >= 30


def test_every_quoted_name_is_known_to_a_rule() -> None:
    frame = pl.DataFrame({"name": names()}).with_columns(metric=classify_constraint(pl.col("name")))
    assert unknown_constraints(frame["name"])["constraint_raw"].to_list() == []
    assert frame.filter(pl.col("metric").is_null())["name"].to_list() == []
    # one sentence withholds the criterion; every other quoted name has a group of its own
    told = frame.filter((pl.col("metric") == "other") & ~pl.col("name").str.contains("cannot be"))
    assert told["name"].to_list() == []
