"""Names that a rotating service may have had, made from the config's own pattern: newest first.

What belongs here: texts that a regular expression matches, with dates in them. What does not: serving them (`hosts`).
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

_FREE: Final = "\0"
_VINTAGES: Final = ((2026, 6, "June"), (2026, 3, "March"), (2025, 11, "November"))
_MOST: Final = 4000


def names(title: str) -> list[str]:
    """Up to three names that the pattern matches as a whole, of three dates, newest first.

    Raises ValueError where none is found.
    """
    fits = re.compile(title).fullmatch
    stems = sorted(
        set(itertools.islice(_texts(_parse(title)), _MOST)), key=lambda s: (s.count(_FREE) == 0, len(s))
    )
    found: list[str] = []
    for year, month, word in _VINTAGES:
        dates = [f"{word[:3].upper()}{year}", f"{word}_{year}", f"{word[:3]}_{year}", f"{month:02d}{year}"]
        dates += [
            f"{month:02d}15{year % 100:02d}",
            f"{year}",
            f"{year % 100:02d}",
            f"{word.lower()}{year % 100:02d}",
        ]
        name = next((n for stem in stems for n in _filled(stem, dates) if n not in found and fits(n)), None)
        if name:
            found.append(name)
    if not found:
        raise ValueError(f"the catalogue finds no name that fits {title!r}")
    return found


def _filled(stem: str, dates: Sequence[str]) -> Iterator[str]:
    """The stem with dates and words where its text is free; a date at its end comes first."""
    parts = re.split(f"{_FREE}+", stem)
    gaps = len(parts) - 1
    # the last gap takes the date first, the others a word, another date or nothing
    others = ("", "Map", *dates, "June_", "Jun")
    for last in dates if gaps else ("",):
        for rest in itertools.islice(itertools.product(others, repeat=max(0, gaps - 1)), 300):
            for date in (f"_{last}", last):
                fillings = [*rest, date][:gaps]
                yield "".join(
                    part + gap for part, gap in itertools.zip_longest(parts, fillings, fillvalue="")
                )


def _parse(title: str) -> Any:
    return re._parser.parse(title)  # type: ignore[attr-defined]  # the only parser of this language there is


def _texts(tokens: Any) -> Iterator[str]:
    """Texts of a parsed pattern, free stretches as one character each."""
    options = [list(itertools.islice(_of(str(kind), value), 6)) for kind, value in tokens]
    for parts in itertools.product(*options):
        yield "".join(parts)


def _of(kind: str, value: Any) -> Iterator[str]:
    if kind == "LITERAL":
        yield chr(value)
    elif kind == "IN":
        kinds = {str(k) for k, _ in value}
        letters = [chr(v) for k, v in value if str(k) == "LITERAL"]
        yield _FREE if kinds & {"RANGE", "CATEGORY", "NEGATE"} else "_" if "_" in letters else letters[0]
    elif kind in ("ANY", "NOT_LITERAL", "CATEGORY"):
        yield _FREE
    elif kind == "BRANCH":
        for branch in value[1]:
            yield from _texts(branch)
    elif kind == "SUBPATTERN":
        yield from _texts(value[-1])
    elif kind in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
        least, _, what = value
        inner = list(itertools.islice(_texts(what), 4))
        free = all(set(text) == {_FREE} for text in inner)
        yield from [_FREE] if free else ([""] if least == 0 else [])
        if not free:
            yield from (text * max(1, int(least)) for text in inner)
    elif kind == "ASSERT":
        yield from _texts(value[1])
    else:  # anchors, and what must not follow
        yield ""
