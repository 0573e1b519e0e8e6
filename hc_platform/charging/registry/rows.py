"""Models as plain rows and back: text, numbers and None, times as whole microseconds since 1970 UTC.

What belongs here: that translation, which SQLite and DynamoDB share. What does not: statements and requests.

Times are integers in both stores, not ISO text: they compare and sort exactly, whatever the fraction of a second, and
one form serves columns, sort keys and conditions alike. ISO text, as a hand-made item may have it, is read too.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar, get_args

from pydantic import AwareDatetime, BaseModel, ValidationError

from hc_platform.charging.models import Command, Control, Device

Row = dict[str, Any]
Plain = TypeVar("Plain", Device, Control, Command)

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_US: Final = timedelta(microseconds=1)


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

    Raises ValueError, naming the device, where another program wrote what the model does not allow.
    """
    times = TIMES[model]
    known = ((n, row[n]) for n in FIELDS[model] if n in row)
    try:
        return model.model_validate({n: _time(v) if n in times else v for n, v in known})
    except ValidationError as error:
        raise ValueError(f"device {row.get('device_id')} is not stored as it should be: {error}") from error


def to_models(model: type[Plain], rows: Iterable[Mapping[str, Any]]) -> list[Plain]:
    """`to_model` of each."""
    return [to_model(model, row) for row in rows]


def spread(device_id: str) -> int:
    """The fleet's `spread`: the first 32 bits of the device id's SHA-256, the same on every machine for ever."""
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:4], "big")


def _time(value: Any) -> Any:
    return moment(int(value)) if isinstance(value, int | float | Decimal) else value
