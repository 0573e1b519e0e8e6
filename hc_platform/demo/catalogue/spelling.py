"""How drawn values are written into published columns: each maker gives a column and what each target must read in it.

What belongs here: one field at a time, by what its targets are. What does not: what a form means (`meaning`), which
fields a layer has (`plan`), rows (`layers`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final, Literal

from hc_platform.catalog.fields import CAPACITY_COLUMNS, HOSTING_COLUMNS, FieldTarget
from hc_platform.demo.catalogue.meaning import NOTHING, WORDS, Form, Kind, Meaning, capacity, text

FieldType = Literal["text", "number", "date"]
Published = str | float | int | None


@dataclass(frozen=True)
class Asked:
    """A field to be made: its type, and what reads it. `plain`: points only (parts of lists, of sums, of conditions).

    `unit` is the default of targets that name none; `separators` may not stand in a value; `required`: never empty.
    """

    name: str
    type: FieldType
    targets: tuple[FieldTarget, ...]
    unit: str | None
    plain: bool = False
    separators: str = ""
    required: bool = False


@dataclass(frozen=True)
class Made:
    """A published column, and for each target in turn what its values mean."""

    values: list[Published]
    meanings: list[list[Meaning]]


CONSTRAINTS: Final = (
    ("Steady State Voltage", "voltage"),
    ("Generation - Steady State Voltage", "voltage"),
    ("Abnormal Voltages", "voltage"),
    ("Primary Over-Voltage", "voltage"),
    ("Voltage", "voltage"),
    ("Thermal", "thermal"),
    ("Thermal Loading", "thermal"),
    ("Thermal Discharging", "thermal"),
    ("Unintentional Islanding", "islanding"),
    ("UnintentionalIslanding", "islanding"),
    ("BreakerReach - Large DER", "protection"),
    ("Remaining TPS Utilization", "substation"),
    ("Regulator Voltage Deviation", "regulator"),
    ("Reverse Power Flow", "reverse_flow"),
    ("Flicker", "flicker"),
    ("None", "none"),
)
_PHASES: Final = (
    *(("ABC", "ABC"), ("BCA", "ABC"), ("[ABC]", "ABC"), ("[ABCN]", "ABC"), ("A,B", "AB")),
    *(("B", "B"), ("3", "ABC"), ("1", "1"), ("2", "2"), ("", None), ("NA", None)),
)
_OVERHEAD: Final = (
    *(("OH", True), ("O", True), ("Overhead", True), ("OVERHEAD CONDUCTOR", True), ("UG", False)),
    *(("U", False), ("Underground", False), ("UNDERGROUND CABLE", False), ("", None)),
)
_NETWORK: Final = (
    *(("Network", True), ("Networked", True), ("Yes", True), ("Radial", False), ("No", False), ("", None)),
)
_RANGED: Final = {"hosting_capacity_mw", "remaining_capacity_mw"}
_PARTS: Final = {"hosting_capacity_min_mw": 0.3, "hosting_capacity_max_mw": 0.9}
"""Of a row's amount: so that a least value lies below the greatest; 0.6 of it in any other column."""
_DATE_STYLES: Final = (
    "%Y-%m-%d",
    "%m/%d/%Y",
    "%m/%d/%Y, %I:%M %p",
    "%Y/%m/%d 00:00:00+00",
    "%m/%d/%Y 00:00:00+00",
    "%Y-%m-%dT14:44:35.254564",
    "%b %Y",
    "%B %Y",
)


def make(asked: Asked, draw: Random, feeders: Sequence["Feeder"], amounts: Sequence[float]) -> Made:
    """A column whose rows stand at these feeders; `amounts` (0 to 1) are what the rows' capacities have in common."""
    count = len(feeders)
    first = next((t.to for t in asked.targets), None)
    if first is None:
        return Made([f"{asked.name[:4]}-{draw.randrange(10**6)}" for _ in range(count)], [])
    if first in CAPACITY_COLUMNS:
        return _capacities(asked, draw, amounts)
    if any(t.classes for t in asked.targets):
        return _classes(asked, count, draw)
    return _MAKERS[first](asked, count, draw, feeders)


@dataclass(frozen=True)
class Feeder:
    """A made-up feeder."""

    number: int
    id: str
    name: str
    substation: str
    kv: float


