"""What runs share: the token bucket, and the instant at which something is to do."""

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.models import Change, Control
from hc_platform.charging.registry.base import Due, Registry
from hc_platform.charging.registry.rules import draw, full, pour
from hc_platform_tests.charging.registry.making import ask, asked, at, claim, register, sent

US = 1_000_000


@given(
    rate=st.floats(0.01, 500),
    burst=st.floats(1, 1000),
    steps=st.lists(st.tuples(st.integers(-5 * US, 60 * US), st.integers(0, 200)), max_size=60),
)
def test_the_bucket_never_gives_more_than_its_burst_and_its_rate(
    rate: float, burst: float, steps: list[tuple[int, int]]
) -> None:
    """Over every span that starts with a full bucket, also where clocks step back between calls."""
    level, last, now, given_out = full(burst), 0, 0, 0
    for step, wanted in steps:
        now += step
        level = pour(level, now - last, rate=rate, burst=burst)
        last = max(last, now)
        taken, level = draw(level, wanted)
        assert 0 <= taken <= wanted
        given_out += taken
        assert given_out <= Fraction(burst) + Fraction(rate) * Fraction(last, US)
        assert taken == wanted or level < US  # no token is held back


def test_a_bucket_starts_full_and_fills_with_time(registry: Registry) -> None:
    def take(wanted: int, seconds: float) -> int:
        return registry.take_tokens(wanted, rate=2.0, burst=5.0, now=at(seconds))

    assert [take(3, 0), take(9, 0), take(9, 0)] == [3, 2, 0]
    assert [take(9, 0.499999), take(9, 0.5), take(0, 1), take(9, 1)] == [0, 1, 0, 1]
    assert take(9, 0.2) == 0  # another machine's clock is behind
    assert take(9, 1.5) == 1
    assert take(100, 3600) == 5


def test_takers_at_once_share_one_bucket(registry: Registry) -> None:
    with ThreadPoolExecutor(12) as pool:
        taken = list(pool.map(lambda _: registry.take_tokens(3, rate=1.0, burst=20.0, now=at(0)), range(12)))
    assert sum(taken) == 20


def test_nothing_is_due_in_an_empty_registry(registry: Registry) -> None:
    assert registry.next_due() == Due(None, None)
    register(registry, "d1")
    assert registry.next_due() == Due(None, None)


def test_the_earliest_check_of_an_active_device_is_due(registry: Registry) -> None:
    register(registry, "d1", "d2", "d3")
    checks = {"d1": at(30), "d2": at(20.000001), "d3": None}
    registry.commit(
        [Change(control=Control(device_id=n, next_check_at=t)) for n, t in checks.items()], now=at(0)
    )
    assert registry.next_due() == Due(at(20.000001), None)
    registry.commit([Change(control=Control(device_id="d2", rev=2))], now=at(1))
    assert registry.next_due().control == at(30)


def test_an_inactive_devices_check_is_not_due_until_it_is_active_again(registry: Registry) -> None:
    register(registry, "d1")
    registry.commit([Change(control=Control(device_id="d1", next_check_at=at(30)))], now=at(0))
    for status, due in (("inactive", None), ("active", at(30))):
        device = registry.device("d1")
        assert device is not None
        registry.put_device(device.model_copy(update={"status": status}), now=at(1))
        assert registry.next_due().control == due
    device = registry.device("d1")
    assert device is not None
    registry.put_device(device.model_copy(update={"status": "inactive"}), now=at(1))
    registry.commit([Change(control=Control(device_id="d1", rev=2, next_check_at=at(40)))], now=at(2))
    assert registry.next_due().control is None


def test_the_next_command_is_due_when_claim_finds_it(registry: Registry) -> None:
    asked(registry, "d1", next_try_at=at(20), priority=0)
    asked(registry, "d2", next_try_at=at(10), priority=2)
    assert registry.next_due().command == at(10)
    (leased,) = claim(registry, 10, lease_s=60)
    assert registry.next_due().command == at(20)
    (other,) = claim(registry, 20, lease_s=10)
    assert registry.next_due().command == at(30)
    sent(registry, other, "m2", next_try_at=at(600))
    assert registry.next_due().command == at(70)
    sent(registry, leased, "m1", next_try_at=None)
    assert registry.next_due().command == at(600)
    registry.acknowledge("m2", delivered=True, now=at(30))
    assert registry.next_due().command is None


def test_a_command_behind_one_in_flight_is_due_when_that_is_over(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry, lease_s=60)
    registry.commit([ask("d1", 2, next_try_at=at(5))], now=at(5))
    assert registry.next_due().command == at(60)  # not at(5), or every tick would start a run in vain
    assert claim(registry, 59) == []
    sent(registry, leased, "m1")
    assert registry.next_due().command == at(5)
    assert [c.ver for c in claim(registry, 5)] == [2]
