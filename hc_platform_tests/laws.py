"""How often a law (a test with `@given`) is tried, and what is done about an example that breaks it.

What belongs here: the profiles of hypothesis, and `law`, by which a test says how many examples it wants. What does
not: strategies and laws themselves.

    pytest                                            # repeatable: the same examples in every run, on every machine
    pytest --timeout=0 --hypothesis-profile=shrink TEST   # those again, and the one that broke it made small
    pytest --timeout=0 --hypothesis-profile=hunt TEST     # 60 times as many, others each time or by --hypothesis-seed

An ordinary run reports a broken law with the example as it was drawn. Making it small takes hypothesis up to five
minutes, which is all the time that a test has: it would end as a timeout that names no example.
"""

from typing import Any, Final

from hypothesis import HealthCheck, Phase, settings

_USUAL: Final = 100
"""Examples that a law means when it says how many: what a profile has more, all laws have more."""
_AT_ONCE: Final = (Phase.explicit, Phase.generate)
_MADE_SMALL: Final = (*_AT_ONCE, Phase.shrink)


def register() -> None:
    """Make the profiles known and choose the repeatable one, unless the command line names another."""
    common = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("repeatable", common, derandomize=True, max_examples=_USUAL, phases=_AT_ONCE)
    settings.register_profile("shrink", common, derandomize=True, max_examples=_USUAL, phases=_MADE_SMALL)
    settings.register_profile(
        "hunt", common, derandomize=False, database=None, max_examples=60 * _USUAL, phases=_MADE_SMALL
    )
    settings.load_profile("repeatable")


def law(examples: int, **other: Any) -> settings:
    """So many examples in an ordinary run, and as many times more as the profile in force has."""
    return settings(max_examples=examples * settings.default.max_examples // _USUAL, **other)
