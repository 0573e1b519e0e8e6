"""Which substation feeds a feeder, and which price nodes stand at a substation: by name and by distance.

What belongs here: candidates, their score, and when one of them may be called the answer. What does not: how names
are compared (`names`) or distances measured (`lines`).

The thresholds are proposals of this project, not calibrated against a utility's own assignment: a candidate belongs
to the same utility, its name is equal or alike (Jaro-Winkler >= 0.92) and it lies within 15 km of the feeder's line.
The score is 0.7 x name + 0.3 x nearness: name is 1 where equal, else the similarity less 0.15, so that an equal
name beats an alike one at the same place; nearness falls evenly from 1 at the line to 0 at 15 km, and is 0.5 where
either has no place. Two best candidates closer than 0.1 are ambiguous.
"""

from typing import Final

import polars as pl

from hc_platform.geo.lines import LineIndex
from hc_platform.geo.names import alike, normalized, substation_in_feeder_names
from hc_platform.geo.shapes import point_wkb

MAX_M: Final = 15_000.0
LEAST_ALIKE: Final = 0.92
CLEAR_GAP: Final = 0.1
NODE_MAX_M: Final = 2_000.0

_FEEDER: Final = ("utility_code", "feeder_id_external")


def match_substations(
    feeders: pl.DataFrame,
    substations: pl.DataFrame,
    overrides: pl.DataFrame | None = None,
    *,
    feeder_name_pattern: str | None = None,
    max_m: float = MAX_M,
) -> pl.DataFrame:
    r"""Every candidate substation of every feeder, best first; a feeder without one has one row that says so.

    `feeders`: utility_code, feeder_id_external, substation_name and, where known, feeder_name and geometry (WKB);
    several rows of a feeder are its pieces. `substations`: substation_id, utility_code (NULL: an outside source that
    does not tell; a candidate for all), substation_name, lon, lat (NULL: known by name only); one listed under several
    names stands in several rows.
    `feeder_name_pattern`: where a feeder has no substation_name, the regular expression whose first group finds it
    in feeder_name (`names.substation_in_feeder_names`); None: utilities that do not name feeders so.
    `overrides`: utility_code, feeder_id_external, substation_id (NULL: reviewed, none is right); a reviewed row is
    rank 1 whatever the score, the other candidates follow.

    Columns: utility_code, feeder_id_external, rank (1 is the best: keep it alone for one row a feeder),
    substation_id, substation_name, name_used (normalized), method (override | exact_name | similar_name, with
    _only where there is no distance; no_name, no_candidate), score, distance_m (of the substation to the feeder's
    line), n_candidates, runner_up_gap (score of rank 1 less rank 2), status (matched | ambiguous | unmatched).
    Raises ValueError for an override whose substation is not in `substations`, or two of one feeder.
    """
    named = _named_feeders(feeders, feeder_name_pattern)
    known = substations.select(
        "substation_id",
        "utility_code",
        "substation_name",
        "lon",
        "lat",
        name=normalized(substations["substation_name"]),
    ).with_columns(placed=pl.col("lon").is_not_null() & pl.col("lat").is_not_null())
    candidates = _by_name(named, known)
    near, placed = _distances(feeders, known.filter("placed"), max_m)
    scored = (
        candidates.join(near, on=[*_FEEDER, "substation_id"], how="left", nulls_equal=True)
        .join(placed.with_columns(feeder_placed=True), on=_FEEDER, how="left", nulls_equal=True)
        .filter(pl.col("distance_m").is_not_null() | ~pl.col("placed") | pl.col("feeder_placed").is_null())
        .with_columns(
            score=0.7 * pl.when(pl.col("similarity") >= 1.0).then(1.0).otherwise(pl.col("similarity") - 0.15)
            + 0.3 * (1.0 - pl.col("distance_m") / max_m).fill_null(0.5),
            method=pl.when(pl.col("similarity") >= 1.0)
            .then(pl.lit("exact_name"))
            .otherwise(pl.lit("similar_name"))
            + pl.when(pl.col("distance_m").is_null()).then(pl.lit("_only")).otherwise(pl.lit("")),
        )
    )
    reviewed = _reviewed(named, known, overrides)
    every = pl.concat(
        [
            scored.join(reviewed, on=[*_FEEDER, "substation_id"], how="anti", nulls_equal=True),
            reviewed.join(near, on=[*_FEEDER, "substation_id"], how="left", nulls_equal=True),
        ],
        how="diagonal",
    )
    return _decided(named, every)


