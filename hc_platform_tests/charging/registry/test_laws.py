"""Any sequence of commits, claims, settlements and events leaves the registry as a plain model of it says."""

import tempfile
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from hc_platform.charging.models import Command
from hc_platform.charging.registry.base import Registry
from hc_platform.charging.registry.dynamo import DynamoRegistry
from hc_platform.charging.registry.sqlite import SqliteRegistry
from hc_platform_tests.charging.registry.making import ask, at, claim, command, register
from hc_platform_tests.laws import law

DEVICES = ("d1", "d2", "d3")
LEASE_S = 40


class OutboxMachine(RuleBasedStateMachine):
    """The model: dicts of commands by (device, version), of revisions, versions and re-sends by device."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.registry = self.open()
        self.now = 0
        self.messages = 0
        self.outbox: dict[tuple[str, int], dict[str, Any]] = {}
        self.rev = dict.fromkeys(DEVICES, 0)
        self.ver = dict.fromkeys(DEVICES, 0)
        self.resends = dict.fromkeys(DEVICES, 0)
        self.held: list[Command] = []
        self.sent_out: list[tuple[str, int]] = []

    def teardown(self) -> None:
        self.registry.close()
        self.folder.cleanup()

    def open(self) -> Registry:
        return SqliteRegistry(Path(self.folder.name) / "registry.db")

    @initialize()
    def devices(self) -> None:
        register(self.registry, *DEVICES)

    @rule(seconds=st.integers(1, 30))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(
        device=st.sampled_from(DEVICES),
        priority=st.integers(0, 2),
        wait=st.integers(0, 20),
        behind=st.integers(-1, 1),
    )
    def commit(self, device: str, priority: int, wait: int, behind: int) -> None:
        rev, ver = self.rev[device] + 1 - behind, self.ver[device] + 1
        wins = behind == 0
        if rev < 1:
            return
        change = ask(
            device,
            ver,
            rev=rev,
            priority=priority,
            next_try_at=at(self.now + wait),
            updated_at=at(self.now),
        )
        assert self.registry.commit([change], now=at(self.now)) == ([] if wins else [device])
        if wins:
            for (owner, _), old in self.outbox.items():
                if owner == device and old["status"] in ("pending", "sent"):
                    old.update(status="superseded", due=None)
            self.rev[device], self.ver[device], self.resends[device] = rev, ver, 0
            self.outbox[device, ver] = {
                "status": "pending",
                "due": self.now + wait,
                "priority": priority,
                "attempts": 0,
                "owner": None,
                "message": None,
            }

    def _claimable(self) -> list[tuple[int, int, tuple[str, int]]]:
        found = []
        for (device, ver), c in self.outbox.items():
            leased = any(
                d == device and v != ver and o["status"] == "sending" and o["due"] > self.now
                for (d, v), o in self.outbox.items()
            )
            if c["due"] is not None and c["due"] <= self.now and not leased and ver == self.ver[device]:
                found.append((c["priority"], c["due"], (device, ver)))
        return sorted(found)

    @rule(limit=st.integers(0, 4), owner=st.sampled_from(("run-1", "run-2")))
    def claim(self, limit: int, owner: str) -> None:
        wanted = self._claimable()
        got = claim(self.registry, self.now, limit=limit, lease_s=LEASE_S, owner=owner)
        assert len(got) == min(limit, len(wanted))
        # of those due at one instant any may go first
        assert [(c.priority, self.outbox[c.device_id, c.ver]["due"]) for c in got] == [
            w[:2] for w in wanted[:limit]
        ]
        assert {(c.device_id, c.ver) for c in got} <= {key for *_, key in wanted}
        for c in got:
            model = self.outbox[c.device_id, c.ver]
            model.update(
                status="sending", due=self.now + LEASE_S, owner=owner, attempts=model["attempts"] + 1
            )
            assert c.attempts == model["attempts"]
            self.held.append(c)
            self.sent_out.append((c.device_id, c.ver))
        # an old version whose sender died ends when a claim comes across it
        for key in [k for k, c in self.outbox.items() if k[1] < self.ver[k[0]] and c["status"] == "sending"]:
            stored = self._stored()[key]
            if stored.status == "superseded":
                assert self.outbox[key]["due"] <= self.now
                self.outbox[key].update(status="superseded", due=None, owner=None)

    @rule(
        pick=st.integers(0, 20),
        outcome=st.sampled_from(("sent", "sent, final", "pending", "dead", "dropped")),
    )
    def settle(self, pick: int, outcome: str) -> None:
        if not self.held:
            return
        held = self.held.pop(pick % len(self.held))
        model = self.outbox[held.device_id, held.ver]
        self.messages += 1
        status = outcome.removesuffix(", final")
        due = None if outcome in ("sent, final", "dead", "dropped") else self.now + 15
        again: datetime | None = None if due is None else at(due)
        message = f"m{self.messages}" if status == "sent" else held.message_id
        told = held.model_copy(update={"status": status, "next_try_at": again, "message_id": message})
        if status == "sent":
            told = told.model_copy(update={"sent_at": at(self.now)})
        owner = held.lease_owner or ""
        is_held = model["status"] == "sending" and model["owner"] == owner
        assert self.registry.settle(told, owner=owner) == is_held
        if is_held and held.ver < self.ver[held.device_id]:
            model.update(status="superseded", due=None, owner=None, message=message)
        elif is_held:
            model.update(status=status, due=due, owner=None, message=message, attempts=held.attempts)
            if status == "sent":
                model["sent_at"] = self.now

    @rule(number=st.integers(0, 12), delivered=st.booleans())
    def acknowledge(self, number: int, delivered: bool) -> None:
        message = f"m{self.messages - number}"
        found = [k for k, c in self.outbox.items() if c["message"] == message and c["status"] == "sent"]
        told = self.registry.acknowledge(message, delivered=delivered, now=at(self.now))
        assert [(told.device_id, told.ver)] == found if told else not found
        for key in found:
            self.outbox[key].update(
                {"status": "acked", "due": None} if delivered else {"status": "pending", "due": self.now}
            )

    @rule(device=st.sampled_from(DEVICES), back=st.integers(0, 1), count=st.booleans())
    def resend(self, device: str, back: int, count: bool) -> None:
        ver = self.ver[device] - back
        model = self.outbox.get((device, ver))
        possible = back == 0 and model is not None and model["status"] in ("sent", "acked")
        done = self.registry.resend(device, ver, priority=2, reasons=0, count=count, now=at(self.now))
        assert done == possible
        if possible and model is not None:
            model.update(status="pending", due=self.now, priority=2, attempts=0)
            self.resends[device] += count

    @rule(devices=st.sets(st.sampled_from(DEVICES)), ago=st.integers(0, 40))
    def say_again(self, devices: set[str], ago: int) -> None:
        due = dict.fromkeys(devices, at(self.now - ago))
        standing = [
            m
            for (device, ver), m in self.outbox.items()
            if device in devices
            and ver == self.ver[device]
            and m["status"] in ("sent", "acked")
            and m["sent_at"] <= self.now - ago
        ]
        assert self.registry.say_again(due, reasons=0, now=at(self.now)) == len(standing)
        for model in standing:
            model.update(status="pending", due=self.now, priority=2, attempts=0)

    def _stored(self) -> dict[tuple[str, int], Command]:
        return {(c.device_id, c.ver): c for page in self.registry.commands() for c in page}

    @invariant()
    def the_outbox_is_as_modelled(self) -> None:
        stored = self._stored()
        assert {k: (c.status, c.attempts, c.message_id) for k, c in stored.items()} == {
            k: (m["status"], m["attempts"], m["message"]) for k, m in self.outbox.items()
        }
        assert all(c.command_id == command(*key).command_id for key, c in stored.items())
        for device in DEVICES:
            control = self.registry.control(device)
            known = (control.rev, control.ver, control.resends) if control else (0, 0, 0)
            assert known == (self.rev[device], self.ver[device], self.resends[device])

    @invariant()
    def next_due_is_the_instant_at_which_claim_finds_something(self) -> None:
        instants = []
        for (device, ver), c in self.outbox.items():
            others = [
                o["due"]
                for (d, v), o in self.outbox.items()
                if d == device and v != ver and o["status"] == "sending"
            ]
            if c["due"] is not None:
                instants.append(max([c["due"], *others]))
        due = self.registry.next_due().command
        assert due == (at(min(instants)) if instants else None)


OutboxMachine.TestCase.settings = law(60, stateful_step_count=40)
TestOutbox = OutboxMachine.TestCase


def test_the_same_laws_hold_in_dynamodb(dynamodb: tuple[str, boto3.Session]) -> None:
    class InDynamo(OutboxMachine):
        def open(self) -> Registry:
            url, session = dynamodb
            made = DynamoRegistry(f"t{uuid.uuid4().hex}-", endpoint_url=url, session=session)
            made.create_tables()
            return made

    few = law(5, stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(InDynamo, settings=few)
