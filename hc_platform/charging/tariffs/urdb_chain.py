"""The versions of one plan through time, from several USURDB rates and from what stands in the file.

What belongs here: which version ends where, and which do not fit beside each other. What does not: a single rate
(`urdb`), which plan a rate belongs to (`urdb_import`).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Final

from hc_platform.charging.tariffs.model import TariffVersion
from hc_platform.charging.tariffs.urdb import UNLABELLED, Converted, label_in
from hc_platform.charging.tariffs.urdb_diff import span

_DAY: Final = dt.timedelta(days=1)


def chain(
    rates: Sequence[Converted], kept: Sequence[TariffVersion] = ()
) -> tuple[tuple[TariffVersion, ...], list[tuple[Converted, str]]]:
    """The versions of one plan in the order of time, and the rates that do not fit with the reason for each.

    A rate replaces the kept version of its label. One without an enddate ends the day before the one that supersedes
    it begins. Of versions that overlap, kept ones stay and rates are refused: two rates, both.
    """
    parents = {c.label: c.supersedes for c in rates if c.label and c.supersedes}
    fresh = list(rates)
    refused: list[tuple[Converted, str]] = []
    while True:
        replaced = {_identity(c.version, c.label) for c in fresh}
        stay = [version for version in kept if _identity(version) not in replaced]
        ended = [replace(c, version=_ended(c.version, c.label, fresh, parents, kept, stay)) for c in fresh]
        stay = [_ended(v, label_in(v.source_url), fresh, parents, kept, stay) for v in stay]
        reasons: dict[int, str] = {}
        for i, one in enumerate(ended):
            for version in stay:
                if overlap(one.version, version):
                    reasons[i] = _overlaps(version, label_in(version.source_url))
        pairs = [] if reasons else combinations(enumerate(ended), 2)
        for (i, one), (j, two) in pairs:
            if overlap(one.version, two.version):
                reasons.setdefault(i, _overlaps(two.version, two.label))
                reasons.setdefault(j, _overlaps(one.version, one.label))
        if not reasons:
            versions = sorted([*stay, *(c.version for c in ended)], key=lambda v: v.effective_from)
            return tuple(versions), refused
        refused += [(fresh[i], reason) for i, reason in sorted(reasons.items())]
        fresh = [c for i, c in enumerate(fresh) if i not in reasons]


def _ended(
    version: TariffVersion,
    label: str | None,
    fresh: Sequence[Converted],
    parents: Mapping[str, str],
    kept: Sequence[TariffVersion],
    stay: Sequence[TariffVersion],
) -> TariffVersion:
    """The version with the end that a successor gives it, where it has none of its own."""
    if version.effective_to is not None or label is None:
        return version
    later = [c.version.effective_from for c in fresh if label in _ancestors(c, parents)]
    # A successor from an earlier import: the end it gave stands in the file, its `supersedes` does not.
    ends = {k.effective_to for k in kept if label_in(k.source_url) == label and k.effective_to}
    later += [s.effective_from for s in stay if s.effective_from - _DAY in ends]
    starts = [start for start in later if start > version.effective_from]
    return version.model_copy(update={"effective_to": min(starts) - _DAY}) if starts else version


def _ancestors(rate: Converted, parents: Mapping[str, str]) -> set[str]:
    found: set[str] = set()
    label = rate.supersedes
    while label and label not in found:
        found.add(label)
        label = parents.get(label)
    return found


def _identity(version: TariffVersion, label: str | None = None) -> str | None:
    """What makes a version the same one in the next import: its label, without one its first day."""
    label = label or label_in(version.source_url)
    return label or (str(version.effective_from) if (version.note or "").startswith(UNLABELLED) else None)


def overlap(one: TariffVersion, two: TariffVersion) -> bool:
    """Whether a day lies in both."""
    last = dt.date.max
    return one.effective_from <= (two.effective_to or last) and two.effective_from <= (
        one.effective_to or last
    )


def _overlaps(version: TariffVersion, label: str | None) -> str:
    return f"overlaps {span(version)} ({label or 'no label'}): no enddate and no supersedes parts the two"