def _named_feeders(feeders: pl.DataFrame, pattern: str | None) -> pl.DataFrame:
    """One row a feeder: the substation's name that its rows tell, normalized."""
    told = feeders["substation_name"] if "substation_name" in feeders.columns else None
    names = told if told is not None else pl.Series([None] * feeders.height, dtype=pl.String)
    if pattern is not None and "feeder_name" in feeders.columns:
        names = pl.select(
            pl.coalesce(names, substation_in_feeder_names(feeders["feeder_name"], pattern))
        ).to_series()
    return (
        feeders.select(*_FEEDER, name_used=normalized(names))
        .group_by(_FEEDER, maintain_order=True)
        .agg(pl.col("name_used").drop_nulls().first())
    )


def _by_name(named: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Feeders joined with the substations of their utility, or of none, whose names are equal or alike."""
    found = []
    for (utility,), mine in named.drop_nulls("name_used").group_by("utility_code", maintain_order=True):
        theirs = known.filter((pl.col("utility_code") == utility) | pl.col("utility_code").is_null())
        pairs = alike(
            mine["name_used"].unique(maintain_order=True).to_list(),
            theirs["name"].drop_nulls().unique(maintain_order=True).to_list(),
            least=LEAST_ALIKE,
        )
        found.append(
            mine.join(pairs, left_on="name_used", right_on="left").join(
                theirs.drop("utility_code"), left_on="right", right_on="name"
            )
        )
    every = pl.concat(found) if found else _no_candidates(named, known)
    # a substation listed under several names is one candidate, by the name that fits best
    return every.sort(pl.col("similarity").neg(), "right").unique(
        [*_FEEDER, "substation_id"], keep="first", maintain_order=True
    )


def _no_candidates(named: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    frame = named.join(known.drop("utility_code", "name"), how="cross").head(0)
    return frame.with_columns(right=pl.lit(None, pl.String), similarity=pl.lit(None, pl.Float64))


def _distances(
    feeders: pl.DataFrame, placed: pl.DataFrame, max_m: float
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(feeder, substation, distance_m) within reach, and which feeders have a place."""
    keys = feeders.select(_FEEDER)
    if "geometry" not in feeders.columns:
        nothing = keys.head(0)
        return (
            nothing.with_columns(
                substation_id=pl.lit(None, placed["substation_id"].dtype), distance_m=pl.lit(0.0)
            ),
            nothing,
        )
    code = keys.select(pl.struct(_FEEDER).rank("dense")).to_series()
    index = LineIndex(code, feeders["geometry"])
    near = index.within(placed["lon"], placed["lat"], max_m)
    pairs = pl.concat(
        [
            keys[near["row"]],
            placed["substation_id"].gather(near["query"]).to_frame(),
            near.select("distance_m"),
        ],
        how="horizontal",
    )
    blank = pl.Series("row", range(feeders.height), dtype=pl.Int64).is_in(index.skipped.implode())
    nearest = pairs.sort("distance_m").unique([*_FEEDER, "substation_id"], keep="first", maintain_order=True)
    return nearest, keys.filter(~blank).unique()


def _reviewed(named: pl.DataFrame, known: pl.DataFrame, overrides: pl.DataFrame | None) -> pl.DataFrame:
    """The overrides of these feeders, as candidates."""
    kinds: dict[str, pl.DataType] = {
        "utility_code": pl.String(),
        "feeder_id_external": pl.String(),
        "substation_id": known["substation_id"].dtype,
    }
    rows = (overrides if overrides is not None else pl.DataFrame(schema=kinds)).select(
        pl.col(name).cast(kind) for name, kind in kinds.items()
    )
    rows = rows.join(named, on=_FEEDER, how="inner")
    if twice := rows.filter(pl.struct(_FEEDER).is_duplicated())["feeder_id_external"].unique().to_list():
        raise ValueError(
            f"overrides name more than one substation for feeder {', '.join(sorted(twice))}; keep one"
        )
    lost = rows.drop_nulls("substation_id").join(known, on="substation_id", how="anti")
    if lost.height:
        pairs = ", ".join(f"{u} {f} -> {s}" for u, f, s in lost.select(list(kinds)).rows())
        raise ValueError(
            f"overrides point at substations that are not known: {pairs}; correct or remove the rows"
        )
    return rows.join(
        known.select("substation_id", "substation_name").unique("substation_id"),
        on="substation_id",
        how="left",
    ).with_columns(method=pl.lit("override"), score=pl.lit(1.0))


def _decided(named: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """Candidates ranked and judged, and a row for each feeder without any."""
    override = pl.col("method") == "override"
    ranked = (
        candidates.sort(
            override.not_(), pl.col("score").neg(), "distance_m", "substation_id", nulls_last=True
        )
        .with_columns(
            rank=pl.int_range(1, pl.len() + 1).over(_FEEDER),
            n_candidates=pl.col("substation_id").count().over(_FEEDER),
            runner_up_gap=(pl.col("score").first() - pl.col("score").get(1, null_on_oob=True)).over(_FEEDER),
            reviewed=override.any().over(_FEEDER),
            chosen=pl.col("substation_id").first().is_not_null().over(_FEEDER),
        )
        .with_columns(
            status=pl.when("reviewed")
            .then(pl.when("chosen").then(pl.lit("matched")).otherwise(pl.lit("unmatched")))
            .when(pl.col("runner_up_gap") < CLEAR_GAP)
            .then(pl.lit("ambiguous"))
            .otherwise(pl.lit("matched"))
        )
    )
    lonely = named.join(ranked, on=_FEEDER, how="anti", nulls_equal=True).with_columns(
        rank=pl.lit(1, pl.Int64),
        method=pl.when(pl.col("name_used").is_null())
        .then(pl.lit("no_name"))
        .otherwise(pl.lit("no_candidate")),
        n_candidates=pl.lit(0, pl.UInt32),
        status=pl.lit("unmatched"),
    )
    return (
        pl.concat([ranked, lonely], how="diagonal_relaxed")
        .select(
            *_FEEDER,
            pl.col("rank").cast(pl.Int64),
            "substation_id",
            "substation_name",
            "name_used",
            "method",
            "score",
            "distance_m",
            pl.col("n_candidates").cast(pl.Int64),
            "runner_up_gap",
            "status",
        )
        .sort(*_FEEDER, "rank")
    )


def match_pricing_nodes(
    substations: pl.DataFrame, nodes: pl.DataFrame, *, max_m: float = NODE_MAX_M
) -> pl.DataFrame:
    """Price nodes at each substation: no farther than `max_m` and of an equal or alike name; all are kept.

    `substations`: substation_id, substation_name, lon, lat. `nodes`: node_id, node_name, lon, lat. The part of a
    node's name before the first underscore counts too ("PALERMO_1_N101"). Columns: substation_id, node_id, rank,
    method (exact_name | similar_name), score (the names' similarity), distance_m, n_candidates, status (matched |
    ambiguous: several nodes are equally alike). A substation without a node has no row.
    """
    own = normalized(substations["substation_name"])
    whole, head = normalized(nodes["node_name"]), normalized(nodes["node_name"].str.extract(r"^([^_]+)_", 1))
    names = [n for n in pl.concat([whole, head]).unique(maintain_order=True) if n is not None]
    pairs = alike(own.drop_nulls().unique(maintain_order=True).to_list(), names, least=LEAST_ALIKE)
    index = LineIndex(pl.Series(range(nodes.height), dtype=pl.Int64), point_wkb(nodes["lon"], nodes["lat"]))
    near = index.within(substations["lon"], substations["lat"], max_m)
    at = near.select("query", "row", "distance_m").with_columns(left=own.gather(near["query"]))
    both = pl.concat([at.with_columns(right=name.gather(near["row"])) for name in (whole, head)])
    found = (
        both.join(pairs, on=["left", "right"])
        .group_by("query", "row")
        .agg(score=pl.col("similarity").max(), distance_m=pl.col("distance_m").first())
        .sort("query", pl.col("score").neg(), "distance_m", "row")
    )
    equal = pl.col("score") >= 1.0
    tied = (pl.col("score") == pl.col("score").first()).sum().over("query") > 1
    return found.select(
        substations["substation_id"].gather(found["query"]),
        nodes["node_id"].gather(found["row"]),
        rank=pl.int_range(1, pl.len() + 1).over("query"),
        method=pl.when(equal).then(pl.lit("exact_name")).otherwise(pl.lit("similar_name")),
        score="score",
        distance_m="distance_m",
        n_candidates=pl.len().over("query").cast(pl.Int64),
        status=pl.when(tied).then(pl.lit("ambiguous")).otherwise(pl.lit("matched")),
    )
