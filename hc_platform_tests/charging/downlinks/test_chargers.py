"""The simulated device does what docs/downlink.md says that a device does."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hc_platform.charging.payloads import encode
from hc_platform.demo.chargers import Charger
from hc_platform_tests.charging.downlinks.making import END, START, command

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
BEFORE = START - HOUR
ALLOW, PAUSE = encode(command("allow")), encode(command(protocol="legacy"))


def window(start: datetime, end: datetime) -> bytes:
    return encode(command(window_start=start, window_end=end))


@given(seconds=st.floats(-7_200, 20_000))
def test_case_01_it_pauses_exactly_within_the_window_it_was_sent_ahead(seconds: float) -> None:
    charger, at = Charger("ch-1"), START + timedelta(seconds=max(-3_599, seconds))
    charger.receive(window(START, END), BEFORE)
    assert charger.state(at) == ("pause" if START <= at < END else "allow")


def test_allow_cancels_a_window_that_runs_and_one_that_comes() -> None:
    for at in (START - SECOND, START + HOUR):
        charger = Charger("ch-1")
        charger.receive(window(START, END), BEFORE)
        charger.receive(ALLOW, at)
        assert charger.state(at) == "allow"
        assert charger.state(END - SECOND) == "allow"


def test_a_later_window_that_arrives_during_a_pause_keeps_it_paused() -> None:
    charger, later = Charger("ch-1"), END + 3 * HOUR
    charger.receive(window(START, END), BEFORE)
    charger.receive(window(later, later + HOUR), START + HOUR)
    assert charger.state(END + HOUR) == "pause"
    assert charger.state(later + HOUR) == "allow"


def test_a_later_window_that_arrives_while_it_charges_only_replaces_the_one_before() -> None:
    charger, later = Charger("ch-1"), END + 3 * HOUR
    charger.receive(window(START, END), BEFORE)
    charger.receive(window(later, later + HOUR), BEFORE + SECOND)
    assert [charger.state(t) for t in (START, END + HOUR, later)] == ["allow", "allow", "pause"]


def test_a_window_that_is_over_ends_a_legacy_pause() -> None:
    charger = Charger("ch-1")
    charger.receive(PAUSE, START)
    assert charger.state(END - HOUR) == "pause"
    charger.receive(window(BEFORE, START), END)
    assert charger.state(END) == "allow"


def test_a_legacy_pause_may_end_by_itself() -> None:
    charger = Charger("ch-1")
    charger.receive(bytes([0x10, 0, 5, 0]), START)
    assert charger.state(START + timedelta(minutes=5) - SECOND) == "pause"
    assert charger.state(START + timedelta(minutes=5)) == "allow"


@pytest.mark.parametrize("payload", [window(START, END), PAUSE])
def test_a_power_cut_forgets_all_and_windows_wait_for_the_time(payload: bytes) -> None:
    charger = Charger("ch-1")
    charger.receive(payload, START)
    charger.power_cut()
    assert charger.state(START + HOUR) == "allow"
    charger.receive(window(START, END), START + HOUR)
    assert charger.state(START + 2 * HOUR) == "allow"
    charger.sync()
    assert charger.state(START + 2 * HOUR) == "pause"


def test_out_of_reach_it_keeps_to_the_window_it_has() -> None:
    charger = Charger("ch-1")
    charger.receive(window(START, END), BEFORE)
    charger.reachable = False
    assert not charger.receive(ALLOW, START)
    assert [charger.state(t) for t in (START, END)] == ["pause", "allow"]


def test_charge_now_ignores_commands_until_it_ends() -> None:
    charger = Charger("ch-1")
    charger.receive(window(START, END), BEFORE)
    charger.charge_now(START, START + HOUR)
    assert charger.receive(window(START, END), START + SECOND)
    assert (charger.refused, charger.state(START + SECOND)) == (1, "allow")
    charger.receive(window(START, END), START + HOUR)
    assert charger.state(START + HOUR) == "pause"


def test_with_a_key_it_obeys_only_what_is_tagged() -> None:
    charger = Charger("ch-1", key=b"k" * 32)
    assert charger.receive(PAUSE, START)
    assert (charger.refused, charger.state(START)) == (1, "allow")
    charger.receive(encode(command(protocol="legacy"), key=b"k" * 32), START)
    assert charger.state(START) == "pause"
    assert charger.uplink(START)["state"] == "pause"
