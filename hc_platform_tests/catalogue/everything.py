"""A made-up utility whose config uses every key of shape, so that those no real one needs today are held too."""

from typing import Final

from hc_platform.catalog.models import UtilityConfig

IDENTITY, SECRET = "EVERYTHING_USER", "EVERYTHING_PASSWORD"
_SERVICE: Final = "https://maps.everything.example/arcgis/rest/services"

EVERYTHING: Final = UtilityConfig.model_validate(
    {
        "utility_code": "everything",
        "utility_name": "Everything Electric",
        "states": ["OH"],
        "data_source_type": "arcgis_feature",
        "service_url": f"{_SERVICE}/Distribution/FeatureServer",
        "auth": {
            "method": "generate_token",
            "secret": SECRET,
            "identity": IDENTITY,
            "token_url": "https://maps.everything.example/arcgis/tokens/generateToken",
        },
        "capacity_unit": "kw",
        "capacity_basis": "gross",
        "layers": [
            {
                "name": "Popups",
                "layer_index": 2,
                "grain": "feeder",
                "record_key": ["GLOBALID"],
                "unpack": [
                    {
                        "column": "PopupInfo",
                        "format": "html_table",
                        "fields": ["Circuit", "Max HC", "HC Class", "kV"],
                    },
                    {"column": "extra", "format": "json", "fields": ["phase", "oh"]},
                ],
                "field_map": {
                    "PopupInfo.Circuit": "feeder_id_external",
                    "PopupInfo.Max HC": {"to": "hosting_capacity_max_mw", "unit": "w", "ceiling": 9e6},
                    "PopupInfo.HC Class": {
                        "to": "hosting_capacity_mw",
                        "classes": {
                            "LOW": "0 - 100",
                            "MID": "100 to 500 kW",
                            "HIGH": "> 0.5 MW",
                            "NONE LEFT": "0",
                            "TBD": "Analysis Pending",
                        },
                    },
                    "PopupInfo.kV": {"to": "voltage_kv", "unit": "v"},
                    "extra.phase": "phase_config",
                    "extra.oh": {"to": "is_overhead", "classes": {"1": "Overhead", "0": "Underground"}},
                },
            },
            {
                "name": "Generators",
                "layer_index": 3,
                "grain": "der",
                "field_map": {
                    "circuit": "feeder_id_external",
                    "nameplate": [
                        {
                            "to": "installed_dg_mw",
                            "unit": "kva",
                            "when": {"status": ["In Service", "Testing"]},
                        },
                        {"to": "queued_dg_mw", "unit": "kva", "when": {"status": ["Queued"]}},
                    ],
                    "sub": "substation_name",
                },
            },
            {
                "name": "Sections",
                "layer_index": 4,
                "grain": "section",
                "geometry": "none",
                "where": "PUBLISH = 'Y' AND hc_summer IS NOT NULL",
                "record_key": ["SECT"],
                "joins": [
                    {
                        "layer": "Totals",
                        "field": "feeder",
                        "matches": "name",
                        "takes": {
                            "dg": {"to": "installed_dg_mw", "unit": "mva"},
                            "id": "feeder_id_external",
                            "sub": "substation_name",
                        },
                    }
                ],
                "field_map": {
                    "feeder": {"to": "feeder_name", "single": ";"},
                    "hc_summer": {
                        "to": "hosting_capacity_mw",
                        "combine": "least",
                        "nulls": {"-1": "redacted"},
                    },
                    "hc_winter": {
                        "to": "hosting_capacity_mw",
                        "combine": "least",
                        "floor": 10,
                        "ceiling": 9000,
                    },
                    "limit_by": {"to": "constraining_metric", "classes": {"T": "Thermal", "V": "Voltage"}},
                },
            },
            {
                "name": "Totals",
                "layer_index": 5,
                "grain": "feeder",
                "field_map": {
                    "id": "feeder_id_external",
                    "name": "feeder_name",
                    "dg": {"to": "installed_dg_mw", "unit": "mva"},
                    "sub": "substation_name",
                },
            },
            {
                "name": "Tiles",
                "layer_index": 6,
                "grain": "tile",
                "geometry": "centroid",
                "record_key": ["GRID"],
                "explode": {"json": "members", "fields": ["feederID", "kw", "limit"]},
                "resources": {
                    "generation": {
                        "field_map": {
                            "members.feederID": "feeder_id_external",
                            "members.kw": "hosting_capacity_mw",
                            "members.limit": "constraining_metric",
                            "whole_tile": "installed_dg_mw",
                        }
                    },
                    "storage": {
                        "capacity_basis": "net_of_existing",
                        "field_map": {
                            "members.feederID": "feeder_id_external",
                            "tile_min": "hosting_capacity_min_mw",
                        },
                    },
                },
            },
        ],
        "verification": {"status": "guessed", "on": "2026-08-15", "sources": ["made up"]},
    }
)
