"""The environment, read once into one typed `Settings`.

What belongs here: every knob that differs between a laptop and a deployment, and where files are.
What does not: secrets themselves (configs name an environment variable, `secret` reads it), or any logic.
"""

import os
from functools import cached_property
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_DIR = Path(__file__).resolve().parents[1]


class Settings(BaseSettings):
    """Read from HC_* environment variables; the defaults are a laptop's, with everything under ./data."""

    model_config = SettingsConfigDict(env_prefix="HC_", frozen=True)

    data_dir: Path = Field(
        Path("data"), description="local folder: lake, staging, warehouse, Dagster's storage"
    )
    lake_root: str | None = Field(None, description="where the lake is: a folder or s3://bucket/prefix")
    config_dir: Path | None = Field(None, description="the folder of utility configs")
    import_dir: Path | None = Field(
        None, description="the only folder from which configs may read local files"
    )
    min_interval_s: float = Field(0.5, ge=0, description="politeness: seconds between requests to one host")
    in_flight: int = Field(4, ge=1, le=16, description="requests at a time per layer")
    timeout_s: float = Field(120.0, gt=0)
    attempts: int = Field(3, ge=1, le=10)
    user_agent: str = Field("hc_platform (open hosting-capacity data)", description="tells servers who asks")
    vacuum_days: int = Field(7, ge=1, description="days that replaced files stay readable")
    run_retention_days: int = Field(90, ge=1, description="days that Dagster runs are kept")
    warehouse_memory: str = Field("512MB", description="DuckDB memory limit while sorting and publishing")

    tariff_dir: Path | None = Field(None, description="the folder of tariffs, tou_schedules")
    policy_file: Path | None = Field(None, description="the file of charge policies")
    registry: str | None = Field(
        None,
        description="where devices and commands are kept: an SQLite file, or dynamodb://prefix?region=...",
    )
    downlink: str | None = Field(
        None, description="where commands go: file:FOLDER, sidewalk, or mqtt:TOPIC-PREFIX"
    )
    downlink_rate: float | None = Field(
        None,
        gt=0,
        description="commands a second, over all runs together; default the account's quota, else 10",
    )
    events: str | None = Field(None, description="where news of devices come from: file:FOLDER or an SQS URL")
    payload_secret: str | None = Field(
        None, description="the name of the environment variable with the key that authenticates payloads"
    )
    watttime_url: str = Field("https://api.watttime.org", description="WattTime's API")
    zip_tables: str | None = Field(None, description="ZIP-to-utility CSV files, separated by commas")
    territories: str | None = Field(
        None,
        description="GeoParquet of utility territories with EIA ids; a path or an https URL, as those below",
    )
    utility_table: str | None = Field(None, description="CSV of utilities: EIA id, name, balancing authority")
    ba_zones: str | None = Field(None, description="GeoParquet of balancing authorities and ISOs")
    pricing_nodes: str | None = Field(None, description="CSV of LMP pricing nodes with coordinates")
    substations: str | None = Field(None, description="CSV of substations: utility_code, name, lat, lon")
    county_authorities: str | None = Field(None, description="CSV: each county's main balancing authority")
    substation_overrides: Path | None = Field(
        None, description="CSV of reviewed matches: utility_code, feeder_id_external, substation_name"
    )
    counties: Path | None = Field(None, description="county polygons, for places that nothing else names")
    county_utilities: Path | None = Field(
        None, description="EIA-861 service territory CSV: utilities by county"
    )
    utility_sales: Path | None = Field(
        None, description="EIA-861 sales CSV: each utility's balancing authority"
    )

    @cached_property
    def root(self) -> str:
        """The lake's root, absolute."""
        root = self.lake_root or str(self.data_dir / "lake")
        return root if "://" in root else str(Path(root).resolve())

    @cached_property
    def warehouse_path(self) -> Path:
        """The published DuckDB file; always local, even where the lake is on S3."""
        return self.data_dir.resolve() / "warehouse.duckdb"

    @cached_property
    def staging_dir(self) -> Path:
        """Windows of unfinished pulls: what the next run resumes from."""
        return self.data_dir.resolve() / "staging"

    @cached_property
    def configs(self) -> Path:
        """HC_CONFIG_DIR, else the data folder's own utility_configs (a demo has some), else the project's."""
        own = self.data_dir / "utility_configs"
        return self.config_dir or (own if own.is_dir() else PROJECT_DIR / "utility_configs")

    @cached_property
    def imports(self) -> Path:
        """Local files named by configs must lie below this folder."""
        return (self.import_dir or self.data_dir / "imports").resolve()

    @cached_property
    def tariffs(self) -> Path:
        """HC_TARIFF_DIR, else the data folder's own tou_schedules (a demo has some), else the project's."""
        own = self.data_dir / "tou_schedules"
        return self.tariff_dir or (own if own.is_dir() else PROJECT_DIR / "tou_schedules")

    @cached_property
    def policies(self) -> Path:
        """HC_POLICY_FILE, else the data folder's own charge_policies.yaml, else the project's."""
        own = self.data_dir / "charge_policies.yaml"
        return self.policy_file or (own if own.is_file() else PROJECT_DIR / "charge_policies.yaml")

    @cached_property
    def registry_at(self) -> str:
        """Where the device registry is; default an SQLite file in the data folder."""
        where = self.registry or str(self.data_dir / "registry.sqlite")
        return where if "://" in where else str(Path(where).resolve())

    @cached_property
    def downlink_to(self) -> str:
        """Where commands go; default a folder of the data folder, one file a day."""
        return _absolute(self.downlink or f"file:{self.data_dir / 'downlink'}")

    @cached_property
    def events_from(self) -> str:
        """Where delivery events and uplinks come from; default a folder of the data folder."""
        return _absolute(self.events or f"file:{self.data_dir / 'uplink'}")


def _absolute(where: str) -> str:
    """file:FOLDER with the folder's full path; anything else as it stands."""
    kind, _, folder = where.partition(":")
    return f"file:{Path(folder).resolve()}" if kind == "file" and folder else where


def secret(name: str) -> str:
    """The secret of that name from the environment.

    Raises LookupError naming it: the value itself never stands in a message.
    """
    value = os.environ.get(name)
    if not value:
        raise LookupError(
            f"the secret {name} is not set; export {name}=... in the environment of this process"
        )
    return value
