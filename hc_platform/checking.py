"""What a check says, of whatever.

What belongs here: the result of one check. What does not: any particular check, or showing it.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """One check's result. `blocking`: a failure stops the commit; else it is a warning to look at."""

    name: str
    passed: bool
    blocking: bool
    message: str
    metadata: dict[str, Any] = field(default_factory=dict)
