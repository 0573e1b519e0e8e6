"""The outbox in DynamoDB: what is asked of devices, leased, sent and acknowledged.

What belongs here: the transactions of control and commands. What does not: devices and the rest (`dynamo`).

What it rests on: only a device's newest version, that of its control, can be leased, and every write of a command
compares that version in the same transaction. So of older ones none waits; at most one is still being sent, and a
version committed meanwhile notes it (`waits_for`, `waits_until`) and lets it end first. Indexes only nominate: what
`claim` takes is read from, and compared with, the items.
"""

import heapq
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, Final, get_args

from hc_platform.charging.models import Change, Command, CommandStatus, Control
from hc_platform.charging.registry.dynamo_client import (
    Client,
    Row,
    TryAgainError,
    condition,
    patiently,
    put,
    update,
)
from hc_platform.charging.registry.dynamo_tables import SHARDS
from hc_platform.charging.registry.rows import (
    FIELDS,
    fleet_row,
    maybe_micros,
    micros,
    moment,
    sift,
    spread,
    to_model,
    to_models,
    to_row,
)
from hc_platform.charging.registry.rules import (
    CLOSED,
    KEEP,
    NO_CONTROL,
    after_loss,
    due_at,
    priority_after_loss,
    settled,
    uncounted,
)

_BUCKETS: Final = 3
"""Priorities with a place of their own in the index; greater ones share the last, smaller ones the first."""
_NOMINATED: Final = 100
_LOOKED_AT: Final = 4
_DECIDED: Final = [n for n in FIELDS[Control] if n not in ("device_id", "reported", "reported_at", "resends")]
NEWEST: Final = "#control.#ver = :ver"


@dataclass(frozen=True)
class Store:
    """Where the outbox is kept."""

    client: Client
    devices: str
    commands: str
    pool: Executor

    def command(self, device_id: str, ver: int) -> Row | None:
        """One command's item as it is now."""
        return self.client.get(self.commands, {"device_id": device_id, "ver": ver})


def _item(command: Command) -> Row:
    """A command's row with what its indexes and its expiry need; None: to be removed."""
    due, shard = maybe_micros(due_at(command)), spread(command.device_id) % SHARDS
    bucket = min(max(command.priority, 0), _BUCKETS - 1)
    closed = command.status in CLOSED
    return to_row(command) | {
        "status_shard": f"{command.status}#{shard}",
        "due_shard": None if due is None else f"{bucket}#{shard}",
        "due_at": due,
        "ttl": int((command.updated_at + KEEP).timestamp()) if closed else None,
    }


def rewrite(store: Store, command: Command, was: Row, text: str = "", **values: Any) -> Row:
    """The update to a command's new state, if it is still in the one that was read."""
    row = _item(command)
    key = {"device_id": row.pop("device_id"), "ver": row.pop("ver")}
    same, as_read = _unchanged(was)
    return update(store.commands, key, row, f"{same}{text}", **as_read, **values)


def _unchanged(was: Row) -> tuple[str, Row]:
    read = [n for n in ("status", "attempts", "lease_until") if was.get(n) is not None]
    return " AND ".join(f"#{n} = :was_{n}" for n in read), {f"was_{n}": was[n] for n in read}


def _closed(store: Store, was: Row, status: CommandStatus, now: datetime, **fields: str) -> Row:
    """The update that closes a command, by single attributes: what was read may be no command that we know."""
    key = {n: was[n] for n in ("device_id", "ver")}
    over: Row = dict.fromkeys(("due_shard", "due_at", "next_try_at", "lease_until", "lease_owner"))
    over |= {"status": status, "status_shard": f"{status}#{spread(was['device_id']) % SHARDS}"}
    over |= {"updated_at": micros(now), "ttl": int((now + KEEP).timestamp()), **fields}
    same, as_read = _unchanged(was)
    return update(store.commands, key, over, same, **as_read)


def commit(store: Store, change: Change, now: datetime) -> bool:
    """One change, whole or not at all; False where another was first."""
    return patiently(_commit, store, change, now)


def _commit(store: Store, change: Change, now: datetime) -> bool:
    control, command = change.control, change.command
    writes = [("Update", _control(store, control, control.ver - (command is not None)))]
    if command is not None:
        before = store.command(command.device_id, command.ver - 1) if command.ver > 1 else None
        writes.append(("Put", _new(store, command, before)))
        writes += _before(store, command, before, now)
    failed = store.client.transact(writes)
    if command and failed and failed[1] and not failed[0]:
        _recount(store, control, now)
    if any(failed[:2]):
        return False
    if any(failed):
        raise TryAgainError(f"{control.device_id}: its older command changes all the time")
    return True


def _recount(store: Store, control: Control, now: datetime) -> None:
    """Let versions go on from the outbox's newest: another program removed the control that counted them."""
    pages = store.client.query(store.commands, "#device_id = :device_id", device_id=control.device_id)
    newest = max(row["ver"] for page in pages for row in page)
    counted = uncounted(control, now).model_copy(update={"ver": newest})
    store.client.write("update_item", _control(store, counted, control.ver - 1))


