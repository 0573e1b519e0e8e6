"""Lines appended to a file by several processes at once.

What belongs here: that one line is one write. What does not: what a line says.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path


def append_line(path: Path, record: Mapping[str, object], *, durable: bool = False) -> None:
    r"""Append one JSON line with a single O_APPEND write, so that lines of several writers never mix.

    Half a surrogate pair, which is no UTF-8, is written as JSON's \ud800. `durable` waits until it is on disk.
    Raises OSError, also where the disk took only a part of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(record, ensure_ascii=False, default=str)
    line = text.encode(errors="backslashreplace") + b"\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        if os.write(file, line) != len(line):
            os.write(file, b"\n")  # end the torn line, so that it spoils no other
            raise OSError(f"{path}: only a part of a line was written")
        if durable:
            os.fsync(file)
    finally:
        os.close(file)
