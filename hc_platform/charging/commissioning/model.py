"""What commissioning finds out about a new device's place: candidates, each with where it comes from.

What belongs here: the fields. What does not: how they are found (`zips`, `territories`, `authorities`, `candidates`).
"""

from pydantic import BaseModel, ConfigDict, Field, computed_field


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Authority(_Model):
    """A balancing authority of a utility, by EIA-861's short name, with the states that it is told for."""

    code: str = Field(description="e.g. WACM; not WattTime's region code, which comes from lat/lon")
    name: str
    states: tuple[str, ...] = ()


class Candidate(_Model):
    """A utility that may serve the place. Without `eia_id`: one serves it that the source does not name."""

    eia_id: int | None = Field(None, description="the utility's number at the EIA")
    name: str
    investor_owned: bool = False
    marketer: bool = Field(
        False,
        description="sells over another utility's wires: a power marketer, a community choice aggregator",
    )
    sources: tuple[str, ...] = Field(description="what says so, in words for the installer")
    utility_id: str | None = Field(
        None, description="the utility's id in tou_schedules/, where it has tariffs"
    )
    authorities: tuple[Authority, ...] = Field((), description="several: they differ by state")


class Commissioning(_Model):
    """All that could be found; nothing in it is chosen where there was a choice.

    `notes` say in plain words what was not looked up and why, and what the installer has to ask.
    """

    lat: float | None = Field(None, ge=-90, le=90, description="WGS 84")
    lon: float | None = Field(None, ge=-180, le=180, description="WGS 84")
    zip: str | None = Field(None, pattern=r"^\d{5}$")
    candidates: tuple[Candidate, ...] = Field((), description="those with most sources first")
    watttime_region: str | None = Field(None, description="WattTime's MOER region of lat/lon")
    watttime_region_name: str | None = None
    notes: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ambiguous(self) -> bool:
        """More than one utility may serve the place: the installer must say which (case 24)."""
        return len(self.candidates) > 1

    @property
    def utility(self) -> Candidate | None:
        """The only candidate, if there is just one and it has a name; still to be confirmed with the customer."""
        only = self.candidates[0] if len(self.candidates) == 1 else None
        return only if only and only.eia_id is not None else None

    @property
    def utility_id(self) -> str | None:
        """Its id in tou_schedules/, where it has one."""
        return self.utility.utility_id if self.utility else None
