"""The registry in DynamoDB: for several machines, and where the devices are registered there already.

What belongs here: devices with their control, tariff rows, and what runs share. What does not: the outbox
(`dynamo_outbox`), requests (`dynamo_client`), tables and keys (`dynamo_tables`).

A device's control is a map within its item, so that one query by status gives the fleet, and one transaction compares
a control, the device's status and its due time. Writers other than this one must update items, not replace them.
"""
# ruff: noqa: D102 - what a method promises stands in `base`

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain
from typing import Any, Final, get_args

import boto3
import polars as pl

from hc_platform.charging.models import Change, Command, Control, Device, DeviceStatus, State
from hc_platform.charging.registry import dynamo_again as again
from hc_platform.charging.registry import dynamo_outbox as outbox
from hc_platform.charging.registry.base import ConflictError, Due
from hc_platform.charging.registry.dynamo_client import Client, Row, TryAgainError, patiently, put, update
from hc_platform.charging.registry.dynamo_outbox import Store
from hc_platform.charging.registry.dynamo_tables import SHARDS, create_tables, table_names
from hc_platform.charging.registry.rows import (
    control_of,
    device_row,
    fleet_row,
    frame_of_rows,
    micros,
    sift,
    spread,
    to_model,
    to_row,
)
from hc_platform.charging.registry.rules import check, draw, full, pour
from hc_platform.charging.tables import DEVICES, FLEET

_AT_ONCE = 16
_STATUSES: Final = {status: status for status in get_args(DeviceStatus)}
_OTHER_STATUS: Final = f"NOT #status IN ({', '.join(f':{status}' for status in _STATUSES)})"


