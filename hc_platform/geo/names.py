"""Substation names made comparable: how utilities write them differently, and how alike two are.

What belongs here: normalization and similarity of names. What does not: places and decisions (`substations`).
"""

import re
import unicodedata
from typing import Final

import numpy as np
import polars as pl
from rapidfuzz.distance import JaroWinkler
from rapidfuzz.process import cdist

_KV: Final = re.compile(r"\b\d+(?:\.\d+)?(?:\s*[/-]\s*\d+(?:\.\d+)?)*\s*KV\b")
_BANK: Final = re.compile(r"\b(?:BANK|BANKS|BK|BNK|XFMR|TRANSFORMER|TR)\s*(?:NO\s+)?\d{0,2}[A-Z]?$")
_NUMBER: Final = re.compile(r"(?:\bNO\.?\s*|\bNUMBER\s+|#\s*)(?=\d)")
_POWERHOUSE: Final = re.compile(r"\b(?:P H|POWER HOUSE)\b")
_FEEDER: Final = re.compile(r"^(.*[^\s\d].*?)[\s_-]+\d{4,}[A-Z]?$")
_NOISE: Final = frozenset({"SUBSTATION", "SUBSTN", "SUBSTA", "SUB", "SS", "STATION", "STA", "STN"})
_DIRECTIONS: Final = {
    "N": "NORTH", "S": "SOUTH", "E": "EAST", "W": "WEST",
    "NO": "NORTH", "SO": "SOUTH",
    "NE": "NORTHEAST", "NW": "NORTHWEST", "SE": "SOUTHEAST", "SW": "SOUTHWEST",
}  # fmt: skip
_FIRST: Final = {**_DIRECTIONS, "ST": "SAINT", "STE": "SAINTE", "FT": "FORT", "PT": "POINT"}
_LAST: Final = {
    "ST": "STREET",
    "RD": "ROAD",
    "AVE": "AVENUE",
    "AV": "AVENUE",
    "BLVD": "BOULEVARD",
    "PT": "POINT",
}
_ANYWHERE: Final = {
    "MT": "MOUNT", "MTN": "MOUNTAIN", "JCT": "JUNCTION", "CTR": "CENTER", "CENTRE": "CENTER", "HTS": "HEIGHTS",
    "SPGS": "SPRINGS", "SPG": "SPRING", "CRK": "CREEK", "CK": "CREEK", "VLY": "VALLEY", "LK": "LAKE", "RVR": "RIVER",
    "HBR": "HARBOR", "ISL": "ISLAND", "PK": "PARK", "SQ": "SQUARE", "GR": "GROVE", "PH": "POWERHOUSE", "&": "AND",
}  # fmt: skip
_COMPASS: Final = frozenset(_DIRECTIONS.values())


def normalized(names: pl.Series) -> pl.Series:
    """The names as `normal_name` makes them; NULL where nothing is left."""
    unique = names.unique().drop_nulls()
    made = pl.Series([normal_name(name) or None for name in unique], dtype=pl.String)
    return names.replace_strict(unique, made, default=None, return_dtype=pl.String)


def normal_name(name: str) -> str:
    """A substation's name without what utilities add to it, abbreviations written out.

    Upper case without accents and punctuation; without voltages ("69 kV"), the words substation, sub, SS, station,
    STA, a trailing bank ("BK 2") and a trailing feeder number of four or more digits. Numbers of up to three digits
    are part of the name ("STATION 26" and "26" are alike). If nothing would be left, the words stay.
    """
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper().replace("'", "")
    text = _NUMBER.sub(" ", _KV.sub(" ", text))
    text = " ".join(re.sub(r"[^A-Z0-9&]+", " ", text).split())
    text = _POWERHOUSE.sub("PH", text)
    text = _BANK.sub("", text).strip() or text
    text = _feederless(text)
    words = text.split()
    words = [w for w in words if w not in _NOISE] or words
    last = len(words) - 1
    return " ".join(_word(w, first=i == 0 < last, last=i == last > 0) for i, w in enumerate(words))


def _word(word: str, *, first: bool, last: bool) -> str:
    if word.isdigit():
        return word.lstrip("0") or "0"
    if first and word in _FIRST:
        return _FIRST[word]
    if last and word in _LAST:
        return _LAST[word]
    return _ANYWHERE.get(word, word)


def _feederless(text: str) -> str:
    found = _FEEDER.match(text)
    return found[1].strip() if found and set(found[1].split()) - _NOISE else text


FEEDER_NAME_PATTERN: Final = r"^(.*[A-Za-z].*?)[\s_-]+\d{3,5}[A-Z]?$"
"""A substation's name, which may end in a number of its own ("PIT NO 1 1101"), and the feeder's number.

Asked only of feeders beside which no substation is published.
"""


def substation_in_feeder_names(names: pl.Series, pattern: str = FEEDER_NAME_PATTERN) -> pl.Series:
    r"""The substation's name in feeder names, where the utility builds them from it ("ALPINE 1101").

    `pattern` is a regular expression whose first group is the name; NULL where it does not fit.
    """
    return names.str.strip_chars().str.extract(pattern, 1).str.strip_chars()


def marks(name: str) -> tuple[str, ...]:
    """The words that tell like names apart and so must be equal: numbers, single letters, points of the compass."""
    return tuple(
        sorted(w for w in name.split() if len(w) == 1 or w in _COMPASS or any(c.isdigit() for c in w))
    )


def alike(left: list[str], right: list[str], *, least: float = 0.92) -> pl.DataFrame:
    """Pairs of normalized names that are equal or at least so alike: columns left, right, similarity (0 to 1).

    Jaro-Winkler (prefix weight 0.1). "OAKLAND J" and "OAKLAND K" are no pair however alike: their `marks` differ.
    """
    schema = {"left": pl.String, "right": pl.String, "similarity": pl.Float64}
    if not left or not right:
        return pl.DataFrame(schema=schema)
    table = cdist(left, right, scorer=JaroWinkler.similarity, score_cutoff=least, dtype=np.float32)
    a, b = np.nonzero(table)
    found = pl.DataFrame(
        {
            "left": [left[i] for i in a],
            "right": [right[i] for i in b],
            "similarity": table[a, b].astype(np.float64),
        },
        schema=schema,
    )
    tell = {name: " ".join(marks(name)) for name in {*left, *right}}
    return found.filter(
        pl.col("left").replace_strict(tell, return_dtype=pl.String)
        == pl.col("right").replace_strict(tell, return_dtype=pl.String)
    )
