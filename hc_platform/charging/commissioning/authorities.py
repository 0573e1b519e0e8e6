"""Which balancing authority a utility belongs to, by EIA-861.

What belongs here: that table. What does not: WattTime's regions, which are finer and go by lat/lon.
"""

from collections import defaultdict
from pathlib import Path

import polars as pl

from hc_platform.charging.commissioning.model import Authority
from hc_platform.charging.commissioning.territories import read_table

_COLUMNS = {"Utility_Number", "State_Name", "BA_Long_Name", "BA_Short_Name"}


def authorities_of(eia_id: int, sales: Path) -> list[Authority]:
    """The balancing authorities that EIA-861's sales table has for a utility, by code; several differ by state.

    `sales`: CSV with columns Utility_Number, State_Name, BA_Long_Name, BA_Short_Name.
    Raises FileNotFoundError, or ValueError naming the columns that it lacks.
    """
    states: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in (
        read_table(sales, _COLUMNS).filter(pl.col("Utility_Number") == str(eia_id)).iter_rows(named=True)
    ):
        states[row["BA_Short_Name"], row["BA_Long_Name"]].add(row["State_Name"])
    return [
        Authority(code=code, name=name, states=tuple(sorted(told)))
        for (code, name), told in sorted(states.items())
    ]
