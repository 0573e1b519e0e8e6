"""Reading tou_schedules/: YAML in, `Tariffs` out, every mistake with its file, line, key and mend.

What belongs here: which files there are, and what a file must agree on beyond its fields' types. What does not: the
fields (`model`), whether windows meet or leave gaps (`coverage`), how YAML is read (`hc_platform.documents`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Final

from hc_platform.charging.tariffs.calendars import holiday_names, holiday_states
from hc_platform.charging.tariffs.coverage import uncovered
from hc_platform.charging.tariffs.model import (
    Holidays,
    Period,
    RatePlan,
    Tariff,
    TariffFile,
    TariffVerification,
    TariffVersion,
    tariffs_of,
)
from hc_platform.documents import ConfigError, Document, Kind, Loc, Problem, nearest, read_document

_KIND: Final = Kind(
    TariffFile,
    parts={
        "rate_plans": RatePlan,
        "versions": TariffVersion,
        "holidays": Holidays,
        "periods": Period,
        "verification": TariffVerification,
    },
    help="see docs/tariffs.md for what is allowed here",
    example="another file of tou_schedules/",
)


class Tariffs(Mapping[str, Tariff]):
    """All tariffs by utility_id/rate_plan, in alphabetical order."""

    def __init__(self, files: Mapping[str, TariffFile]) -> None:
        self.files: Mapping[str, TariffFile] = dict(sorted(files.items()))
        """What was read, by utility_id."""
        self._tariffs = {
            schedule: tariff
            for file in self.files.values()
            for schedule, tariff in sorted(tariffs_of(file).items())
        }

    @property
    def utilities(self) -> frozenset[str]:
        """The ids of all utilities that are known, flat ones too."""
        return frozenset(self.files)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what the files mean: comments, order of keys and layout make no difference."""
        content = {key: file.model_dump(mode="json") for key, file in self.files.items()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def __getitem__(self, schedule: str) -> Tariff:
        try:
            return self._tariffs[schedule]
        except KeyError:
            near = nearest(schedule, self._tariffs)
            hint = f"; did you mean {near}?" if near else f"; there are: {', '.join(self._tariffs) or 'none'}"
            raise KeyError(f"no tariff is called {schedule!r}{hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._tariffs)

    def __len__(self) -> int:
        return len(self._tariffs)

    def __hash__(self) -> int:
        return hash(self.hash)  # so that what is compiled from them can be kept


def load_tariffs(folder: Path) -> Tariffs:
    """Read every *.yaml in a folder.

    Raises ConfigError with the problems of all files together, and when the folder holds none.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        mend = "run from the project's folder, or name the folder of the tariffs"
        raise ConfigError([Problem(str(folder), 1, "-", "holds no tariff file (*.yaml)", mend)])
    problems: list[Problem] = []
    files: dict[str, TariffFile] = {}
    for path in paths:
        try:
            file = load_tariff_file(path)
        except ConfigError as error:
            problems += error.problems
        else:
            files[file.utility_id] = file
    if problems:
        raise ConfigError(problems)
    return Tariffs(files)


def load_tariff_file(path: Path) -> TariffFile:
    """Read one utility's tariffs.

    Raises ConfigError with all its problems.
    """
    document = read_document(path, _KIND)
    file = document.parse(TariffFile)
    problems = list(_file_problems(document, file))
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: problem.line))
    return file


def _file_problems(document: Document, file: TariffFile) -> Iterator[Problem]:
    if file.utility_id != document.path.stem:
        message = f"is {file.utility_id!r} in a file called {document.path.name}"
        mend = f"rename the file to {file.utility_id}.yaml or the id to {document.path.stem}"
        yield document.problem(("utility_id",), message, mend)
    for key, plan in file.rate_plans.items():
        at: Loc = ("rate_plans", key)
        yield from _order_problems(document, at, plan)
        for index, version in enumerate(plan.versions):
            here = (*at, "versions", index)
            problems = [*_name_problems(document, here, version), *_flat_problems(document, here, version)]
            yield from problems or uncovered(document, here, version)


def _order_problems(document: Document, at: Loc, plan: RatePlan) -> Iterator[Problem]:
    """Versions stand in the order of time and never hold at once; time without any is allowed."""
    for index, version in enumerate(plan.versions):
        if version.effective_to and version.effective_to < version.effective_from:
            message = f"{version.effective_to} is before effective_from {version.effective_from}"
            mend = "exchange the two, or correct the one that is wrong"
            yield document.problem((*at, "versions", index, "effective_to"), message, mend)
    for index, (one, two) in enumerate(pairwise(plan.versions), start=1):
        here = (*at, "versions", index, "effective_from")
        if two.effective_from <= one.effective_from:
            message = f"{two.effective_from} is not after the version before it, {one.effective_from}"
            yield document.problem(here, message, "put the versions in the order of time, the oldest first")
        elif one.effective_to is None or one.effective_to >= two.effective_from:
            until = one.effective_to or "further notice"
            message = f"{two.effective_from} lies in the version before it, which holds until {until}"
            last = two.effective_from.fromordinal(two.effective_from.toordinal() - 1)
            yield document.problem(here, message, f"end that one with effective_to: {last}")


def _name_problems(document: Document, at: Loc, version: TariffVersion) -> Iterator[Problem]:
    """Every name that is used must be there."""

    def unknown(loc: Loc, what: str, name: str, known: list[str]) -> Iterator[Problem]:
        if name not in known:
            near = nearest(name, known)
            mend = (
                f"did you mean {near}?" if near else f"use one of: {', '.join(known) or '(there are none)'}"
            )
            yield document.problem((*at, *loc), f"no {what} is called {name!r}", mend)

    tiers, seasons = list(version.tiers), list(version.seasons)
    if version.default_tier is not None:
        yield from unknown(("default_tier",), "tier", version.default_tier, tiers)
    for index, period in enumerate(version.periods):
        yield from unknown(("periods", index, "tier"), "tier", period.tier, tiers)
        for number, season in enumerate(period.seasons):
            yield from unknown(("periods", index, "seasons", number), "season", season, seasons)
    lasts = {last for _, last in version.seasons.values()}
    if "02-28" in lasts and "03-01" in {first for first, _ in version.seasons.values()}:
        name = next(name for name, (_, last) in version.seasons.items() if last == "02-28")
        message = "ends on 02-28 and leaves out 29 February"
        yield document.problem(
            (*at, "seasons", name), message, "write 02-29: the end of February in every year"
        )
    yield from _holiday_problems(document, at, version.holidays)


def _holiday_problems(document: Document, at: Loc, holidays: Holidays) -> Iterator[Problem]:
    state = holidays.state
    if state is not None and state not in holiday_states():
        loc = (*at, "holidays", "state")
        yield document.problem(
            loc, f"{state} is no state of the US", f"use one of: {', '.join(holiday_states())}"
        )
        return
    known = {name.casefold(): name for name in sorted(holiday_names(state))}
    for index, name in enumerate(holidays.names):
        if name.casefold() not in known:
            near = nearest(name.casefold(), known)
            where = f"for the US and {state}" if state else "for the US (without a state)"
            mend = f"did you mean {known[near]!r}?" if near else f"use one of: {', '.join(known.values())}"
            loc = (*at, "holidays", "names", index)
            yield document.problem(loc, f"no holiday is called {name!r} {where}", mend)


def _flat_problems(document: Document, at: Loc, version: TariffVersion) -> Iterator[Problem]:
    """A flat plan can not be dear: it would pause its chargers for ever."""
    if not version.is_flat:
        return
    [(tier, rank)] = version.tiers.items()
    if version.periods:
        mend = "remove the periods, or name the other tiers"
        yield document.problem((*at, "periods"), "stands in a flat plan, which has one tier", mend)
    if rank != 1:
        message = f"is {rank} in a flat plan, where the hour makes no difference"
        yield document.problem((*at, "tiers", tier), message, "give the only tier the rank 1, base")
