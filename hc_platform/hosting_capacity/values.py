"""Published texts to typed values: capacities, numbers, phases, flags, identifiers.

Every parser takes a String expression and returns a struct (or String) expression of the same length
and name. All of them are pure and element-wise, never raise on odd text, and never guess: a text that
no rule knows gives NULL and ``bad=True``, so that it is counted and somebody writes the rule. NULL is
not 0, a range is not a point, a bound is marked as censored.

Belongs here: how one text is read. Does not belong here: which column is read with which unit and
sentinels (the config), names of constraints (``vocabulary``), keys, rejects, aggregation. Voltages and
dates have modules of their own and can be imported from here.
"""

from __future__ import annotations

import polars as pl

from hc_platform.catalog.fields import ValueStatus
from hc_platform.hosting_capacity.dates import parse_date
from hc_platform.hosting_capacity.texts import (
    NO_NULLS,
    SIGNED,
    Nulls,
    fold,
    fold_key,
    grouped_number,
    number_status,
    parse_column,
    plain_number,
    staged,
    trim,
    word_status,
)
from hc_platform.hosting_capacity.voltage import VOLTAGE_UNITS, parse_voltage_kv

__all__ = [
    "CAPACITY_UNITS",
    "VOLTAGE_UNITS",
    "Nulls",
    "ValueStatus",
    "parse_capacity",
    "parse_column",
    "parse_date",
    "parse_identifier",
    "parse_network",
    "parse_overhead",
    "parse_phase",
    "parse_single",
    "parse_text",
    "parse_voltage_kv",
    "split_list",
]

CAPACITY_UNITS: dict[str, float] = {"w": 1e-6, "kw": 1e-3, "mw": 1.0, "va": 1e-6, "kva": 1e-3, "mva": 1.0}
"""Factor from a unit to MW. Apparent power is taken at unity power factor: 1 MVA counts as 1 MW."""

# Dividing by 1000 rounds once and right (4805.8 kW is 4.8058 MW); multiplying by 0.001 does not.
_DIVISORS = {unit: float(round(1 / factor)) for unit, factor in CAPACITY_UNITS.items()}

# LADWP writes "NO CAPACITY" below its bin "0 - 150": nothing above zero, yet no measured point.
_PHRASES = {"no capacity": "<= 0"}

_ABOVE = r">=?|≥|greater than(?: or equal to)?|more than|over|above|at least"
_BELOW = r"<=?|≤|less than(?: or equal to)?|under|below|up to|at most"
_POWER = r"(?:(?P<{}>[km]?(?:w|va))(?: ?ac)?)?"
_CAPACITY = (
    rf"^(?:(?:(?P<above>{_ABOVE})|(?P<below>{_BELOW})) ?)?"
    rf"(?P<a>{SIGNED})(?P<plus>\+)? ?{_POWER.format('unit_a')}(?P<plus_after>\+)?"
    rf"(?: ?(?:-|to) ?(?P<b>{SIGNED}) ?{_POWER.format('unit_b')})?"
    r"(?: (?:or|and) (?:(?P<or_more>more|greater|above|over)|(?P<or_less>less|lower|below|under)))?"
    # bins carry their construction (CMP) or their colour (NYSEG)
    r"(?: \((?:overhead|underground)\)| [a-z]+-[0-9a-f]{6})?$"
)


