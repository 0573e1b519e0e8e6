"""The decision over columns and its plain twin agree, on random fleets and on every state that time can lead them to."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from hc_platform.charging.models import Reason
from hc_platform_tests.charging.decision import reference, strategies
from hc_platform_tests.charging.decision.making import World
from hc_platform_tests.laws import law

_SAME = (
    "rev",
    "ver",
    "desired",
    "window_start",
    "window_end",
    "paused_since",
    "changed_at",
    "moer",
    "reasons",
)
_SAME += ("next_check_at", "commanded")


class Windows:
    """Pausing windows by scanning days, over just what the timeline covers, remembered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._found: dict[tuple[str, int], list[reference.Span]] = {}

    def at(self, row: dict[str, Any], t: datetime) -> reference.Around:
        name = f"{row['utility_id']}/{row['rate_plan']}"
        if name not in self._world.tariffs:
            return reference.Around()
        policy = self._world.policies.get(row["policy_id"], self._world.policies["default"])
        key = name, policy.pause_rank
        if key not in self._found:
            line = self._world.timeline
            spans = reference.pausing_windows(
                self._world.tariffs[name], policy.pause_rank, line.start, line.end
            )
            self._found[key] = list(spans)
        return reference.around(iter(self._found[key]), t)


@law(30, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_columns_and_twin_agree_at_every_instant_of_a_random_story(data: st.DataObject) -> None:
    t = data.draw(st.sampled_from(strategies.STARTS))
    tariffs, policies = data.draw(strategies.tariffs(t)), data.draw(strategies.policy_sets())
    world = World(tariffs, policies, around=t, ahead=timedelta(days=20))
    windows = Windows(world)
    rows = [data.draw(strategies.devices(f"d{n}")) for n in range(6)]
    for _ in range(8):
        rows = [data.draw(strategies.moved(row, t)) for row in rows]
        world.readings = data.draw(strategies.readings(t))
        world.clock_trusted = data.draw(st.integers(0, 9)) != 0
        twins = [
            reference.decide_one(
                row,
                world.tariffs,
                world.policies,
                world.readings,
                t,
                utilities={"one", "two"},
                clock_trusted=world.clock_trusted,
                known_windows=windows.at(row, t),
            )
            for row in rows
        ]
        befores = [dict(row) for row in rows]
        for before, got, twin in zip(befores, world.step(rows, t), twins, strict=True):
            ours, theirs = ({name: each[name] for name in _SAME} for each in (got, twin))
            names = [Reason(each["reasons"]).names for each in (got, twin)]
            apart = {name: (ours[name], theirs[name]) for name in _SAME if ours[name] != theirs[name]}
            assert not apart, (apart, str(t), names, before, windows.at(before, t))
        checks = sorted(row["next_check_at"] for row in rows if row["next_check_at"])
        jump = data.draw(st.sampled_from(("check", "check", "short", "long")))
        if jump == "check" and checks and checks[0] > t:
            t = data.draw(
                st.sampled_from([check for check in checks if check <= t + timedelta(days=4)] or [t])
            )
        else:
            t += timedelta(seconds=data.draw(st.integers(1, 4_000 if jump == "short" else 80_000)))
