"""The bytes: what the document says, what comes back, and the device's inclusive end against our half-open window."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hc_platform.charging.payloads import EPOCH, MTU, PayloadError, decode, encode, key_from_environment
from hc_platform.settings import PROJECT_DIR
from hc_platform_tests.charging.downlinks.making import END, START, command

KEY = bytes(range(32))
SECOND = timedelta(seconds=1)
LAST_END = EPOCH + 2**32 * SECOND

instants = st.datetimes(
    min_value=EPOCH.replace(tzinfo=None),
    max_value=LAST_END.replace(tzinfo=None) - timedelta(days=4),
    timezones=st.just(UTC),
)
lengths = st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=3))
windows = st.tuples(instants, lengths).map(lambda pair: (pair[0], pair[0] + pair[1]))


def device_pauses(payload: bytes, at: datetime) -> bool:
    """The device's own rule, from the bytes alone: start <= now <= end in whole seconds."""
    start, end = int.from_bytes(payload[2:6], "little"), int.from_bytes(payload[6:10], "little")
    return start <= (at - EPOCH) // SECOND <= end


def vectors() -> list[tuple[str, str, str, str, str, str]]:
    text = (PROJECT_DIR / "docs" / "downlink.md").read_text(encoding="utf-8")
    table = text.partition("<!-- vectors -->")[2].partition("<!-- end of vectors -->")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return [tuple(row) for row in rows if len(row) == 6 and re.fullmatch(r"[0-9a-f ]+", row[5])]


def test_the_documents_vectors_are_what_is_sent() -> None:
    found = vectors()
    assert len(found) >= 15
    for desired, protocol, window, at, key, payload in found:
        start, _, end = window.partition(" to ")
        times = (
            {"window_start": start, "window_end": end} if end else {"window_start": None, "window_end": None}
        )
        what = command(
            desired, protocol=protocol, **{k: v for k, v in times.items() if v or desired == "pause"}
        )
        sent_at = datetime.fromisoformat(at) if at != "-" else None
        assert encode(what, key=bytes.fromhex(key) if key != "none" else None, at=sent_at).hex(" ") == payload


@given(window=windows, tagged=st.booleans())
def test_a_window_comes_back_and_covers_what_was_asked(
    window: tuple[datetime, datetime], tagged: bool
) -> None:
    start, end = window
    key = KEY if tagged else None
    payload = encode(command(window_start=start, window_end=end), key=key)
    back = decode(payload, key)
    assert len(payload) <= MTU
    assert (back.kind, back.tagged) == ("window", tagged)
    assert start - SECOND < back.start <= start
    assert end <= back.end < end + SECOND
    if not start.microsecond and not end.microsecond:
        assert (back.start, back.end) == window


@given(window=windows, offset=st.integers(-3, 3), micro=st.integers(0, 999_999))
@example(window=(START, END), offset=0, micro=0)
def test_case_01_the_devices_inclusive_end_is_our_half_open_one_around_every_edge(
    window: tuple[datetime, datetime], offset: int, micro: int
) -> None:
    start, end = (edge.replace(microsecond=0) for edge in window)
    end = max(end, start + SECOND)
    payload = encode(command(window_start=start, window_end=end))
    for edge in (start, end):
        at = edge + offset * SECOND + timedelta(microseconds=micro)
        if at >= EPOCH:
            assert device_pauses(payload, at) == (start <= at < end)


@given(window=windows, share=st.floats(0, 1, exclude_max=True))
def test_a_window_with_fractions_never_charges_inside_it(
    window: tuple[datetime, datetime], share: float
) -> None:
    start, end = window
    payload = encode(command(window_start=start, window_end=end))
    assert device_pauses(payload, start + (end - start) * share)
    assert not device_pauses(payload, end + SECOND)
    assert start - EPOCH < SECOND or not device_pauses(payload, start - SECOND)


def test_case_01_five_to_nine_pm() -> None:
    payload = encode(command())
    assert device_pauses(payload, START)
    assert not device_pauses(payload, START - SECOND)
    assert device_pauses(payload, END - SECOND)
    assert not device_pauses(payload, END)