def parse_capacity(
    text: pl.Expr,
    *,
    unit: str,
    nulls: Nulls = NO_NULLS,
    ceiling: float | None = None,
    floor: float | None = None,
) -> pl.Expr:
    """Parse powers into struct{value, low, high: Float64 (MW), censored, status: String, bad: Boolean}.

    ``unit`` is the field's own (w, kw, mw, va, kva, mva; unity power factor); a unit in the text wins.
    ``nulls`` maps the field's sentinels to what they mean, compared as text and as number. ``ceiling``
    and ``floor`` are in the field's unit: a point there is kept and marked ``at_ceiling``/``at_floor``.

    - a point: "1000", "1e3", "-0.65" (Con Edison), "1,234.5", "4805.8 kW" (CMP, UI): value.
    - a range: "450 - 600", "1000-1500" (LADWP), "2.0 MVA to 5.0 MVA (Overhead)" (CMP): low and high.
    - above a bound: ">7500" (LADWP), "75+" (HECO), "Over 20MW" (NV): low, ``at_ceiling``.
    - below a bound: "<=5" (HECO), "Less than 100 kW AC" (FirstEnergy), "Up To 4 MW" (Dominion),
      "NO CAPACITY" (LADWP, at most 0): high, ``at_floor``.
    - empty, NULL, NA, NaN: ``not_published``; Redacted; (Analysis) Pending: that status, no value. A sentinel
      "" says what NULL and the empty text mean: {"": "pending"} (PSE&G).
      What ``nulls`` says of "" holds for NULL too (PSE&G: the analysis is pending).
    - anything else, also "9.9,9.9,5.31" (split it first) and a range that falls: bad. Its status stays
      ``published``: the utility did say something. DC ratings are bad, they are no AC power.

    One "12,345" cannot be told from a list of two; it is read as 12345.
    """
    divisor = _divisor(unit, _DIVISORS, "capacity unit")
    field = pl.field
    return staged(
        text,
        {"number": plain_number(field("text"))},
        {"folded": pl.when(field("number").is_null()).then(fold(field("text")).replace(_PHRASES))},
        {"match": field("folded").str.extract_groups(_CAPACITY)},
        {
            "a": grouped_number(_group("a")),
            "b": grouped_number(_group("b")),
            "divisor_a": _unit_divisor("unit_a"),
            "divisor_b": _unit_divisor("unit_b"),
            "is_range": _group("b").is_not_null(),
            "is_low": pl.any_horizontal(_has("above"), _has("plus"), _has("plus_after"), _has("or_more")),
            "is_high": pl.any_horizontal(_has("below"), _has("or_less")),
            "marks": pl.sum_horizontal(
                _has(n).cast(pl.UInt8)
                for n in ("above", "below", "plus", "plus_after", "b", "or_more", "or_less")
            ),
        },
        {
            # a column even where the unit is the field's: Polars multiplies by a scalar's reciprocal,
            # which rounds twice
            "divisor": pl.coalesce(field("divisor_a"), field("divisor_b"), pl.lit(divisor)),
            "bare": pl.coalesce(
                field("number"),
                pl.when((field("marks") == 0) & field("divisor_a").is_null()).then(field("a")),
            ),
        },
        {
            "number_mw": field("number") / field("divisor"),
            "a_mw": field("a") / field("divisor"),
            "b_mw": field("b") / pl.coalesce(field("divisor_b"), field("divisor")),
        },
        {
            "null_status": pl.coalesce(
                word_status(field("folded"), nulls, numeric=True), number_status(field("bare"), nulls)
            ),
            "range_ok": field("is_range") & (field("marks") == 1) & (field("a_mw") <= field("b_mw")),
            "low_ok": field("is_low") & (field("marks") == 1),
            "high_ok": field("is_high") & (field("marks") == 1),
        },
        {
            "value": pl.when(field("null_status").is_null()).then(
                pl.coalesce(field("number_mw"), pl.when(field("marks") == 0).then(field("a_mw")))
            ),
            "low": pl.when(field("null_status").is_null() & (field("range_ok") | field("low_ok"))).then(
                field("a_mw")
            ),
            "high": pl.when(field("null_status").is_null()).then(
                pl.when(field("range_ok")).then(field("b_mw")).when(field("high_ok")).then(field("a_mw"))
            ),
        },
        {
            "out": pl.struct(
                value=field("value"),
                low=field("low"),
                high=field("high"),
                censored=_censored(ceiling, floor, divisor),
                status=_status(nulls),
                bad=_unread() & field("low").is_null() & field("high").is_null(),
            )
        },
    )


