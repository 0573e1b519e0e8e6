"""Tariffs: what a plan's hours cost, relative to each other, at any instant."""

from hc_platform.charging.tariffs.compiled import TierAt, compile_tariffs, is_tou_peak, tier_at
from hc_platform.charging.tariffs.loading import Tariffs, load_tariff_file, load_tariffs
from hc_platform.charging.tariffs.model import Tariff, TariffFile, tariffs_of

__all__ = [
    "Tariff",
    "TariffFile",
    "Tariffs",
    "TierAt",
    "compile_tariffs",
    "is_tou_peak",
    "load_tariff_file",
    "load_tariffs",
    "tariffs_of",
    "tier_at",
]
