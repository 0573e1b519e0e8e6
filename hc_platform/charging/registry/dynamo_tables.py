"""The DynamoDB registry's three tables: keys, indexes, expiry.

What belongs here: their definition and first set-up. What does not: what is written into them (`dynamo`).

    evse-devices         PK device_id                     device, its control (map `control`); keys with # are ours:
                                                          #version#<shard>, #tokens, #memory#<key>
        by-status        PK status, SK device_id          every device of a status
        by-check         PK check_shard, SK check_at      active devices by next_check_at
    evse-commands        PK device_id, SK ver             the outbox; #message#<message_id>, 0 leads to a command
        by-status        PK status_shard, SK updated_at   every command of a status
        by-due           PK due_shard, SK due_at          open commands by priority and due time
    evse-tou-schedules   PK utility_id, SK rate_plan      flat tariff rows

Indexes are spread over shards where all that is due would else fall on one partition (1,000 writes a second).
"""

from typing import Any, Final

from hc_platform.charging.registry.dynamo_client import Client, patiently

SHARDS: Final = 4


def table_names(prefix: str) -> dict[str, str]:
    """The tables by what they hold."""
    return {n: f"{prefix}{n}" for n in ("devices", "commands", "tou-schedules")}


def _index(name: str, pk: str, sk: str, *extra: str, whole: bool = False) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": "ALL" if whole else "INCLUDE" if extra else "KEYS_ONLY"}
    if extra:
        projection["NonKeyAttributes"] = list(extra)
    return {"IndexName": name, "KeySchema": _keys(pk, sk), "Projection": projection}


def _keys(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": n, "KeyType": kind} for n, kind in zip(names, ("HASH", "RANGE"), strict=False)]


_TABLES: Final[dict[str, dict[str, Any]]] = {
    "devices": {
        "KeySchema": _keys("device_id"),
        "GlobalSecondaryIndexes": [
            _index("by-status", "status", "device_id", whole=True),
            _index("by-check", "check_shard", "check_at"),
        ],
    },
    "commands": {
        "KeySchema": _keys("device_id", "ver"),
        "GlobalSecondaryIndexes": [
            _index("by-status", "status_shard", "updated_at", whole=True),
            _index("by-due", "due_shard", "due_at", "waits_for", "waits_until"),
        ],
    },
    "tou-schedules": {"KeySchema": _keys("utility_id", "rate_plan")},
}
_NUMBERS: Final = {"ver", "updated_at", "due_at", "check_at"}


def create_tables(client: Client, prefix: str) -> None:
    """Make those of the tables that are absent, pay-per-request, and let closed commands expire."""
    for what, name in table_names(prefix).items():
        definition = _TABLES[what]
        schemas = [definition, *definition.get("GlobalSecondaryIndexes", [])]
        used = {key["AttributeName"] for schema in schemas for key in schema["KeySchema"]}
        attributes = [
            {"AttributeName": n, "AttributeType": "N" if n in _NUMBERS else "S"} for n in sorted(used)
        ]
        request = {"TableName": name, "AttributeDefinitions": attributes, "BillingMode": "PAY_PER_REQUEST"}
        try:
            patiently(client.boto.create_table, **request, **definition)
        except client.boto.exceptions.ResourceInUseException:
            continue
        client.boto.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        if what == "commands":
            expiry = {"Enabled": True, "AttributeName": "ttl"}
            patiently(client.boto.update_time_to_live, TableName=name, TimeToLiveSpecification=expiry)
