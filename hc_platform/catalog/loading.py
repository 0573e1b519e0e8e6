"""Reading utility_configs/: YAML in, `UtilityConfig` out, every mistake with its file, line, key and mend.

What belongs here: which files there are and what they must agree on.
What does not: what the keys mean (`models`), how YAML is read and mistakes are told (`hc_platform.documents`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, get_args

from hc_platform.catalog.fields import ConstraintColumns, FieldTarget, Resource, ResourceConfig, Verification
from hc_platform.catalog.layers import Discovery, Explode, LayerConfig, LayerJoin, Unpack
from hc_platform.catalog.models import Auth, UtilityConfig
from hc_platform.documents import ConfigError, Kind, Problem, nearest, read_document

_KIND: Final = Kind(
    UtilityConfig,
    parts={
        "layers": LayerConfig,
        "resources": ResourceConfig,
        "field_map": FieldTarget,
        "constraint_columns": ConstraintColumns,
        "verification": Verification,
        "auth": Auth,
        "discovery": Discovery,
        "explode": Explode,
        "unpack": Unpack,
        "joins": LayerJoin,
    },
    help="see `hc config schema` for what is allowed here",
    example="another utility's file",
    left_out=("resources", *get_args(Resource)),
)


def load_config(path: Path) -> UtilityConfig:
    """Read one utility's YAML.

    Raises ConfigError with all its problems.
    """
    document = read_document(path, _KIND)
    config = document.parse(UtilityConfig)
    if config.utility_code != path.stem:
        message = f"is {config.utility_code!r} in a file called {path.name}"
        mend = f"rename the file to {config.utility_code}.yaml or the code to {path.stem}"
        raise ConfigError([document.problem(("utility_code",), message, mend)])
    return config


class Catalog(Mapping[str, UtilityConfig]):
    """All utilities by code, in alphabetical order."""

    def __init__(self, configs: Mapping[str, UtilityConfig]) -> None:
        self._configs = dict(sorted(configs.items()))

    def __getitem__(self, code: str) -> UtilityConfig:
        try:
            return self._configs[code]
        except KeyError:
            near = nearest(code, self._configs)
            hint = f"; did you mean {near}?" if near else f"; there are: {', '.join(self._configs) or 'none'}"
            raise KeyError(f"no utility is called {code!r}{hint}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._configs)

    def __len__(self) -> int:
        return len(self._configs)


def load_catalog(directory: Path) -> Catalog:
    """Read every *.yaml in a folder.

    Raises ConfigError with the problems of all files together, and when the folder holds none.
    """
    files = sorted(directory.glob("*.yaml"))
    if not files:
        mend = "run from the project's folder, or set HC_CONFIG_DIR"
        raise ConfigError([Problem(str(directory), 1, "-", "holds no utility config (*.yaml)", mend)])
    problems: list[Problem] = []
    configs: dict[str, UtilityConfig] = {}
    for path in files:
        try:
            config = load_config(path)
        except ConfigError as error:
            problems += error.problems
        else:
            configs[config.utility_code] = config
    if problems:
        raise ConfigError(problems)
    return Catalog(configs)