def _control(store: Store, control: Control, ver_before: int) -> Row:
    """The update to a control, if the stored one is of the revision and version before it."""
    key, row = {"device_id": control.device_id}, to_row(control)
    due = {"check_at": row["next_check_at"]}
    if control.rev == 1:
        held = {n: v for n, v in row.items() if v is not None and n != "device_id"}
        first = "attribute_exists(#status) AND attribute_not_exists(#control)"
        return update(store.devices, key, due | {"control": held}, first)
    names = [*_DECIDED, "resends"] if control.ver > ver_before else _DECIDED
    sets = due | {f"control.{n}": row[n] for n in names}
    was: Row = {"rev": control.rev - 1, "ver": ver_before}
    same = f"attribute_exists(#status) AND #control.#rev = :rev AND {NEWEST}"
    return update(store.devices, key, sets, same, **was)


def _new(store: Store, command: Command, before: Row | None) -> Row:
    waits = {}
    if before and before["status"] == "sending":
        waits = {"waits_for": before["ver"], "waits_until": before["lease_until"]}
    elif before and before["status"] == "pending" and "waits_for" in before:
        waits = {n: before[n] for n in ("waits_for", "waits_until")}
    return put(store.commands, _item(command) | waits, "attribute_not_exists(#device_id)")


def _before(store: Store, command: Command, before: Row | None, now: datetime) -> list[tuple[str, Row]]:
    """The version before: superseded if it waits or was sent, else shown to be still as it was read."""
    key = {"device_id": command.device_id, "ver": command.ver - 1}
    if before is None:
        gone = condition(store.commands, key, "attribute_not_exists(#device_id)")
        return [("ConditionCheck", gone)] if command.ver > 1 else []
    if before["status"] in ("pending", "sent"):
        return [("Update", _closed(store, before, "superseded", now))]
    text, values = "#status = :status", {"status": before["status"]}
    if before["status"] == "sending":
        text, values = f"{text} AND #lease_until = :until", values | {"until": before["lease_until"]}
    return [("ConditionCheck", condition(store.commands, key, text, **values))]


def is_newest(store: Store, device_id: str, ver: int) -> tuple[str, Row]:
    """The part of a transaction that holds only while that version is the device's newest."""
    return "ConditionCheck", condition(store.devices, {"device_id": device_id}, NEWEST, ver=ver)


def next_check(store: Store) -> datetime | None:
    """The least next_check_at of active devices that the fleet has: others would be due for ever."""

    def in_fleet(device_id: str) -> bool:
        row = store.client.get(store.devices, {"device_id": device_id})
        return bool(row and sift([row], lambda r: fleet_row(r, r.get("control")), {}))

    def least(shard: int) -> int | None:
        text = "#check_shard = :shard"
        pages = store.client.query(store.devices, text, index="by-check", shard=str(shard), limit=_LOOKED_AT)
        rows = (row for page in pages for row in page)
        return next((row["check_at"] for row in rows if in_fleet(row["device_id"])), None)

    return moment(min((us for us in store.pool.map(least, range(SHARDS)) if us is not None), default=None))


def next_command(store: Store) -> datetime | None:
    """The least instant at which `claim` will find something: one behind another in flight is not yet found."""

    def least(shard: str) -> int | None:
        pages = store.client.query(
            store.commands, "#due_shard = :shard", index="by-due", shard=shard, limit=_NOMINATED
        )
        rows = (row for page in pages for row in page)
        return next((row["due_at"] for row in rows if not _is_blocked(store, row, row["due_at"])), None)

    shards = [f"{bucket}#{shard}" for bucket in range(_BUCKETS) for shard in range(SHARDS)]
    return moment(min((us for us in store.pool.map(least, shards) if us is not None), default=None))


def _is_blocked(store: Store, row: Row, at: int) -> bool:
    if row.get("waits_until", 0) <= at:
        return False
    other = store.command(row["device_id"], row["waits_for"])
    return other is not None and other["status"] == "sending" and other["lease_until"] > at


def claim(store: Store, now: datetime, limit: int, lease_until: datetime, owner: str) -> list[Command]:
    """Lease up to `limit`, by priority and then by due time."""
    taken: list[Command] = []

    def take(was: Row) -> Command | None:
        if _is_blocked(store, was, micros(now)):
            return None
        leased = to_model(Command, was).model_copy(
            update={
                "status": "sending",
                "attempts": was["attempts"] + 1,
                "lease_until": lease_until,
                "lease_owner": owner,
                "updated_at": now,
            }
        )
        same = " AND #due_at = :was_due"
        writes = [
            ("Update", rewrite(store, leased, was, same, was_due=was["due_at"])),
            is_newest(store, leased.device_id, leased.ver),
        ]
        return None if store.client.transact(writes) else leased

    for bucket in range(_BUCKETS):
        nominated = _nominated(store, bucket, now)
        while len(taken) < limit and (some := list(islice(nominated, min(limit - len(taken), _NOMINATED)))):
            taken += [c for c in store.pool.map(take, _fit(store, some, now)) if c is not None]
    return taken