def _capacities(asked: Asked, draw: Random, amounts: Sequence[float]) -> Made:
    units = [t.unit or asked.unit or "kw" for t in asked.targets]
    forms = [_form(asked, draw, units[0], amount) for amount in amounts]
    readable = asked.plain or asked.type == "number" or any(t.classes for t in asked.targets)
    if len(forms) >= 150 and not readable and any(t.to in HOSTING_COLUMNS for t in asked.targets):
        forms[draw.randrange(len(forms) // 4, len(forms) // 2)] = Form("junk", word="see note 4")
    written = [_written(form, asked, draw) for form in forms]
    meanings = [
        [capacity(form, target, unit) for form in forms]
        for target, unit in zip(asked.targets, units, strict=True)
    ]
    return Made(written, meanings)


def _form(asked: Asked, draw: Random, unit: str, amount: float) -> Form:
    """One capacity, in the field's unit."""
    target = asked.targets[0]
    per_kw = {"w": 1000.0, "va": 1000.0, "mw": 0.001, "mva": 0.001}.get(unit, 1.0)
    if target.classes:
        return Form("class", word=draw.choice([*target.classes]))
    ends = [end for end in (target.ceiling, target.floor) if end is not None]
    texts = asked.type == "text" and not asked.plain
    columns = {t.to for t in asked.targets}
    ranged = texts and (columns & _RANGED or len(columns & {*HOSTING_COLUMNS}) > 1)
    shares = {
        "point": 70,
        "end": 10 if ends else 0,
        "sentinel": 8 if target.nulls and not asked.plain else 0,
        "null": 5,
        "word": 4 if texts else 0,
        "ranged": 12 if ranged else 0,
        "own unit": 5 if texts else 0,
    }
    kind = draw.choices(list(shares), list(shares.values()))[0]
    if kind == "end":
        return Form("point", draw.choice(ends))
    if kind == "sentinel":
        return _sentinel(draw.choice([*target.nulls]), asked)
    if kind == "null":
        return Form("null")
    if kind == "word":
        return Form("word", word=draw.choice([w for w in WORDS if w not in target.nulls]))
    if kind == "ranged":
        low = draw.randrange(1, 40) * 50
        open_or_not: Kind = draw.choice(("range", "range", "above", "below"))
        return Form(open_or_not, low * per_kw, (low + 150) * per_kw)
    number = _number(target, per_kw, draw, amount)
    if kind == "own unit" and number >= 0:
        other = {"kw": "mw", "mw": "kw"}.get(unit, "kw")
        kilowatts = round(number / per_kw)
        return Form("point", kilowatts / 1000 if other == "mw" else float(kilowatts), unit=other)
    return Form("point", number)


def _sentinel(key: str, asked: Asked) -> Form:
    """What stands for no value: a number, or a word where the column takes one."""
    try:
        return Form("point", float(key), word=key)
    except ValueError:
        return Form("word", word=key) if asked.type == "text" else Form("null")


def _number(target: FieldTarget, per_kw: float, draw: Random, amount: float) -> float:
    """A number between the study's ends that is no sentinel: the part of the row's amount that the column tells."""
    top = target.ceiling if target.ceiling is not None else 25_000 * per_kw
    bottom = target.floor if target.floor is not None else (-800 * per_kw if draw.random() < 0.02 else 0.0)
    sentinels = set(target.nulls)
    part = _PARTS.get(target.to, 0.6)
    while True:
        zero = target.floor is None and amount < 0.06
        number = 0.0 if zero else round(bottom + (top - bottom) * amount**2 * part, 4)
        if bottom <= number < top and not {f"{number:g}", str(number), str(int(number))} & sentinels:
            return number
        amount = draw.random()


def _written(form: Form, asked: Asked, draw: Random) -> Published:
    if form.kind == "null":
        return None
    if form.kind in ("word", "junk", "class"):
        return form.word
    if asked.type != "text":
        return form.low
    low, high = f"{form.low:.10g}", f"{form.high:.10g}"
    if form.kind == "range":
        return draw.choice((f"{low} - {high}", f"{low}-{high}", f"{low} to {high}"))
    if form.kind == "above":
        return draw.choice((f">{low}", f"{low}+", f"Over {low}"))
    if form.kind == "below":
        return draw.choice((f"<={low}", f"Less than {low}", f"Up To {low}"))
    if form.word:
        return form.word
    if form.unit:
        return f"{low} {form.unit.upper().replace('KW', 'kW')}" + ("" if draw.random() < 0.7 else " AC")
    if form.low >= 1000 and "," not in asked.separators and not asked.plain and draw.random() < 0.1:
        return f"{form.low:,.4f}"
    return low if asked.plain or draw.random() < 0.9 else f" {low} "


def _classes(asked: Asked, count: int, draw: Random) -> Made:
    """Codes of which the config says what they mean, of other columns than capacities."""
    codes = [draw.choice([*asked.targets[0].classes]) for _ in range(count)]
    meanings = []
    for target in asked.targets:
        known: dict[str, dict[str, str | bool | None]] = {
            "is_overhead": dict(_OVERHEAD),
            "is_network": dict(_NETWORK),
            "phase_config": dict(_PHASES),
            "constraining_metric": dict(CONSTRAINTS),
        }
        spelled = known.get(target.to)
        told = [target.classes.get(code, code) for code in codes]
        if spelled is None:
            meanings.append([text(code, target) for code in codes])
            continue
        lower = {key.lower(): value for key, value in spelled.items()}
        meanings.append([Meaning(lower[word.lower()]) for word in told])
    return Made([*codes], meanings)


def _texts(asked: Asked, count: int, draw: Random, feeders: Sequence[Feeder]) -> Made:
    """Ids and names of the rows' feeders; names now and then with blanks around them."""
    to = asked.targets[0].to
    attribute = {"feeder_name": "name", "substation_name": "substation"}.get(to, "id")
    values: list[Published] = [getattr(feeder, attribute) for feeder in feeders[:count]]
    if asked.type == "number":
        numbers = [
            feeder.number if to != "substation_name" else feeder.number // 4 for feeder in feeders[:count]
        ]
        values = [1000.0 + number for number in numbers]
    elif to != "feeder_id_external" and not asked.plain:
        values = [f" {v} " if draw.random() < 0.1 else v for v in values]
    for at in range(count):
        if not asked.required and draw.random() < 0.02:
            values[at] = draw.choice(("", None, *asked.targets[0].nulls)) if asked.type == "text" else None
    return Made(values, [[text(value, target) for value in values] for target in asked.targets])


def _voltages(asked: Asked, count: int, draw: Random, feeders: Sequence[Feeder]) -> Made:
    target = asked.targets[0]
    unit = target.unit
    values: list[Published] = []
    meanings: list[Meaning] = []
    for feeder in feeders[:count]:
        kv, chance = feeder.kv, draw.random()
        meaning = Meaning(kv)
        if asked.type == "number":
            value: Published = round(kv * 1000) if unit == "v" or (unit is None and chance < 0.1) else kv
        elif unit == "v":
            value = str(round(kv * 1000))
        else:
            spellings = (
                f"{kv}",
                f"{kv}kV",
                f"{kv}-KV",
                f"{kv:.2f} KV",
                f"66/{kv} kV",
                f"{kv} / {kv / 3**0.5:.2f}",
            )
            value = spellings[0] if asked.plain else draw.choice(spellings)
            if unit is None and chance < 0.1:
                value = str(round(kv * 1000))
        if not asked.plain and draw.random() < 0.04:
            value, meaning = (
                (None if asked.type == "number" else draw.choice(["", None, *target.nulls])),
                NOTHING,
            )
        values.append(value)
        meanings.append(meaning)
    return Made(values, [meanings for _ in asked.targets])


def _dates(asked: Asked, count: int, draw: Random, _: Sequence[Feeder]) -> Made:
    style = draw.choice(_DATE_STYLES if not asked.separators else _DATE_STYLES[:2])
    values: list[Published] = []
    meanings: list[Meaning] = []
    for _row in range(count):
        day = date(2026, 5, 1) - timedelta(days=draw.randrange(700))
        chance = draw.random()
        if asked.type == "date":
            if chance < 0.02:
                values.append(-2_209_161_600_000)
                meanings.append(NOTHING)
                continue
            at = datetime(day.year, day.month, day.day, draw.randrange(24), tzinfo=UTC)
            values.append(round(at.timestamp() * 1000))
        elif chance < 0.03 and not asked.plain:
            values.append(draw.choice(["", None, "01/01/9999", *asked.targets[0].nulls]))
            meanings.append(NOTHING)
            continue
        else:
            day = day.replace(day=1) if "%d" not in style else day
            values.append(day.strftime(style))
        meanings.append(Meaning(day))
    return Made(values, [meanings for _ in asked.targets])


def _of(spellings: Sequence[tuple[str, str | bool | None]]) -> Callable[..., Made]:
    """A maker of words; those that hold the list's own separator, or say nothing, stay out of lists."""

    def maker(asked: Asked, count: int, draw: Random, _: Sequence[Feeder]) -> Made:
        fitting = [s for s in spellings if not (asked.plain and not s[0])]
        fitting = [s for s in fitting if not any(c in s[0] for c in asked.separators.strip() or "\0")]
        if asked.type == "number":
            fitting = [s for s in spellings if s[0].isdigit()]
        chosen = [draw.choice(fitting) for _ in range(count)]
        values: list[Published] = [int(w) if asked.type == "number" else w for w, _ in chosen]
        return Made(values, [[Meaning(meaning) for _, meaning in chosen] for _ in asked.targets])

    return maker


_MAKERS: Final[dict[str, Callable[..., Made]]] = {
    "feeder_id_external": _texts,
    "feeder_name": _texts,
    "substation_name": _texts,
    "voltage_kv": _voltages,
    "record_date": _dates,
    "phase_config": _of(_PHASES),
    "is_overhead": _of(_OVERHEAD),
    "is_network": _of(_NETWORK),
    "constraining_metric": _of((*CONSTRAINTS, ("", None))),
}
