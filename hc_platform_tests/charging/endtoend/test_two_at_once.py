"""Several runs at the same instant on the same registry: one version, one send; one quota for all."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hc_platform.charging.delivery import Quota, deliver
from hc_platform.charging.downlinks.sidewalk import SidewalkDownlink
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform.charging.steps import enqueue
from hc_platform.charging.tables import CHARGE_RUNS
from hc_platform.charging.tick import decide_at
from hc_platform.demo.iot_wireless import IotWireless
from hc_platform_tests.charging.endtoend.holding import broken
from hc_platform_tests.charging.endtoend.processes import PROCESSES, killed, start
from hc_platform_tests.charging.endtoend.world import (
    PEAK_START,
    device,
    minutes,
    mixed_fleet,
    world_in,
)

DEVICES = 60


def test_case_33_two_runs_that_decided_the_same_bump_each_version_once_and_send_once(tmp_path: Path) -> None:
    devices = mixed_fleet(DEVICES)
    world = world_in(tmp_path, PEAK_START, devices)
    meet = PROCESSES.Barrier(2)
    children = [start(world.folder, PEAK_START, meet=meet) for _ in range(2)]
    assert [killed(child) for child in children] == [False, False]
    world.carry()
    controls = [world.registry.control(d.device_id) for d in devices]
    assert {c.ver for c in controls if c} == {1}
    assert Counter(line["device_id"] for line in world.lines()) == {d.device_id: 1 for d in devices}
    runs = world.site.lake.scan(CHARGE_RUNS).collect()
    assert runs["lost_races"].sum() == DEVICES  # each device was lost by one of them
    assert runs["commanded"].sum() == DEVICES
    assert runs["sent"].sum() == DEVICES
    world.tick(PEAK_START + minutes(2))
    assert broken(world) == []
    assert len(world.lines()) == DEVICES


def test_eight_senders_share_one_quota_and_send_each_command_once(tmp_path: Path) -> None:
    devices = [device(f"ch-{n}", rate_plan="r") for n in range(DEVICES)]
    world = world_in(tmp_path, datetime.now(UTC).replace(microsecond=0), devices)
    enqueue(world.site, decide_at(world.site, world.clock())[0])
    quota = Quota(rate=25.0, burst=5.0, budget_s=60.0)
    with IotWireless([d.wireless_device_id or "" for d in devices], rate=1e4, burst=1e4) as aws:
        downlink = SidewalkDownlink(endpoint_url=aws.url)

        def send(owner: int) -> Counter[str]:
            registry = SqliteRegistry(tmp_path / "registry.sqlite")
            told = deliver(registry, downlink, owner=str(owner), now=lambda: datetime.now(UTC), quota=quota)
            registry.close()
            return told.counts

        began = datetime.now(UTC)
        with ThreadPoolExecutor(8) as pool:
            counts = sum(pool.map(send, range(8)), Counter[str]())
        assert counts == {"sent": DEVICES}
        assert aws.answers == {202: DEVICES}
        assert len({m.wireless_device_id for m in aws.accepted}) == DEVICES
        for n, message in enumerate(aws.accepted, start=1):  # no n-th one before the bucket held n
            assert message.at - began >= timedelta(seconds=(n - quota.burst) / quota.rate)
