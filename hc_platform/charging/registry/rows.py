"""Models as plain rows and back: text, numbers and None, times as whole microseconds since 1970 UTC.

What belongs here: that translation, which SQLite and DynamoDB share. What does not: statements and requests.

Times are integers in both stores, not ISO text: they compare and sort exactly, whatever the fraction of a second, and
one form serves columns, sort keys and conditions alike. ISO text, as a hand-made item may have it, is read too.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar, get_args

import polars as pl
from pydantic import AwareDatetime, BaseModel, ValidationError

from hc_platform.charging.models import Command, Control, Device

Row = dict[str, Any]
Plain = TypeVar("Plain", Device, Control, Command)
Made = TypeVar("Made")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)
_INT64: Final = 1 << 63


class UnreadableError(ValueError):
    """A stored row that the model does not allow: another program wrote it. `what` is one line."""

    def __init__(self, device_id: object, what: str) -> None:
        super().__init__(f"device {device_id} is not stored as it should be: {what}")
        self.what = what


def _times_of(model: type[BaseModel]) -> frozenset[str]:
    fields = model.model_fields.items()
    return frozenset(
        n for n, f in fields if f.annotation is AwareDatetime or AwareDatetime in get_args(f.annotation)
    )


FIELDS: Final[dict[type[BaseModel], tuple[str, ...]]] = {
    m: tuple(m.model_fields) for m in (Device, Control, Command)
}
TIMES: Final = {model: _times_of(model) for model in FIELDS}


def micros(at: datetime) -> int:
    """An aware datetime as microseconds since 1970 UTC, exactly. Raises ValueError for one without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone: give an aware datetime")
    return (at - _EPOCH) // _US


def maybe_micros(at: datetime | None) -> int | None:
    """The same, None for None."""
    return None if at is None else micros(at)


def moment(us: int | None) -> datetime | None:
    """The way back, in UTC; None for None."""
    return None if us is None else _EPOCH + timedelta(microseconds=int(us))


def to_row(thing: Device | Control | Command) -> Row:
    """Its fields by name, times as microseconds."""
    times = TIMES[type(thing)]
    return {n: maybe_micros(v) if n in times else v for n, v in thing.__dict__.items()}


def to_model(model: type[Plain], row: Mapping[str, Any]) -> Plain:
    """The model of a row; what the row has beyond the model's fields is let be.

    Raises UnreadableError, naming the device, where another program wrote what the model does not allow.
    """
    times = TIMES[model]
    known = ((n, row[n]) for n in FIELDS[model] if n in row)
    try:
        made = model.model_validate({n: _time(v) if n in times else v for n, v in known})
    except ValidationError as error:
        raise UnreadableError(row.get("device_id"), _in_one_line(error)) from error
    except (ValueError, OverflowError) as error:
        raise UnreadableError(row.get("device_id"), f"a time that is none: {error}") from error
    for name, value in made.__dict__.items():
        if isinstance(value, int) and not -_INT64 <= value < _INT64:
            raise UnreadableError(row.get("device_id"), f"{name}: {value} is beyond 64 bits")
    return made


def _in_one_line(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the row'}: {e['msg']}" for e in found)


def to_models(model: type[Plain], rows: Iterable[Mapping[str, Any]]) -> list[Plain]:
    """`to_model` of each."""
    return [to_model(model, row) for row in rows]


def sift(rows: Iterable[Row], make: Callable[[Row], Made], unreadable: dict[str, str]) -> list[Made]:
    """What is made of each row; a row that cannot be read is left out and noted, device id -> what is wrong."""
    made = []
    for row in rows:
        try:
            made.append(make(row))
        except UnreadableError as error:
            unreadable[str(row.get("device_id"))] = error.what
    return made


def device_row(row: Row) -> Row:
    """A device's row with its defaults and times, also where another program wrote it. Raises UnreadableError."""
    return to_row(to_model(Device, row))


def fleet_row(row: Row, control: object) -> Row:
    """A row of the fleet from a device's and its control's, None where it has none. Raises UnreadableError."""
    own = control_of(row | {"control": control})
    return device_row(row) | (to_row(own) if own else {}) | {"spread": spread(row["device_id"])}


def control_of(row: Row) -> Control | None:
    """The control within a device's item, None where it has none. Raises UnreadableError."""
    control = row.get("control")
    if control is None:
        return None
    if not isinstance(control, Mapping):
        raise UnreadableError(row["device_id"], f"control: {control!r} is no map")
    return to_model(Control, {**control, "device_id": row["device_id"]})


def frame_of(columns: Iterable[Sequence[Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """A frame of plain columns in the schema's order, its times from microseconds."""
    made = [
        pl.Series(n, values, dtype=pl.Int64() if isinstance(t, pl.Datetime) else t)
        for (n, t), values in zip(schema.items(), columns, strict=True)
    ]
    return pl.DataFrame(made).cast(pl.Schema(schema))


def frame_of_rows(rows: Sequence[Row], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """The same of rows; what they have beyond the schema is let be."""
    return frame_of(([r.get(n) for r in rows] for n in schema), schema)


def spread(device_id: str) -> int:
    """The fleet's `spread`: the first 32 bits of the device id's SHA-256, the same on every machine for ever."""
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:4], "big")


def _time(value: Any) -> Any:
    return moment(int(value)) if isinstance(value, int | float | Decimal) else value
