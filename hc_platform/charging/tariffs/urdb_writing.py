"""Writing a file of tou_schedules/ in which people write, too: only the plans that changed, and whole or not at all.

What belongs here: putting plans into a file's text. What does not: which plans (`urdb_import`), how a file reads as
YAML (`loading`, `writing`).
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import yaml

from hc_platform.charging.tariffs.loading import load_tariff_file
from hc_platform.charging.tariffs.model import TariffFile
from hc_platform.charging.tariffs.urdb import UrdbError
from hc_platform.charging.tariffs.writing import dump_tariff_file
from hc_platform.documents import ConfigError, Loader


def write_tariff_file(path: Path, file: TariffFile) -> None:
    """Make the file say `file`: a crash leaves the old one or the new one.

    Where a file stands already, plans that say the same keep their text with its comments; the others are replaced.
    Raises UrdbError, and leaves the old file, where the new text would not load or would say something else.
    """
    text = dump_tariff_file(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        text = _spliced(path.read_text(encoding="utf-8").rstrip() + "\n", text, load_tariff_file(path), file)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".import-") as folder:
        fresh = Path(folder) / path.name
        with fresh.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        try:
            told = load_tariff_file(fresh)
        except ConfigError as error:
            raise UrdbError(f"{path} would not load, so it stays as it was: {error}") from None
        if told != file:
            raise UrdbError(
                f"{path} stays as it was: its layout keeps a plan from being put in; indent by two"
            )
        fresh.replace(path)


def _spliced(old_text: str, new_text: str, old: TariffFile, new: TariffFile) -> str:
    """The old text with the changed plans' lines taken from the new text, added plans at the end."""
    lines, others = old_text.splitlines(keepends=True), new_text.splitlines(keepends=True)
    there, here = _plan_lines(old_text), _plan_lines(new_text)
    end = max(last for _, last in there.values())
    added = [line for key in here if key not in there for line in others[slice(*here[key])]]
    lines[end:end] = added
    for key, (first, last) in sorted(there.items(), key=lambda item: -item[1][0]):
        if old.rate_plans[key] != new.rate_plans[key]:
            lines[first:last] = others[slice(*here[key])]
    return "".join(lines)


def _plan_lines(text: str) -> dict[str, tuple[int, int]]:
    """First line and the line after the last of each plan's block, without blank and comment lines at its end."""
    root: Any = yaml.compose(text, Loader=Loader)
    plans = next(value for key, value in root.value if key.value == "rate_plans")
    lines, found = text.splitlines(), {}
    for key, value in plans.value:
        first, last = key.start_mark.line, min(value.end_mark.line + (value.end_mark.column > 0), len(lines))
        while last > first + 1 and (not lines[last - 1].strip() or lines[last - 1].lstrip().startswith("#")):
            last -= 1
        found[str(key.value)] = (first, last)
    return found
