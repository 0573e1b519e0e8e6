"""Devices, tariff rows and notes: what was written is read, all of it, and nobody's write is lost."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from hc_platform.charging.models import Change, Control, Device
from hc_platform.charging.registry.base import ConflictError, Registry
from hc_platform.charging.tables import FLEET
from hc_platform_tests.charging.registry.making import NOON, ask, asked, at, ids, register


def full_device() -> Device:
    return Device(
        device_id="b319d001-6b08-4d88-b4ca-4d2d98a6d43c",
        wireless_device_id="wd-1",
        status="active",
        protocol="legacy",
        install_address="1 Main St, Colorado Springs; 'x' \u2013 \u00fc",
        meter_number="0012345",
        lat=38.833881,
        lon=-104.821363,
        utility_id="xcel_co",
        rate_plan="re_tou",
        plan_confirmed_by="installer",
        watttime_region="WACM",
        region_checked_at=at(0.000001),
        policy_id="gentle",
        override_until=at(60),
        deadline=at(3600),
        need_s=1800,
    )


def test_a_device_is_read_as_it_was_written(registry: Registry) -> None:
    written = registry.put_device(full_device(), now=NOON)
    assert written == full_device().model_copy(
        update={"registry_version": 1, "created_at": NOON, "updated_at": NOON}
    )
    assert registry.device(written.device_id) == written
    assert list(registry.devices()) == [[written]]
    assert registry.device("another") is None
    assert registry.control(written.device_id) is None


def test_a_field_can_be_emptied_again_and_the_first_day_stays(registry: Registry) -> None:
    first = registry.put_device(full_device(), now=NOON)
    second = registry.put_device(first.model_copy(update={"override_until": None, "lat": None}), now=at(5))
    assert (second.registry_version, second.created_at, second.updated_at) == (2, NOON, at(5))
    assert registry.device(first.device_id) == second
    assert second.override_until is None


@pytest.mark.parametrize("version", [0, 2])
def test_a_write_of_another_version_is_refused(registry: Registry, version: int) -> None:
    stored = registry.put_device(Device(device_id="d1"), now=NOON)
    count = registry.version()
    with pytest.raises(ConflictError, match=rf"d1 .*version 1.* {version}"):
        registry.put_device(stored.model_copy(update={"registry_version": version}), now=at(1))
    assert registry.device("d1") == stored
    assert registry.version() == count


def test_a_write_of_a_device_that_is_not_there_is_refused(registry: Registry) -> None:
    with pytest.raises(ConflictError, match="d1"):
        registry.put_device(Device(device_id="d1", registry_version=3), now=NOON)
    assert registry.device("d1") is None


def test_of_racing_writers_one_gets_through(registry: Registry) -> None:
    read = registry.put_device(Device(device_id="d1"), now=NOON)

    def write(meter: int) -> bool:
        try:
            registry.put_device(read.model_copy(update={"meter_number": str(meter)}), now=NOON)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(write, range(12))) == 1
    device = registry.device("d1")
    assert device is not None
    assert device.registry_version == 2


def test_every_device_write_moves_the_version_and_nothing_else_does(registry: Registry) -> None:
    seen = [registry.version()]
    register(registry, "d1", "d2")
    seen.append(registry.version())
    device = registry.device("d1")
    assert device is not None
    registry.put_device(device, now=at(1))
    seen.append(registry.version())
    assert seen == sorted(set(seen))
    registry.commit([ask("d1", 1)], now=NOON)
    registry.report("d1", "allow", at=NOON)
    registry.remember("k", "v")
    assert registry.version() == seen[-1]


def test_a_status_is_listed_in_full_though_the_other_lies_between(registry: Registry) -> None:
    """The defect of `scan(Limit=1, FilterExpression=...)`: the limit is applied before the filter."""
    register(registry, *(f"d{n:03}" for n in range(0, 60, 2)), status="inactive")
    register(registry, *(f"d{n:03}" for n in range(1, 60, 2)), status="active")
    assert ids(registry.devices("active")) == [f"d{n:03}" for n in range(1, 60, 2)]
    assert ids(registry.devices("inactive")) == [f"d{n:03}" for n in range(0, 60, 2)]
    assert sorted(ids(registry.devices())) == [f"d{n:03}" for n in range(60)]
    assert registry.fleet()["device_id"].sort().to_list() == ids(registry.devices("active"))


def test_a_device_changes_its_list_with_its_status(registry: Registry) -> None:
    register(registry, "d1")
    device = registry.device("d1")
    assert device is not None
    registry.put_device(device.model_copy(update={"status": "inactive"}), now=at(1))
    assert ids(registry.devices("active")) == []
    assert ids(registry.devices("inactive")) == ["d1"]


def test_the_fleet_is_devices_with_their_control(registry: Registry) -> None:
    registry.put_device(full_device(), now=NOON)
    asked(registry, "plain")
    control = Control(
        device_id=full_device().device_id,
        rev=1,
        ver=1,
        desired="pause",
        window_start=at(1),
        window_end=at(2.5),
        paused_since=at(3),
        changed_at=at(4),
        moer="capped",
        reasons=2**23 + 5,
        next_check_at=at(5),
        reported="allow",
        reported_at=at(6),
        resends=2,
    )
    assert registry.commit([Change(control=control)], now=NOON) == []
    fleet = registry.fleet()
    assert dict(fleet.schema) == FLEET
    both = full_device().model_dump() | control.model_dump()
    both["spread"] = 0xC014EA63  # the first 32 bits of its SHA-256, for ever
    assert fleet.filter(device_id=control.device_id).to_dicts() == [{n: both[n] for n in FLEET}]
    assert fleet.filter(device_id="plain")["desired"].to_list() == ["pause"]


def test_the_fleet_has_undecided_devices_with_an_empty_control(registry: Registry) -> None:
    assert dict(registry.fleet().schema) == FLEET
    assert registry.fleet().is_empty()
    register(registry, "new")
    (row,) = registry.fleet().to_dicts()
    assert row["device_id"] == "new"
    assert {n: row[n] for n in Control.model_fields if n != "device_id"} == {
        n: None for n in Control.model_fields if n != "device_id"
    }


def test_case_22_the_fleet_keeps_an_inactive_device_until_it_was_released(registry: Registry) -> None:
    asked(registry, "paused")
    asked(registry, "allowed", desired="allow")
    register(registry, "undecided")
    for device in [d for page in registry.devices() for d in page]:
        registry.put_device(device.model_copy(update={"status": "inactive"}), now=at(1))
    assert registry.fleet().select("device_id", "status", "desired").rows() == [
        ("paused", "inactive", "pause")
    ]
    registry.commit([ask("paused", 2, desired="allow")], now=at(2))
    assert registry.fleet().is_empty()


def test_tariff_rows_come_back_as_they_went(registry: Registry) -> None:
    row = {
        "utility_id": "xcel_co",
        "rate_plan": "re_tou",
        "timezone": "America/Denver",
        "peak_weekdays": [0, 1, 2, 3, 4],
        "peak_start_hour": 17,
        "peak_end_hour": 21.5,
        "peak_months": list(range(1, 13)),
        "effective_date": "2025-11-01",
        "source_url": None,
        "is_flat": False,
        "tiers": {"on_peak": 3},
    }
    other = {"utility_id": "xcel_co", "rate_plan": "r", "timezone": "America/Denver"}
    assert registry.schedule_rows() == []
    for written in (row | {"timezone": "old"}, row, other):
        registry.put_schedule_row(written)
    assert sorted(registry.schedule_rows(), key=lambda r: r["rate_plan"]) == [other, row]


def test_a_note_is_kept_and_replaced(registry: Registry) -> None:
    assert registry.recall("sensor/last") is None
    registry.remember("sensor/last", "1")
    registry.remember("sensor/last", "2 \u2713")
    registry.remember("sensor", "")
    assert registry.recall("sensor/last") == "2 \u2713"
    assert registry.recall("sensor") == ""
