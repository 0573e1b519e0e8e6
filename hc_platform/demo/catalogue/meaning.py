"""What a published text means, kept beside it: the truth that a reader is held against.

What belongs here: forms of values, and their meaning under a config's target, reckoned from the drawn numbers and never
by the platform's own parsers. What does not: how a value is spelled (`spelling`), rows and layers (`layers`).
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal, NamedTuple

from hc_platform.catalog.fields import FieldTarget

PER_MW: Final = {"w": 1e6, "kw": 1e3, "mw": 1.0, "va": 1e6, "kva": 1e3, "mva": 1.0}
WORDS: Final = {
    "": "not_published",
    "NA": "not_published",
    "<Null>": "not_published",
    "Redacted": "redacted",
    "Analysis Pending": "pending",
}
"""Words that say 'no value' in anybody's columns."""

Kind = Literal["point", "range", "above", "below", "word", "null", "junk", "class"]


@dataclass(frozen=True)
class Form:
    """A capacity as it was drawn: a point, a range, an open bound, a word, nothing, or what nobody can read.

    Numbers are in `unit`, or in the field's own where that is None.
    """

    kind: Kind
    low: float = 0.0
    high: float = 0.0
    unit: str | None = None
    word: str = ""


class Meaning(NamedTuple):
    """What a value says of one canonical column: MW, kV, text, flag or date; bounds and status of capacities."""

    value: float | str | bool | date | None = None
    low: float | None = None
    high: float | None = None
    status: str = "not_published"
    mark: str = "none"
    unreadable: bool = False


NOTHING: Final = Meaning()


def capacity(form: Form, target: FieldTarget, unit: str) -> Meaning:
    """A capacity in MW under the target's unit, sentinels, ceiling and floor."""
    if form.kind == "class":
        return capacity(class_form(target.classes[form.word]), target, unit)
    if form.kind in ("word", "null"):
        return Meaning(status=_word(form, target))
    if form.kind == "junk":
        return Meaning(status="published", unreadable=True)
    per_mw, own = PER_MW[form.unit or unit], PER_MW[unit]
    low, high = form.low / per_mw, form.high / per_mw
    if form.kind == "point":
        for key, status in target.nulls.items():
            if form.unit is None and _number(key) == form.low:
                return Meaning(status=status)
        mark = "none"
        if target.ceiling is not None and low >= target.ceiling / own:
            mark = "at_ceiling"
        elif target.floor is not None and low <= target.floor / own:
            mark = "at_floor"
        return Meaning(low, status="published", mark=mark)
    if form.kind == "range":
        return Meaning(low=low, high=high, status="published")
    if form.kind == "above":
        return Meaning(low=low, status="published", mark="at_ceiling")
    return Meaning(high=low, status="published", mark="at_floor")


def class_form(text: str) -> Form:
    """What a config says that a class means. Raises ValueError for words that this module was not taught."""
    told = text.strip().lower()
    unit = None
    if found := re.search(r" ?\b([km]?(?:w|va))(?: ac)?$", told):
        unit, told = found[1], told[: found.start()].strip()
    number = r"(-?[0-9.]+)"
    if text in WORDS or not told:
        return Form("word", word=text)
    if found := re.fullmatch(rf"{number} ?(?:-|to) ?{number}", told):
        return Form("range", float(found[1]), float(found[2]), unit)
    if found := re.fullmatch(rf"(?:>=?|over|more than|at least|above) ?{number}|{number}\+", told):
        return Form("above", float(found[1] or found[2]), unit=unit)
    if found := re.fullmatch(rf"(?:<=?|less than|up to|under|at most|below) ?{number}", told):
        return Form("below", float(found[1]), unit=unit)
    if found := re.fullmatch(number, told):
        return Form("point", float(found[1]), unit=unit)
    raise ValueError(f"the catalogue does not know what the class {text!r} means")


def text(published: object, target: FieldTarget) -> Meaning:
    """A name or an identifier: trimmed; an identifier that became a float has its .0 no more."""
    words = "" if published is None else str(published).strip()
    if target.to == "feeder_id_external" and re.fullmatch(r"[0-9]+\.0", words):
        words = words.removesuffix(".0")
    if target.classes:
        words = target.classes.get(words, words)
    gone = words in WORDS or words in target.nulls or words.lower() in ("none", "unknown", "n/a")
    return NOTHING if gone else Meaning(words)


def _word(form: Form, target: FieldTarget) -> str:
    return target.nulls.get(form.word) or WORDS.get(form.word, "not_published")  # NULL is said as ''


def _number(key: str) -> float | None:
    try:
        return float(key)
    except ValueError:
        return None