def _nominated(store: Store, bucket: int, now: datetime) -> Iterator[Row]:
    text = "#due_shard = :shard AND #due_at <= :now"

    def of(shard: int) -> Iterator[Row]:
        pages = store.client.query(
            store.commands,
            text,
            index="by-due",
            shard=f"{bucket}#{shard}",
            now=micros(now),
            limit=_NOMINATED,
        )
        return chain.from_iterable(pages)

    return heapq.merge(*map(of, range(SHARDS)), key=lambda row: row["due_at"])


def _fit(store: Store, nominated: list[Row], now: datetime) -> list[Row]:
    """The nominated as their items are now: those still due; what is of an older version is superseded instead."""
    found = store.client.get_many(
        store.commands, [{n: row[n] for n in ("device_id", "ver")} for row in nominated]
    )
    by_key = {(row["device_id"], row["ver"]): row for row in found}
    devices = [{"device_id": d} for d in dict.fromkeys(row["device_id"] for row in nominated)]
    newest = {row["device_id"]: newest_ver(row) for row in store.client.get_many(store.devices, devices)}
    fit = []
    for row in filter(None, (by_key.get((n["device_id"], n["ver"])) for n in nominated)):
        if row.get("due_at") is None or row["due_at"] > micros(now):
            continue  # the index has not heard yet
        ver = newest.get(row["device_id"])
        if wrong := NO_CONTROL if ver is None else _what_is_wrong(row):
            store.client.write("update_item", _closed(store, row, "dead", now, error=wrong))
        elif row["ver"] < (ver or 0):
            store.client.write("update_item", _closed(store, row, "superseded", now))
        else:
            fit.append(row)
    return fit


def newest_ver(device: Row) -> int | None:
    """The version that a device's item is at, None where it has no control that can be read."""
    control = device.get("control")
    ver = control.get("ver") if isinstance(control, dict) else None
    return ver if isinstance(ver, int) else None


def _what_is_wrong(row: Row) -> str | None:
    unreadable: dict[str, str] = {}
    sift([row], lambda r: to_model(Command, r), unreadable)
    return unreadable.get(row["device_id"])


def settle(store: Store, command: Command, owner: str) -> bool:
    """Store a claimed command's outcome, if it is still leased to the owner."""
    outcome = settled(command, newer=False)
    was = store.command(command.device_id, command.ver)
    if was is None or was["status"] != "sending" or was.get("lease_owner") != owner:
        return False
    text = " AND #lease_owner = :owner"
    writes = [
        ("Update", rewrite(store, outcome, was, text, owner=owner)),
        is_newest(store, command.device_id, command.ver),
    ]
    if outcome.status == "sent" and outcome.message_id:
        writes.append(("Put", put(store.commands, _pointer(outcome))))
    failed = store.client.transact(writes)
    if not failed:
        return True
    if failed[0]:
        return False
    late = settled(command, newer=True)  # and it stays so: a newer version never goes away
    return store.client.write("update_item", rewrite(store, late, was, text, owner=owner))


def _pointer(command: Command) -> Row:
    """What leads from a message id to its command: read consistently, as an index by message_id could not be."""
    return {
        "device_id": f"#message#{command.message_id}",
        "ver": 0,
        "of_device": command.device_id,
        "of_ver": command.ver,
        "ttl": int((command.updated_at + KEEP).timestamp()),
    }


def acknowledge(store: Store, message_id: str, delivered: bool, now: datetime) -> Command | None:
    """Note a delivery event on the command whose last attempt had that message id."""
    pointer = store.command(f"#message#{message_id}", 0)
    was = store.command(pointer["of_device"], pointer["of_ver"]) if pointer else None
    if was is None or was["status"] != "sent" or was.get("message_id") != message_id:
        return None
    fields: Row = (
        {"status": "acked", "acked_at": now, "next_try_at": None, "error": None}
        if delivered
        else {
            "status": "pending",
            "next_try_at": after_loss(int(was["attempts"]), now),
            "priority": priority_after_loss(int(was["priority"]), int(was["attempts"])),
            "error": "the network could not deliver it",
        }
    )
    told = to_model(Command, was).model_copy(update=fields | {"updated_at": now})
    text = " AND #message_id = :message_id"
    done = store.client.write("update_item", rewrite(store, told, was, text, message_id=message_id))
    return told if done else None


def commands(
    store: Store, device_id: str | None, status: str | None, since: datetime | None
) -> Iterator[list[Command]]:
    """Commands page by page, in the order in which they live, so that one that moves on is met twice, not missed."""
    from_us = micros(since) if since else 0
    if device_id is not None:
        for page in store.client.query(store.commands, "#device_id = :device_id", device_id=device_id):
            found = (r for r in page if r["updated_at"] >= from_us and status in (None, r["status"]))
            if listed := to_models(Command, found):
                yield listed
        return
    for wanted in [status] if status else get_args(CommandStatus):
        for shard in range(SHARDS):
            text = "#status_shard = :shard AND #updated_at >= :since"
            pages = store.client.query(
                store.commands, text, index="by-status", shard=f"{wanted}#{shard}", since=from_us
            )
            for page in pages:
                yield to_models(Command, page)
