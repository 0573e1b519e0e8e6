"""What only DynamoDB does: pages of 1 MB, items that others wrote, expiry, refusals, answers that are lost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError

from hc_platform.charging.models import Device
from hc_platform.charging.registry.dynamo import DynamoRegistry
from hc_platform.charging.registry.dynamo_client import wire_row
from hc_platform.charging.registry.opening import open_registry
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform_tests.charging.registry.making import NOON, ask, asked, at, claim, ids, one, register, sent
from hc_platform_tests.charging.registry.throttling import throttle

Open = Callable[..., DynamoRegistry]


def test_a_status_of_several_megabytes_is_listed_in_full(dynamo: Open) -> None:
    """A query answers 1 MB at most, and a filter is applied after that."""
    registry = dynamo()
    for n in range(60):
        registry.put_device(
            Device(
                device_id=f"d{n:02}",
                install_address="x" * 50_000,
                status="inactive" if n % 2 else "active",
            ),
            now=NOON,
        )
    pages = list(registry.devices("active"))
    assert len(pages) > 1
    assert ids(pages) == [f"d{n:02}" for n in range(0, 60, 2)]
    last_inactive = "d59"  # on the last of several pages, and the only one that the filter lets through
    assert registry.commit([ask(last_inactive, 1)], now=NOON) == []
    assert registry.fleet()["device_id"].sort().to_list() == [f"d{n:02}" for n in range(0, 60, 2)] + ["d59"]


def test_a_device_that_another_program_wrote_is_read_and_its_own_attributes_stay(dynamo: Open) -> None:
    registry = dynamo()
    item = {
        "device_id": "b319d001",
        "status": "active",
        "utility_id": "xcel_co",
        "rate_plan": "re_tou",
        "installer": "Eric",
        "created_at": "2026-02-13T10:00:00Z",
    }
    table = f"{registry.prefix}devices"
    registry.client.boto.put_item(TableName=table, Item=wire_row(item))
    device = registry.device("b319d001")
    assert device is not None
    assert (device.schedule, device.protocol, device.registry_version) == ("xcel_co/re_tou", "window", 0)
    assert registry.fleet()["policy_id"].to_list() == ["default"]
    written = registry.put_device(device.model_copy(update={"protocol": "legacy"}), now=NOON)
    assert written.created_at == device.created_at
    assert registry.commit([ask("b319d001", 1)], now=NOON) == []
    assert registry.put_device(written, now=at(1)).registry_version == 2
    assert registry.control("b319d001") is not None
    stored = registry.client.get(table, {"device_id": "b319d001"})
    assert stored is not None
    assert stored["installer"] == "Eric"
    registry.client.boto.put_item(TableName=table, Item=wire_row(item | {"device_id": "bad", "lat": 1000}))
    with pytest.raises(
        ValueError, match=r"device bad is not stored as it should be: lat: .*less than or equal to 90"
    ):
        registry.device("bad")


def test_closed_commands_expire_fourteen_days_later_and_open_ones_never(dynamo: Open) -> None:
    registry = dynamo()
    asked(registry, "d1", 2)
    table = f"{registry.prefix}commands"

    def ttl(ver: int) -> int | None:
        item = registry.client.get(table, {"device_id": "d1", "ver": ver})
        assert item is not None
        return item.get("ttl")

    assert (ttl(1), ttl(2)) == (int((NOON + timedelta(days=14)).timestamp()), None)
    sent(registry, claim(registry)[0], "m1", next_try_at=at(600))
    assert ttl(2) is None
    registry.acknowledge("m1", delivered=True, now=at(10))
    assert ttl(2) == int((at(10) + timedelta(days=14)).timestamp())
    registry.resend("d1", 2, priority=1, reasons=0, count=False, now=at(20))
    assert ttl(2) is None
    answer = registry.client.boto.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (answer["TimeToLiveStatus"], answer["AttributeName"]) == ("ENABLED", "ttl")


def test_a_version_can_follow_one_that_has_expired(dynamo: Open) -> None:
    registry = dynamo()
    asked(registry, "d1")
    key = {"device_id": {"S": "d1"}, "ver": {"N": "1"}}
    registry.client.boto.delete_item(TableName=f"{registry.prefix}commands", Key=key)
    assert registry.commit([ask("d1", 2)], now=at(1)) == []
    assert not registry.resend("d1", 1, priority=1, reasons=0, count=False, now=at(2))
    assert [c.ver for c in claim(registry, 3)] == [2]


def test_refusals_are_waited_out_and_some_did_happen(dynamo: Open) -> None:
    registry = dynamo()
    refused = throttle(registry, every=2)
    for n in range(10):
        asked(registry, f"d{n}", 2)
    assert sorted((c.device_id, c.ver) for c in claim(registry)) == [(f"d{n}", 2) for n in range(10)]
    assert next(refused) > 20


def test_a_refusal_without_end_is_told(dynamo: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hc_platform.charging.registry.dynamo_client.PATIENCE_S", 0.2)
    registry = dynamo()
    throttle(registry, every=1)
    with pytest.raises(registry.client.boto.exceptions.ProvisionedThroughputExceededException):
        registry.control("d1")


@pytest.mark.parametrize("operation", ["PutDevice", "Commit", "Claim", "Settle"])
def test_a_transaction_whose_answer_was_lost_is_known_again(dynamo: Open, operation: str) -> None:
    """Repeated under its token it is done once, and is not taken for another's write."""
    registry = dynamo()
    register(registry, "d1")
    lost: list[str] = []

    def lose(http_response: Any, model: Any, **_: Any) -> None:
        if not lost and model.name == "TransactWriteItems":
            lost.append(model.name)
            raise ReadTimeoutError(endpoint_url="loopback")

    def lose_next() -> None:
        registry.client.boto.meta.events.register("after-call.dynamodb.TransactWriteItems", lose)

    if operation == "PutDevice":
        lose_next()
        register(registry, "d2")
        assert registry.version() == 2
    elif operation == "Commit":
        lose_next()
        assert registry.commit([ask("d1", 1)], now=NOON) == []
    else:
        registry.commit([ask("d1", 1)], now=NOON)
        if operation == "Claim":
            lose_next()
        (leased,) = claim(registry)
        if operation == "Settle":
            lose_next()
        assert sent(registry, leased, "m1")
        assert one(registry, "d1").status == "sent"
    assert lost


