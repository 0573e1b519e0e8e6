"""The SQLite registry's statements on single devices, controls and commands.

What belongs here: their SQL. What does not: when they run (`sqlite`), whole frames (`sqlite_frames`).
"""
# ruff: noqa: S608 - names come from the models, values are bound

from collections.abc import Sequence

from hc_platform.charging.models import Command, Control, Device
from hc_platform.charging.registry.rows import FIELDS
from hc_platform.charging.registry.rules import CLOSED


def _names(model: type[Device] | type[Control] | type[Command]) -> str:
    return ", ".join(FIELDS[model])


def _values(model: type[Device] | type[Control] | type[Command]) -> str:
    return ", ".join(f":{n}" for n in FIELDS[model])


def _sets(names: Sequence[str]) -> str:
    return ", ".join(f"{n} = :{n}" for n in names)


INSERT_DEVICE = f"INSERT INTO devices ({_names(Device)}, spread) VALUES ({_values(Device)}, :spread)"
UPDATE_DEVICE = f"""UPDATE devices SET {_sets([n for n in FIELDS[Device] if n != "device_id"])}
    WHERE device_id = :device_id AND registry_version = :registry_version - 1"""

INSERT_CONTROL = f"""INSERT OR IGNORE INTO controls ({_names(Control)}, active)
    SELECT {_values(Control)}, status = 'active' FROM devices WHERE device_id = :device_id"""
_DECIDED = [n for n in FIELDS[Control] if n not in ("device_id", "reported", "reported_at", "resends")]
UPDATE_CONTROL = f"""UPDATE controls SET {_sets(_DECIDED)}, resends = IIF(ver < :ver, :resends, resends)
    WHERE device_id = :device_id AND rev = :rev - 1 AND ver = :ver - :commands"""
INSERT_COMMAND = f"""INSERT INTO commands ({_names(Command)}) VALUES ({_values(Command)})
    ON CONFLICT (device_id, ver) DO NOTHING"""
# where that version exists already, for another program removed the control: versions go on from the newest
RECOUNT = f"""UPDATE controls SET {_sets([n for n in _DECIDED if n != "ver"])},
    ver = (SELECT MAX(ver) FROM commands WHERE device_id = :device_id) WHERE device_id = :device_id"""
SUPERSEDE = """UPDATE commands SET status = 'superseded', next_try_at = NULL, updated_at = :now
    WHERE device_id = :device_id AND ver < :ver AND status IN ('pending', 'sent')"""
FORGET = f"""DELETE FROM commands WHERE device_id = :device_id AND ver < :ver AND updated_at < :keep_from
    AND status IN {CLOSED}"""

# a lease of another version that is not over when this one is due
_BLOCKED = """EXISTS (SELECT 1 FROM commands AS other WHERE other.status = 'sending'
    AND other.device_id = c.device_id AND other.ver != c.ver AND other.lease_until > {due})"""
NEXT_COMMAND = f"""SELECT due_at FROM commands AS c WHERE due_at IS NOT NULL AND NOT {_BLOCKED.format(due="c.due_at")}
    ORDER BY due_at LIMIT 1"""
CANDIDATES = f"""SELECT c.*, k.ver AS newest FROM commands AS c LEFT JOIN controls AS k USING (device_id)
    WHERE c.priority = ? AND c.due_at <= ? AND NOT {_BLOCKED.format(due="?")} ORDER BY c.due_at LIMIT ?"""
NEXT_PRIORITY = "SELECT MIN(priority) FROM commands WHERE due_at IS NOT NULL AND (? IS NULL OR priority > ?)"
# of another program's making: its control is gone
BURY = """UPDATE commands SET status = 'dead', error = ?, next_try_at = NULL, lease_until = NULL, lease_owner = NULL,
    updated_at = ? WHERE device_id = ? AND ver = ?"""
LEASE = """UPDATE commands SET status = 'sending', attempts = attempts + 1, lease_until = ?, lease_owner = ?,
    updated_at = ? WHERE device_id = ? AND ver = ?"""
SAY_AGAIN = """UPDATE commands SET status = 'pending', priority = 2, reasons = reasons | :reasons, attempts = 0,
    next_try_at = :now, acked_at = NULL, updated_at = :now
    WHERE device_id = :device_id AND ver = (SELECT ver FROM controls WHERE device_id = :device_id)
    AND desired = 'pause' AND status IN ('sent', 'acked') AND sent_at <= :last"""
_SETTLED = ("status", "attempts", "next_try_at", "message_id", "error", "sent_at", "acked_at", "updated_at")
SETTLE = f"""UPDATE commands SET {_sets(_SETTLED)}, lease_until = NULL, lease_owner = NULL
    WHERE device_id = :device_id AND ver = :ver"""
