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
