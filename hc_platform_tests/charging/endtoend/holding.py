"""What must hold after a run that came to its end, whatever befell the ones before it.

What belongs here: the invariants, each told in words where it is broken. What does not: scenarios.
"""

from collections.abc import Iterator
from datetime import timedelta

import polars as pl

from hc_platform.charging.delivery import expected_state
from hc_platform.charging.models import Command, command_id
from hc_platform.charging.tables import CHARGE_COMMANDS, CHARGE_DECISIONS, CHARGE_RUNS
from hc_platform.charging.tick import decide_at
from hc_platform_tests.charging.endtoend.world import World

_SECOND = timedelta(seconds=1)


def broken(world: World) -> list[str]:
    """Everything that does not hold at the world's clock."""
    return [*_devices(world), *_sends(world), *_lake(world)]


def duplicates(world: World) -> tuple[int, int]:
    """Sends that said again what was sent before, and all sends, of the local downlink."""
    ids = [line["command_id"] for line in world.lines()]
    return len(ids) - len(set(ids)), len(ids)


def newest(world: World) -> dict[str, Command]:
    """Each device's newest command."""
    return {c.device_id: c for page in world.registry.commands() for c in page}  # by device, then version


def _devices(world: World) -> Iterator[str]:
    """No device is left in another state than the one decided, now or later in its window."""
    now = world.clock()
    decided, _ = decide_at(world.site, now)
    for row in decided.frame.filter("commanded").iter_rows(named=True):
        yield f"{row['device_id']}: a second run would send version {row['ver']}"
    commands = newest(world)
    for charger in world.fleet.chargers.values():
        name = charger.device_id
        control, command = world.registry.control(name), commands.get(name)
        if control is None or command is None:
            yield f"{name}: was never decided"
            continue
        if command.ver != control.ver:
            yield f"{name}: is at version {control.ver}, its newest command at {command.ver}"
        over = command.status == "dropped" and command.expires_at is not None and command.expires_at <= now
        if command.status not in ("sent", "acked") and not over:  # case 44: what is over is not sent
            yield f"{name}: version {command.ver} is {command.status}: {command.error}"
        edges = []
        if command.protocol == "window" and control.window_start and control.window_end:
            edges = [control.window_start, control.window_end - _SECOND, control.window_end]
        for at in (now, *(e for e in edges if e > now)):
            wanted = expected_state(control, command.protocol, at)
            if charger.state(at) != wanted:
                yield f"{name}: at {at} it does {charger.state(at)}, {wanted} was decided ({command.status})"


def _sends(world: World) -> Iterator[str]:
    """A version is never sent after a newer one; its id is the same at every attempt; none is made up."""
    last: dict[str, int] = {}
    for line in world.lines():
        name, ver = line["device_id"], line["ver"]
        if ver < last.get(name, 0):
            yield f"{name}: version {ver} was sent after {last[name]}"
        if line["command_id"] != command_id(name, ver):
            yield f"{name}: version {ver} bears another id"
        last[name] = ver
    for name, command in newest(world).items():
        if command.status == "sent" and last.get(name) != command.ver:
            yield f"{name}: version {command.ver} is called sent, and was not"


def _lake(world: World) -> Iterator[str]:
    """Every command is in charge_commands as it stands; every control is in charge_decisions."""
    key = ["command_id", "status", "attempts"]
    recorded = set(world.site.lake.scan(CHARGE_COMMANDS).select(key).collect().rows())
    held = [c for page in world.registry.commands() for c in page]
    for c in held:
        if (c.command_id, c.status, c.attempts) not in recorded:
            yield f"{c.device_id}: version {c.ver} {c.status} is not in charge_commands"
    rows = world.site.lake.scan(CHARGE_COMMANDS).collect()
    if rows.height != rows.unique([*key, "updated_at"]).height:
        yield "charge_commands holds a state twice"
    runs = world.site.lake.scan(CHARGE_RUNS).collect()
    if runs.height != runs["run_id"].n_unique():
        yield "charge_runs holds a run twice"
    decisions = world.site.lake.scan(CHARGE_DECISIONS).filter(pl.col("mode") == "live").collect()
    last = decisions.sort("as_of").unique("device_id", keep="last")
    told = {r["device_id"]: r for r in last.iter_rows(named=True)}
    for charger in world.fleet.chargers.values():
        control, row = world.registry.control(charger.device_id), told.get(charger.device_id)
        device = world.registry.device(charger.device_id)
        if control is None or device is None or device.status != "active":
            continue  # of a device that left the fleet, charge_commands alone is sure to tell
        if row is None:
            yield f"{charger.device_id}: its decision is not in charge_decisions"
        elif any(
            row[n] != getattr(control, n) for n in ("ver", "desired", "window_start", "window_end", "moer")
        ):
            yield f"{charger.device_id}: charge_decisions has version {row['ver']} {row['desired']}, not {control.ver}"