@pytest.mark.parametrize("protocol", ["window", "legacy"])
def test_allow_is_the_same_four_bytes_for_all(protocol: str) -> None:
    assert encode(command("allow", protocol=protocol)) == bytes([0x10, 1, 0, 0])


def test_a_legacy_pause_says_after_how_many_minutes_it_ends_should_the_allow_be_lost() -> None:
    payload = encode(command(protocol="legacy"))
    length = -((START - END) // timedelta(minutes=1))
    assert payload == bytes([0x10, 0, length % 256, length // 256])
    assert decode(payload).resume_after == timedelta(minutes=length) >= END - START


@given(window=windows, since=st.timedeltas(timedelta(days=-1), timedelta(days=4)))
def test_a_legacy_pause_sent_late_ends_with_its_window_within_a_minute(
    window: tuple[datetime, datetime], since: timedelta
) -> None:
    start, end = window
    at = start + since
    resumes = decode(
        encode(command(protocol="legacy", window_start=start, window_end=end), at=at)
    ).resume_after
    assert resumes
    left = end - max(start, at)
    assert max(left, SECOND) <= resumes < max(left + timedelta(minutes=1), timedelta(minutes=1, seconds=1))


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((None, None), "only within a window"),
        ((START, None), "only within a window"),
        ((START, START), "empty"),
        ((END, START), "empty"),
        ((EPOCH - SECOND, END), "beyond the device's clock"),
        ((START, LAST_END + SECOND), "beyond the device's clock"),
    ],
)
def test_what_no_window_device_can_be_told_is_refused(
    window: tuple[datetime | None, datetime | None], message: str
) -> None:
    with pytest.raises(PayloadError, match=f"ch-1 ver 7.*{message}"):
        encode(command(window_start=window[0], window_end=window[1]))


def test_the_clocks_last_second_can_still_be_paused() -> None:
    payload = encode(command(window_start=EPOCH, window_end=LAST_END))
    assert payload[2:] == b"\0\0\0\0\xff\xff\xff\xff"
    assert decode(payload).end == LAST_END


@given(position=st.integers(0, 17), flip=st.integers(1, 255))
def test_no_changed_byte_of_a_tagged_window_is_believed(position: int, flip: int) -> None:
    payload = bytearray(encode(command(), key=KEY))
    payload[position] ^= flip
    with pytest.raises(PayloadError):
        decode(bytes(payload), KEY)


def test_a_device_with_a_key_believes_no_payload_without_a_tag() -> None:
    with pytest.raises(PayloadError, match="tag is missing"):
        decode(encode(command()), KEY)
    with pytest.raises(PayloadError, match="tag is wrong"):
        decode(encode(command(), key=KEY[::-1]), KEY)


@given(payload=st.binary(max_size=24))
def test_any_bytes_have_a_meaning_or_are_refused(payload: bytes) -> None:
    try:
        meaning = decode(payload)
    except PayloadError:
        return
    assert (meaning.kind == "window") == (payload[1] == 2)
    assert len(payload) in (4, 10, 12, 18)


def test_a_legacy_pause_that_ends_by_itself_is_understood() -> None:
    assert decode(bytes([0x10, 0, 0x2C, 0x01])).resume_after == timedelta(minutes=300)


@pytest.mark.parametrize("value", [None, "", "ab" * 31, "ab" * 33, "zz" * 32])
def test_a_bad_key_stops_the_run_and_is_not_told(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv("CHARGE_KEY", raising=False)
    else:
        monkeypatch.setenv("CHARGE_KEY", value)
    with pytest.raises(PayloadError, match="CHARGE_KEY must hold 32 bytes") as refused:
        key_from_environment("CHARGE_KEY")
    assert not value or value not in str(refused.value)


def test_the_key_comes_from_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHARGE_KEY", KEY.hex())
    assert key_from_environment("CHARGE_KEY") == KEY
    assert key_from_environment(None) is None


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PayloadError, match=f"has {length} bytes"):
        encode(command(), key=bytes(length))