class DynamoRegistry:
    """`registry.base.Registry` in the tables <prefix>devices, <prefix>commands and <prefix>tou-schedules.

    Region, endpoint and credentials: as given, else as boto3 finds them. Indexes lag behind by moments: `devices`,
    `fleet`, `next_due` and `claim` may see a write a little later; what they then write is compared with the items
    themselves. A request that AWS refuses for its rate is repeated for up to a minute.
    """

    def __init__(
        self,
        prefix: str = "evse-",
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        session: boto3.Session | None = None,
    ) -> None:
        self.prefix = prefix
        self.client = Client(region=region, endpoint_url=endpoint_url, session=session)
        names = table_names(prefix)
        self._devices, self._schedules = names["devices"], names["tou-schedules"]
        self._pool = ThreadPoolExecutor(_AT_ONCE)
        self._unreadable: dict[str, str] = {}
        self._store = Store(self.client, self._devices, names["commands"], self._pool)

    def create_tables(self) -> None:
        """Make the tables that are absent: for a first set-up and for tests."""
        create_tables(self.client, self.prefix)

    def close(self) -> None:
        self._pool.shutdown()
        self.client.close()

    # devices

    def put_device(self, device: Device, *, now: datetime) -> Device:
        stored = self.client.get(self._devices, {"device_id": device.device_id}) or {}
        had = int(stored.get("registry_version", 0))
        first = to_model(Device, stored).created_at if "status" in stored else None
        new = device.model_copy(
            update={
                "registry_version": device.registry_version + 1,
                "created_at": first or now,
                "updated_at": now,
            }
        )
        shard = _shard(device.device_id)
        row = to_row(new) | {"check_shard": shard if new.status == "active" else None}
        key = {"device_id": row.pop("device_id")}
        was: Row = {"had": had} if had else {}
        same = "#registry_version = :had" if had else "attribute_not_exists(#registry_version)"
        counter = {"device_id": f"#version#{shard}"}
        writes = [
            ("Update", update(self._devices, key, row, same, **was)),
            ("Update", update(self._devices, counter, {}, plus={"count": 1})),
        ]
        if had != device.registry_version or self.client.transact(writes):
            raise ConflictError(
                f"device {device.device_id} is at version {had} or newer, this write is of version "
                f"{device.registry_version}: read it again and repeat the change"
            )
        return new

    def device(self, device_id: str) -> Device | None:
        row = self.client.get(self._devices, {"device_id": device_id})
        return to_model(Device, row) if row and "status" in row else None

    def devices(self, status: DeviceStatus | None = None) -> Iterator[list[Device]]:
        self._unreadable = {}
        text, known = "#status = :status", get_args(DeviceStatus)
        pages: list[Iterator[list[Row]]] = [
            self.client.query(self._devices, text, index="by-status", status=wanted)
            for wanted in ((status,) if status else known)
        ]
        if not status:
            pages.append(self.client.scan(self._devices, _OTHER_STATUS, index="by-status", **_STATUSES))
        for page in chain.from_iterable(pages):
            if found := sift(page, lambda row: to_model(Device, row), self._unreadable):
                yield found

    def fleet(self) -> pl.DataFrame:
        wanted = f"#status = :active OR #control.#desired = :pause OR {_OTHER_STATUS}"
        return self._frame(
            FLEET, lambda row: fleet_row(row, row.get("control")), wanted, pause="pause", **_STATUSES
        )

    def registered(self) -> pl.DataFrame:
        return self._frame(DEVICES.schema, device_row)

    def _frame(
        self,
        schema: Mapping[str, pl.DataType],
        make: Callable[[Row], Row],
        only: str | None = None,
        **values: str,
    ) -> pl.DataFrame:
        self._unreadable = {}
        frames = [pl.DataFrame(schema=schema)]
        for page in self.client.scan(self._devices, only, index="by-status", **values):
            frames.append(frame_of_rows(sift(page, make, self._unreadable), schema))
        # one whose status changed while the index was read is met twice
        return pl.concat(frames).unique("device_id", keep="last", maintain_order=True)

    def unreadable(self) -> list[str]:
        return [f"{device_id}: {what}" for device_id, what in sorted(self._unreadable.items())]

    def version(self) -> int:
        keys = [{"device_id": f"#version#{n}"} for n in range(SHARDS)]
        return sum(row["count"] for row in self.client.get_many(self._devices, keys))

    # tariff rows

    def put_schedule_row(self, row: Mapping[str, Any]) -> None:
        nulls = {n: {"NULL": True} for n, v in row.items() if v is None}
        request = put(self._schedules, dict(row))
        self.client.write("put_item", request | {"Item": request["Item"] | nulls})

    def schedule_rows(self) -> list[dict[str, Any]]:
        pages = self.client.pages("scan", TableName=self._schedules, ConsistentRead=True)
        return [row for page in pages for row in page]

    # control and outbox

    def control(self, device_id: str) -> Control | None:
        row = self.client.get(self._devices, {"device_id": device_id})
        return control_of(row) if row else None

    def commit(self, changes: Sequence[Change], *, now: datetime) -> list[str]:
        check(changes)
        in_order: dict[str, list[Change]] = {}
        for change in changes:
            in_order.setdefault(change.control.device_id, []).append(change)

        def write(own: list[Change]) -> list[str]:
            return [c.control.device_id for c in own if not outbox.commit(self._store, c, now)]

        return [lost for each in self._pool.map(write, in_order.values()) for lost in each]

    def next_due(self) -> Due:
        return Due(outbox.next_check(self._store), outbox.next_command(self._store))

    def claim(self, *, now: datetime, limit: int, lease_until: datetime, owner: str) -> list[Command]:
        return outbox.claim(self._store, now, limit, lease_until, owner)

    def settle(self, command: Command, *, owner: str) -> bool:
        return outbox.settle(self._store, command, owner)

    def acknowledge(self, message_id: str, *, delivered: bool, now: datetime) -> Command | None:
        return outbox.acknowledge(self._store, message_id, delivered, now)

    def report(self, device_id: str, state: State, *, at: datetime) -> Control | None:
        key, said = (
            {"device_id": device_id},
            Control(device_id=device_id, reported=state, reported_at=at, next_check_at=at),
        )
        row = to_row(said)
        del row["device_id"]
        held = {n: v for n, v in row.items() if v is not None}
        first = update(
            self._devices,
            key,
            {"control": held, "check_at": row["next_check_at"]},
            "attribute_exists(#status) AND attribute_not_exists(#control)",
        )
        later = update(
            self._devices,
            key,
            {"control.reported": state, "control.reported_at": row["reported_at"]},
            "attribute_exists(#control) AND (attribute_not_exists(#control.#reported_at)"
            " OR #control.#reported_at < :at)",
            at=row["reported_at"],
        )
        # a device without control gets one; where that came about between the two, the second tells
        if not self.client.write("update_item", first):
            self.client.write("update_item", later)
        return self.control(device_id)

    def resend(
        self, device_id: str, ver: int, *, priority: int, reasons: int, count: bool, now: datetime
    ) -> bool:
        return again.resend(self._store, device_id, ver, priority, reasons, count, now)

    def say_again(self, due: Mapping[str, datetime], *, reasons: int, now: datetime) -> int:
        return again.say_again(self._store, due, reasons, now)

    def command(self, device_id: str, ver: int) -> Command | None:
        row = self._store.command(device_id, ver)
        return to_model(Command, row) if row else None

    def commands(
        self, *, device_id: str | None = None, status: str | None = None, since: datetime | None = None
    ) -> Iterator[list[Command]]:
        return outbox.commands(self._store, device_id, status, since)

    # what runs share

    def take_tokens(self, wanted: int, *, rate: float, burst: float, now: datetime) -> int:
        at, key = micros(now), {"device_id": "#tokens"}

        def take() -> int:
            held = self.client.get(self._devices, key)
            level = pour(held["level"], at - held["at"], rate=rate, burst=burst) if held else full(burst)
            taken, left = draw(level, wanted)
            row = key | {"level": left, "at": max(at, held["at"]) if held else at}
            same = "#level = :level AND #at = :at" if held else "attribute_not_exists(#device_id)"
            values = {"level": held["level"], "at": held["at"]} if held else {}
            if not self.client.write("put_item", put(self._devices, row, same, **values)):
                raise TryAgainError(f"{self._devices}: the token bucket is taken from all the time")
            return taken

        return patiently(take)

    def remember(self, key: str, value: str) -> None:
        self.client.write("put_item", put(self._devices, {"device_id": f"#memory#{key}", "value": value}))

    def recall(self, key: str) -> str | None:
        row = self.client.get(self._devices, {"device_id": f"#memory#{key}"})
        return row["value"] if row else None


def _shard(device_id: str) -> str:
    return str(spread(device_id) % SHARDS)