def parse_phase(text: pl.Expr) -> pl.Expr:
    """Parse phases into struct{value: String, bad: Boolean}: sorted letters, or a count.

    "ABC", "BCA", "[ABC]", "[ABCN]" (Eversource; the neutral is dropped), "B" (AEP), "A,B"; a bare count
    (PG&E phase_cnt, NYSEG NUMPHASES, UI) of 3 is "ABC", of 1 or 2 it is "1" or "2": which ones is not said.
    """
    field = pl.field
    counted = field("folded").str.extract(r"^([123]|single|one|two|three)(?:\.0+)?(?:[ -]?(?:ph|phases?))?$")
    letters = field("folded").str.replace_all(r"[\[\](){} ,/&-]", "")
    in_order = [
        pl.when(field("letters").str.contains(letter, literal=True))
        .then(pl.lit(letter.upper()))
        .otherwise(pl.lit(""))
        for letter in "abc"
    ]
    once = pl.all_horizontal(
        field("letters").str.count_matches(letter, literal=True) <= 1 for letter in "abcn"
    )
    count_names = {"1": "1", "single": "1", "one": "1", "2": "2", "two": "2", "3": "ABC", "three": "ABC"}
    return staged(
        text,
        {"folded": fold(field("text"))},
        # "NA" and "N/A" are no phase A with its neutral
        {
            "letters": pl.when(word_status(field("folded"), NO_NULLS).is_null()).then(letters),
            "counted": counted,
        },
        {
            "value": pl.coalesce(
                field("counted").replace_strict(count_names, default=None, return_dtype=pl.String),
                pl.when(field("letters").str.contains(r"^[abcn]*[abc][abcn]*$") & once).then(
                    pl.concat_str(in_order)
                ),
            )
        },
        {"out": pl.struct(value=field("value"), bad=_unread_word())},
    )


# Eversource publishes a boolean or a yes/no (feeds_sec_ntwrk_custs); a bare N may mean "network" or "no",
# so it is bad.
_OVERHEAD = {True: r"o|oh|over|over[ -]?head", False: r"u|ug|under|under[ -]?ground"}
_NETWORK = {
    True: r"network|networked|(?:secondary|spot|area|grid) network|yes|y|true",
    False: r"radial|r|non[ -]?network(?:ed)?|no|false",
}


def parse_overhead(text: pl.Expr) -> pl.Expr:
    """Parse the construction into struct{value: Boolean, bad: Boolean}; overhead is true.

    "OH" (SDG&E), "O" (NYSEG), "Overhead" (AEP, UI), "OVERHEAD CONDUCTOR" (LADWP); "UG" (LUMA), "U",
    "Underground". "OH/UG" and "true" say nothing about a line and are bad.
    """
    noun = r"(?:[ _-](?:conductor|cable|line|primary|wire)s?)*"
    return _flag(text, {value: rf"^(?:{words}){noun}$" for value, words in _OVERHEAD.items()})


def parse_network(text: pl.Expr) -> pl.Expr:
    """Parse the topology into struct{value: Boolean, bad: Boolean}; a secondary network is true.

    "Network"/"Radial" (Xcel NetworkOrRadial), yes/no and JSON booleans (Eversource
    feeds_sec_ntwrk_custs). A bare "N" is bad: "network" in one column, "no" in the other.
    """
    return _flag(text, {value: rf"^(?:{words})$" for value, words in _NETWORK.items()})


def parse_text(text: pl.Expr, *, nulls: Nulls = NO_NULLS) -> pl.Expr:
    """Trimmed String; NULL for empty texts, null words and the config's ``nulls``. Nothing else changes.

    Leading zeros survive ("012011108", PG&E), and so do case and inner blanks. ``nulls`` are compared as
    text only: the feeder "000" is not the sentinel "0".
    """
    field = pl.field
    return staged(
        text,
        {"trimmed": trim(field("text"))},
        {"out": pl.when(word_status(fold(field("trimmed")), nulls).is_null()).then(field("trimmed"))},
    )


