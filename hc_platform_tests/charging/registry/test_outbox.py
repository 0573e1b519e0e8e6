"""Claim and settle: in order, once, by one sender at a time, and nothing is stranded by a crash."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from hc_platform.charging.registry.base import Registry
from hc_platform_tests.charging.registry.making import (
    NOON,
    ask,
    asked,
    at,
    claim,
    one,
    outbox,
    register,
    sent,
)


def test_a_claimed_command_is_leased(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry, 5, owner="run-1")
    assert leased.model_dump() == one(registry, "d1").model_dump()
    assert (leased.status, leased.attempts, leased.lease_owner) == ("sending", 1, "run-1")
    assert (leased.lease_until, leased.updated_at) == (at(65), at(5))
    assert claim(registry, 6) == []


def test_releases_go_first_then_what_is_due_longest(registry: Registry) -> None:
    wanted = [(0, 3), (0, 9), (1, 0), (1, 4), (1, 4.000001), (2, 1), (2, 2)]
    for n, (priority, seconds) in enumerate(sorted(wanted, key=lambda w: (w[1], -w[0]))):
        asked(registry, f"d{n}", priority=priority, next_try_at=at(seconds))
    got = [c for _ in range(4) for c in claim(registry, 10, limit=2)]
    assert [(c.priority, c.next_try_at) for c in got] == [(p, at(s)) for p, s in wanted]


def test_what_is_not_due_is_not_taken(registry: Registry) -> None:
    asked(registry, "d1", next_try_at=at(10))
    assert claim(registry, 9.999999) == []
    assert [c.device_id for c in claim(registry, 10)] == ["d1"]


def test_a_command_without_a_time_goes_at_once(registry: Registry) -> None:
    asked(registry, "d1", next_try_at=None)
    assert registry.next_due().command == NOON
    assert [c.device_id for c in claim(registry)] == ["d1"]


def test_the_limit_holds(registry: Registry) -> None:
    for n in range(7):
        asked(registry, f"d{n}", priority=n % 3)
    assert [len(claim(registry, limit=limit)) for limit in (0, 3, 3, 3)] == [0, 3, 3, 1]


def test_case_35_what_its_sender_died_with_is_sent_by_another(registry: Registry) -> None:
    asked(registry, "d1")
    (first,) = claim(registry, owner="dies", lease_s=60)
    assert claim(registry, 59.999999) == []
    assert registry.next_due().command == at(60)
    (second,) = claim(registry, 60, owner="lives")
    assert (second.command_id, second.attempts) == (first.command_id, 2)
    assert not sent(registry, first, "late")  # the first wakes up again: the lease is another's
    assert one(registry, "d1") == second
    assert sent(registry, second, "m2")


def test_case_34_what_was_sent_but_not_written_goes_again_under_its_id(registry: Registry) -> None:
    asked(registry, "d1")
    network = [c.command_id for c in claim(registry, owner="dies after the send")]
    again = claim(registry, 61)
    network += [c.command_id for c in again]
    assert sent(registry, again[0], "m2")
    assert len(network) == 2
    assert len(set(network)) == 1
    assert claim(registry, 10_000) == []


def test_case_33_of_racing_senders_each_command_has_one(registry: Registry) -> None:
    for n in range(30):
        asked(registry, f"d{n:02}")
    with ThreadPoolExecutor(10) as pool:
        shares = list(pool.map(lambda n: claim(registry, owner=f"run-{n}", limit=5), range(10)))
    got = [c.device_id for share in shares for c in share]
    while rest := claim(registry, owner="late"):  # a loser of a race takes what is left another time
        got += [c.device_id for c in rest]
    assert sorted(got) == [f"d{n:02}" for n in range(30)]


def test_a_superseded_command_is_never_sent(registry: Registry) -> None:
    asked(registry, "d1", 4)
    assert outbox(registry, "d1") == {1: "superseded", 2: "superseded", 3: "superseded", 4: "pending"}
    assert [c.ver for c in claim(registry, 100)] == [4]


def test_a_dead_senders_old_version_is_superseded_at_the_end_of_its_lease(registry: Registry) -> None:
    asked(registry, "d1")
    claim(registry, lease_s=60)
    registry.commit([ask("d1", 2, priority=2)], now=at(1))
    assert claim(registry, 59) == []
    assert [c.ver for c in claim(registry, 60)] == [2]
    assert outbox(registry, "d1") == {1: "superseded", 2: "sending"}
    assert one(registry, "d1").lease_owner is None


def test_an_outcome_is_stored_with_all_its_fields(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry)
    outcome = leased.model_copy(
        update={
            "status": "sent",
            "message_id": "m1",
            "sent_at": at(1),
            "next_try_at": at(600),
            "error": "before",
            "updated_at": at(2),
        }
    )
    assert registry.settle(outcome, owner="me")
    assert one(registry, "d1") == outcome.model_copy(update={"lease_until": None, "lease_owner": None})
    assert [c.attempts for c in claim(registry, 600)] == [2]  # sent, not acknowledged: tried again


def test_a_retry_keeps_the_count_that_it_is_given(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry)
    throttled = leased.model_copy(update={"status": "pending", "attempts": 0, "next_try_at": at(30)})
    assert registry.settle(throttled, owner="me")
    assert claim(registry, 29) == []
    assert [c.attempts for c in claim(registry, 30)] == [1]


@pytest.mark.parametrize("status", ["dead", "dropped"])
def test_what_is_over_is_never_taken_again(registry: Registry, status: str) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry)
    over = leased.model_copy(update={"status": status, "error": "404", "next_try_at": at(5)})
    assert registry.settle(over, owner="me")
    assert (one(registry, "d1").status, one(registry, "d1").error) == (status, "404")
    assert registry.next_due().command is None
    assert claim(registry, 10_000) == []


def test_only_the_holder_of_a_lease_settles_and_once(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry, owner="holder")
    outcome = leased.model_copy(update={"status": "sent", "message_id": "m1", "next_try_at": None})
    assert not registry.settle(outcome, owner="other")
    assert one(registry, "d1").status == "sending"
    assert registry.settle(outcome, owner="holder")
    assert not registry.settle(outcome.model_copy(update={"status": "dead"}), owner="holder")
    assert one(registry, "d1").status == "sent"


def test_a_state_that_is_no_outcome_is_an_error(registry: Registry) -> None:
    asked(registry, "d1")
    (leased,) = claim(registry)
    with pytest.raises(ValueError, match="sending is no outcome"):
        registry.settle(leased, owner="me")


def test_a_delivery_is_acknowledged_once(registry: Registry) -> None:
    asked(registry, "d1")
    sent(registry, claim(registry)[0], "m1", next_try_at=at(600))
    acked = registry.acknowledge("m1", delivered=True, now=at(9))
    assert acked is not None
    assert acked == one(registry, "d1")
    assert (acked.status, acked.acked_at, acked.updated_at, acked.next_try_at) == (
        "acked",
        at(9),
        at(9),
        None,
    )
    assert registry.acknowledge("m1", delivered=True, now=at(10)) is None
    assert registry.acknowledge("m1", delivered=False, now=at(10)) is None
    assert registry.acknowledge("unknown", delivered=True, now=at(10)) is None
    assert one(registry, "d1") == acked
    assert claim(registry, 10_000) == []


def test_case_36_what_was_not_delivered_goes_again(registry: Registry) -> None:
    asked(registry, "d1")
    sent(registry, claim(registry)[0], "m1", next_try_at=at(600))
    back = registry.acknowledge("m1", delivered=False, now=at(9))
    assert back is not None
    assert (back.status, back.next_try_at, back.acked_at) == ("pending", at(9), None)
    assert registry.acknowledge("m1", delivered=True, now=at(10)) is None
    (again,) = claim(registry, 10)
    sent(registry, again, "m2", next_try_at=at(600))
    assert registry.acknowledge("m1", delivered=True, now=at(11)) is None  # the old attempt's, not this one's
    assert registry.acknowledge("m2", delivered=True, now=at(12)) is not None


def test_the_newest_report_counts(registry: Registry) -> None:
    asked(registry, "d1")
    before = registry.control("d1")
    assert before is not None
    for seconds, state in ((5, "pause"), (9, "allow"), (7, "pause"), (9, "pause")):
        registry.report("d1", state, at=at(seconds))
    control = registry.report("d1", "pause", at=at(1))
    assert control == registry.control("d1")
    assert control == before.model_copy(update={"reported": "allow", "reported_at": at(9)})


def test_a_report_before_any_decision_is_kept(registry: Registry) -> None:
    register(registry, "d1")
    control = registry.report("d1", "pause", at=at(1))
    assert control is not None
    assert (control.rev, control.ver, control.desired, control.reported) == (1, 0, None, "pause")
    assert registry.commit([ask("d1", 1, rev=2)], now=at(2)) == []
    assert registry.report("ghost", "allow", at=at(1)) is None
    assert registry.control("ghost") is None


@pytest.mark.parametrize("acked", [False, True])
def test_case_37_the_newest_version_can_be_sent_again(registry: Registry, acked: bool) -> None:
    asked(registry, "d1", priority=1)
    sent(registry, claim(registry)[0], "m1", next_try_at=at(600))
    if acked:
        registry.acknowledge("m1", delivered=True, now=at(1))
    first = one(registry, "d1")
    assert registry.resend("d1", 1, priority=2, reasons=8, count=acked, now=at(20))
    assert one(registry, "d1") == first.model_copy(
        update={
            "status": "pending",
            "priority": 2,
            "reasons": 8,
            "attempts": 0,
            "next_try_at": at(20),
            "acked_at": None,
            "updated_at": at(20),
        }
    )
    control = registry.control("d1")
    assert control is not None
    assert (control.resends, control.rev, control.ver) == (int(acked), 1, 1)
    assert not registry.resend("d1", 1, priority=2, reasons=8, count=True, now=at(21))  # it waits already
    (again,) = claim(registry, 20)
    assert (again.command_id, again.attempts) == (first.command_id, 1)


def test_an_old_or_dead_version_is_not_sent_again(registry: Registry) -> None:
    asked(registry, "d1")
    sent(registry, claim(registry)[0], "m1")
    registry.acknowledge("m1", delivered=True, now=at(1))
    registry.commit([ask("d1", 2)], now=at(2))
    assert not registry.resend("d1", 1, priority=1, reasons=0, count=True, now=at(3))
    assert not registry.resend("d1", 3, priority=1, reasons=0, count=True, now=at(3))
    assert not registry.resend("ghost", 1, priority=1, reasons=0, count=True, now=at(3))
    (leased,) = claim(registry, 4)
    registry.settle(leased.model_copy(update={"status": "dead"}), owner="me")
    assert not registry.resend("d1", 2, priority=1, reasons=0, count=True, now=at(5))
    control = registry.control("d1")
    assert control is not None
    assert control.resends == 0


def test_commands_are_found_by_device_status_and_time(registry: Registry) -> None:
    asked(registry, "a", 3)
    asked(registry, "b")
    asked(registry, "c")
    leased = claim(registry, 10, limit=1)[0]

    def found(**by: object) -> set[tuple[str, int]]:
        pages = registry.commands(**by)  # type: ignore[arg-type]
        listed = [(c.device_id, c.ver) for page in pages for c in page]
        assert len(listed) == len(set(listed))
        return set(listed)

    everything = {("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1)}
    assert found() == everything
    assert found(device_id="a") == {("a", 1), ("a", 2), ("a", 3)}
    assert found(status="superseded") == {("a", 1), ("a", 2)}
    assert found(status="superseded", device_id="b") == set()
    assert found(since=NOON) == everything
    assert found(since=NOON + timedelta(microseconds=1)) == {(leased.device_id, leased.ver)}
    assert found(since=at(10), status="sending") == {(leased.device_id, leased.ver)}
    assert found(since=at(10.000001)) == set()
    assert found(device_id=leased.device_id, since=at(10)) == {(leased.device_id, leased.ver)}


def test_what_goes_on_being_lost_is_sent_again_ever_more_patiently_and_behind_the_rest(
    registry: Registry,
) -> None:
    asked(registry, "d1", priority=0)
    waits, priorities = [], []
    for second in range(0, 6_000, 1_000):
        leased = claim(registry, second)[0]
        assert sent(registry, leased, f"m{second}", next_try_at=None)
        back = registry.acknowledge(f"m{second}", delivered=False, now=at(second))
        assert back is not None
        assert back.next_try_at is not None
        waits.append((back.next_try_at - at(second)).total_seconds())
        priorities.append(back.priority)
    assert waits == [0, 30, 60, 120, 240, 480]
    assert priorities == [0, 0, 2, 2, 2, 2]
