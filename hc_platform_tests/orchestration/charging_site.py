"""A charging site as the code location and the command line see it.

Belongs here: its definitions, `hc` called in this process, what stands in a registry. Does not belong here: the site
itself (`charging.endtoend.world`), assertions.
"""

import contextlib
import io
import os
import sqlite3
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg

from hc_platform.charging.tables import LAKE_TABLES
from hc_platform.charging_definitions import build_definitions
from hc_platform.cli import main
from hc_platform.lake.store import Lake
from hc_platform.orchestration.local_runs import RunOutcome, run_charge_control
from hc_platform.settings import Settings
from hc_platform_tests.charging.endtoend.world import World

SENSOR, SCHEDULE, JOB = "charge_control_sensor", "charge_control_schedule", "charge_control_job"


def definitions_of(world: World) -> dg.Definitions:
    return build_definitions(Settings(data_dir=world.folder), lambda: world.site)


def run_at(world: World, instance: dg.DagsterInstance, at: datetime | None = None) -> RunOutcome:
    """One run on the instance, for the world's now unless told otherwise."""
    outcome = run_charge_control(definitions_of(world), instance, at or world.clock())
    world.carry()
    return outcome


@dataclass(frozen=True)
class Said:
    """What a command left: its exit code, its two outputs."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def refused(self, words: str, code: int = 2) -> None:
        """One clear message and that exit code."""
        assert self.code == code, self.text
        assert words in self.err, self.err
        assert "Traceback" not in self.err


@dataclass(frozen=True)
class Hc:
    """`hc` on one data folder, in this process: an error that `main` does not turn into a message is raised."""

    data: Path
    environment: dict[str, str]

    def __call__(self, *arguments: str, code: int | None = 0, **environment: str) -> Said:
        clean = {
            k: v
            for k, v in os.environ.items()
            if not k.startswith(("HC_", "DAGSTER_", "WATTTIME_", "OPENEI_"))
        }
        given = {**clean, "HC_DATA_DIR": str(self.data), **self.environment, **environment}
        out, err, left = io.StringIO(), io.StringIO(), 0
        with (
            patch.dict(os.environ, given, clear=True),
            patch.object(sys, "argv", ["hc", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                main()
            except SystemExit as exit_:
                left = exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
        said = Said(left, out.getvalue(), err.getvalue())
        assert code is None or said.code == code, said.text
        return said

    def refuses(self, words: str, *arguments: str, exit_code: int = 2, **environment: str) -> Said:
        said = self(*arguments, code=None, **environment)
        said.refused(words, exit_code)
        return said


def kept(folder: Path) -> dict[str, Any]:
    """All rows of a registry, and every lake table's version: what a dry run must not touch."""
    with contextlib.closing(sqlite3.connect(folder / "registry.sqlite")) as db:
        rows = list(db.iterdump())
    lake = Lake(str(folder / "lake"))
    return {"registry": rows, **{t.name: lake.version(t) for t in LAKE_TABLES}}