def parse_identifier(text: pl.Expr, *, nulls: Nulls = NO_NULLS) -> pl.Expr:
    """Trimmed String like ``parse_text``; an integer that became a float loses its ".0".

    "1011.0" (Central Hudson) is "1011", "0022.0" is "0022"; "1.2", "10-2-13" and "05_01_237W1" stay.
    ``nulls`` are compared with both spellings.
    """
    field = pl.field
    shortened = {fold_key(key).removesuffix(".0"): status for key, status in nulls.items()}
    return staged(
        text,
        {"trimmed": trim(field("text"))},
        {"id": field("trimmed").str.replace(r"^([+-]?[0-9]+)\.0+$", "$1")},
        {"out": pl.when(word_status(fold(field("id")), {**nulls, **shortened}).is_null()).then(field("id"))},
    )


def parse_single(text: pl.Expr, *, separator: str) -> pl.Expr:
    """Parse a list that may have one value into struct{value: String, several: Boolean}.

    "01332413" (Duke) and "1, 1, 1" (Xcel: one value, repeated) have one; "01332413, 01332414" has several, and a
    missing item is another value than a present one.
    """
    field = pl.field
    return staged(
        text,
        {"items": split_list(field("text"), separator=separator)},
        {"several": (field("items").list.n_unique() > 1).fill_null(False)},
        {
            "out": pl.struct(
                value=pl.when(~field("several")).then(field("items").list.first()), several=field("several")
            )
        },
    )


def split_list(text: pl.Expr, *, separator: str = ",") -> pl.Expr:
    """Split packed cells into List(String) of trimmed items, for exploding parallel columns.

    "9.9,9.9,5.31" beside "A,B,C" (Ameren), "01332413, 01332414" (Duke). An empty item stays as NULL, so
    that the columns keep in step; an empty or NULL cell is NULL.
    """
    field = pl.field
    item = trim(pl.element())
    return staged(
        text,
        {"trimmed": trim(field("text"))},
        {"items": pl.when(field("trimmed") != "").then(field("trimmed")).str.split(separator)},
        {"out": field("items").list.eval(pl.when(item != "").then(item))},
    )


def _divisor(unit: str, divisors: dict[str, float], what: str) -> float:
    try:
        return divisors[unit.lower()]
    except KeyError:
        raise ValueError(f"{what} {unit!r} is not one of {', '.join(divisors)}") from None


def _group(name: str) -> pl.Expr:
    return pl.field("match").struct.field(name)


def _has(name: str) -> pl.Expr:
    return _group(name).is_not_null()


def _unit_divisor(name: str) -> pl.Expr:
    return _group(name).replace_strict(_DIVISORS, default=None, return_dtype=pl.Float64)


def _censored(ceiling: float | None, floor: float | None, divisor: float) -> pl.Expr:
    field = pl.field
    at_ceiling = field("low").is_not_null() & field("high").is_null()
    at_floor = field("high").is_not_null() & field("low").is_null()
    if ceiling is not None:
        at_ceiling |= (field("value") >= ceiling / divisor).fill_null(False)
    if floor is not None:
        at_floor |= (field("value") <= floor / divisor).fill_null(False)
    return (
        pl.when(at_ceiling)
        .then(pl.lit("at_ceiling"))
        .when(at_floor)
        .then(pl.lit("at_floor"))
        .otherwise(pl.lit("none"))
    )


def _status(nulls: Nulls) -> pl.Expr:
    missing = pl.when(pl.field("text").is_null()).then(pl.lit(nulls.get("", "not_published")))
    return pl.coalesce(pl.field("null_status"), missing, pl.lit("published"))


def _unread() -> pl.Expr:
    return pl.field("text").is_not_null() & pl.field("null_status").is_null() & pl.field("value").is_null()


def _unread_word() -> pl.Expr:
    null_word = word_status(pl.field("folded"), NO_NULLS).is_not_null()
    return pl.field("text").is_not_null() & pl.field("value").is_null() & ~null_word


def _flag(text: pl.Expr, patterns: dict[bool, str]) -> pl.Expr:
    field = pl.field
    value = (
        pl.when(field("folded").str.contains(patterns[True]))
        .then(pl.lit(True))
        .when(field("folded").str.contains(patterns[False]))
        .then(pl.lit(False))
    )
    return staged(
        text,
        {"folded": fold(field("text"))},
        {"value": value},
        {"out": pl.struct(value=field("value"), bad=_unread_word())},
    )