def test_what_a_batch_leaves_over_is_asked_for_again(dynamo: Open) -> None:
    registry = dynamo()
    register(registry, *(f"d{n:03}" for n in range(130)))
    cut: list[int] = []

    def leave_over(parsed: dict[str, Any], **_: Any) -> None:
        for table, items in parsed.get("Responses", {}).items():
            if len(items) > 10:
                keys = [{"device_id": item["device_id"]} for item in items[10:]]
                parsed["UnprocessedKeys"] = {table: {"Keys": keys}}
                cut.append(len(keys))
                del items[10:]

    registry.client.boto.meta.events.register("after-call.dynamodb.BatchGetItem", leave_over)
    keys = [{"device_id": f"d{n:03}"} for n in range(130)]
    found = registry.client.get_many(f"{registry.prefix}devices", keys)
    assert sorted(row["device_id"] for row in found) == [key["device_id"] for key in keys]
    assert cut


def test_a_registry_is_opened_by_its_address(
    dynamo: Open,
    dynamodb: tuple[str, boto3.Session],
    tmp_path: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, (url, session) = dynamo(), dynamodb
    made.remember("who", "me")
    credentials = session.get_credentials()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_key)
    opened = open_registry(f"dynamodb://{made.prefix}?region=us-east-1&endpoint_url={url}")
    assert opened.recall("who") == "me"
    opened.close()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    plain = open_registry("dynamodb://")
    assert isinstance(plain, DynamoRegistry)
    assert plain.prefix == "evse-"
    plain.close()
    file = open_registry(str(tmp_path / "r.db"))
    assert isinstance(file, SqliteRegistry)
    file.close()


@pytest.mark.parametrize(
    "where", ["", "postgresql://host/db", "dynamodb://evse-?regoin=x", "dynamodb://host:8000/evse"]
)
def test_an_address_that_is_not_understood_is_an_error_that_shows_the_forms(where: str) -> None:
    with pytest.raises(ValueError, match=r"give a path \(SQLite\), or dynamodb://"):
        open_registry(where)
