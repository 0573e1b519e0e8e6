"""Codes of states and of grid regions, and how they go together.

What belongs here: closed lists that no file has to say. What does not: outlines, or anything that changes by the month.
"""

from typing import Final

_STATES = """
    AL01 AK02 AZ04 AR05 CA06 CO08 CT09 DE10 DC11 FL12 GA13 HI15 ID16 IL17 IN18 IA19 KS20 KY21 LA22
    ME23 MD24 MA25 MI26 MN27 MS28 MO29 MT30 NE31 NV32 NH33 NJ34 NM35 NY36 NC37 ND38 OH39 OK40 OR41
    PA42 RI44 SC45 SD46 TN47 TX48 UT49 VT50 VA51 WA53 WV54 WI55 WY56 AS60 GU66 MP69 PR72 VI78
"""
STATE_OF_FIPS: Final = {code[2:]: code[:2] for code in _STATES.split()}
"""Census code of a state or territory -> postal code (ANSI INCITS 38)."""

ISO_OF_AUTHORITY: Final = {
    "CISO": "caiso",
    "ERCO": "ercot",
    "ISNE": "isone",
    "MISO": "miso",
    "NYIS": "nyiso",
    "PJM": "pjm",
    "SWPP": "spp",
}
"""EIA code of a balancing authority that is an ISO or RTO -> the ISO. The others lie outside of one."""

AUTHORITY_OF_ISO: Final = {iso: code for code, iso in ISO_OF_AUTHORITY.items()}

ISO_NAMES: Final = {
    "caiso": "California ISO",
    "ercot": "Electric Reliability Council of Texas",
    "isone": "ISO New England",
    "miso": "Midcontinent ISO",
    "nyiso": "New York ISO",
    "pjm": "PJM Interconnection",
    "spp": "Southwest Power Pool",
}


def iso_of(name: str) -> str | None:
    """The ISO that a source calls iso-ne, ISO-NE, ISONE, iso-caiso, ...; None for what is no ISO."""
    plain = "".join(c for c in name.lower() if c.isalnum())
    plain = plain.removeprefix("iso") if plain.removeprefix("iso") in ISO_NAMES else plain
    return plain if plain in ISO_NAMES else None
