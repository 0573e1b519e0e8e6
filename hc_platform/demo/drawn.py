"""Geometries as a server writes them, from lists of parts of (x, y).

What belongs here: Esri's JSON and GeoJSON of lines, areas and points, vectorized. What does not: pages (`query`).
"""

import polars as pl


def esri_text(paths: pl.DataFrame, kind: str) -> pl.Series:
    """The member "geometry" with its comma; nothing where there is no geometry."""
    parts = pl.col("paths")
    if kind == "esriGeometryPoint":
        point = parts.list.first().list.first()
        shape = pl.struct(x=point.arr.get(0), y=point.arr.get(1))
    else:
        shape = pl.struct(parts.alias("rings" if kind == "esriGeometryPolygon" else "paths"))
    text = pl.concat_str(pl.lit(',"geometry":'), shape.struct.json_encode())
    # Without a geometry there is no such key at all.
    return paths.select(shape=pl.when(parts.is_null()).then(pl.lit("")).otherwise(text))["shape"]


def geojson_text(paths: pl.DataFrame, kind: str) -> pl.Series:
    """The same as GeoJSON; null where there is no geometry."""
    parts = pl.col("paths")
    if kind == "esriGeometryPoint":
        one = _shape("Point", parts.list.first().list.first())
        many = one
    elif kind == "esriGeometryPolygon":  # ours have a single ring a part
        one = _shape("Polygon", parts)
        many = _shape("MultiPolygon", parts.list.eval(pl.concat_list(pl.element().implode())))
    else:
        one, many = _shape("LineString", parts.list.first()), _shape("MultiLineString", parts)
    count = parts.list.len()
    body = pl.when(count == 1).then(one).when(count > 1).then(many).otherwise(pl.lit("null"))
    return paths.select(shape=pl.concat_str(pl.lit(',"geometry":'), body))["shape"]


def centroid_text(paths: pl.DataFrame) -> pl.Series:
    """The member "centroid" of areas, by the corners of their first ring."""
    ring = pl.col("paths").list.first()
    x, y = (ring.list.eval(pl.element().arr.get(i)).list for i in (0, 1))
    middle = pl.struct(x=(x.min() + x.max()) / 2, y=(y.min() + y.max()) / 2)
    text = pl.concat_str(pl.lit(',"centroid":'), middle.struct.json_encode())
    return paths.select(shape=pl.when(ring.is_null()).then(pl.lit("")).otherwise(text))["shape"]


def _shape(kind: str, coordinates: pl.Expr) -> pl.Expr:
    return pl.struct(type=pl.lit(kind), coordinates=coordinates).struct.json_encode()
