"""What lies near one place: the question that the API's map and `nearby` route ask.

What belongs here: one point against an index of lines, in kilometres. What does not: many points at once
(`lines.LineIndex.within`).
"""

import polars as pl

from hc_platform.geo.lines import LineIndex


def nearby(
    lines: LineIndex | pl.DataFrame, lat: float, lon: float, radius_km: float, *, id_column: str = "id"
) -> pl.DataFrame:
    """Everything within `radius_km` of the point, by distance to the line itself, nearest first.

    `lines` is an index, to be kept between questions, or a frame with `id_column` and `geometry` (WKB, EPSG:4326).
    Columns: row (position in the frame), id, distance_m, near_lon, near_lat (where the line is nearest); of a frame
    its other columns too, without the geometry. Raises ValueError for a latitude beyond a pole, a coordinate that
    is no number or a radius below 0.
    """
    if not -90.0 <= lat <= 90.0 or not -540.0 <= lon <= 540.0:
        raise ValueError(f"lat={lat}, lon={lon} is no place on earth; give degrees, latitude within 90")
    if not radius_km >= 0.0:
        raise ValueError(f"radius_km={radius_km} must be 0 or more")
    index = lines if isinstance(lines, LineIndex) else LineIndex(lines[id_column], lines["geometry"])
    found = index.within([lon], [lat], radius_km * 1000.0).drop("query")
    if isinstance(lines, LineIndex):
        return found
    others = lines.select(pl.exclude(id_column, "geometry", *found.columns))
    return pl.concat([found, others[found["row"]]], how="horizontal")
