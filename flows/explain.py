"""Occlusion maps of kept slabs and of series on disk, as pictures and numbers: what `ovf explain` does."""

from __future__ import annotations

import glob
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flows.audit_frame import audit_model
from flows.errors import SettingsError
from flows.explain_vertebrae import heard_frame, told_vertebrae
from flows.publish_heat import on_slab
from flows.scored_models import no_scores, scored_models, without_scores
from models.registry import installed_weights
from tasks.midline import places_read
from tasks.publish_capture import framed_rgb, grey_rgb, heated_rgb
from tasks.shard_work import kept_slab_path
from tasks.sources.base import ArchiveUnreachable
from warehouse.queries import query
from warehouse.store import Store

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection as Connection

    from models.domain import DomainReference
    from models.infer import ScanScore, Scorer
    from models.loading import LoadedModel
    from models.occlusion import Explanation
    from tasks.slab import Slab

SLAB_SUFFIX = ".jp2"
# What a scan can come to that is told, while the others are explained. ValueError: no view can be cut from its slab.
UNREADABLE = (SettingsError, ArchiveUnreachable, OSError, ValueError, TypeError)
CAVEAT = "Shows what the model's answer rests on, not what is ill. Not for clinical use."


@dataclass(frozen=True, slots=True)
class Wanted:
    """One scan to explain: where its slab is, and what its files are called."""

    name: str  # a pseudonym, or the place among what was asked for
    place: Path  # of a kept slab, or of a series' files
    distance: float | None = None  # as the warehouse keeps it; None: not scored there
    is_beyond: bool | None = None  # beyond the limit that counts in the warehouse


def has_scores(store: Store) -> bool:
    """Whether any model has scored in the warehouse."""
    with store.read() as connection:
        return bool(scored_models(connection))


def model_to_explain(store: Store) -> Path:
    """The folder of the model that has scored here. Raises SettingsError: none, several, or not installed."""
    with store.read() as connection:
        scored = audit_model(connection, None)
    installed = installed_weights(scored.model_id, scored.model_digest)
    if installed is None:
        raise SettingsError(
            f"the scores here are those of {scored.model_id}, which is not installed: name its folder with --model"
        )
    return installed.directory


def wanted_series(
    asked: Sequence[str], store: Store | None, slabs: Path | None, *, model: LoadedModel, is_flagged: bool
) -> list[Wanted]:
    """What was asked for, by path, series key or SeriesInstanceUID; with `is_flagged`, all that `model` flags now.

    Raises SettingsError for a series that is not there, whose slab was not kept, or flags of a model without scores.
    """
    found = [Wanted(f"scan-{n}", Path(one)) for n, one in enumerate(asked, 1) if Path(one).exists()]
    others = [one for one in asked if not Path(one).exists()]
    if not others and not is_flagged:
        return found
    if store is None:
        raise SettingsError("neither a path nor a series of a warehouse: name one with --warehouse")
    directory = slabs or store.paths.directory / "slabs"
    keys = _series_keys(others, store)
    with store.read() as connection:
        if is_flagged:
            _check_scored(connection, model.config.model_id, model.digest)
        parameters = {"series": keys, "model_digest": model.digest, "is_flagged": is_flagged}
        rows = connection.execute(query("explain_series"), parameters).fetchall()
    n_missing = len(set(keys) - {row[0] for row in rows})
    if n_missing:
        has_names = store.paths.identity.is_file()
        why = "" if has_names else " (UIDs need the identity file, which is not here)"
        raise SettingsError(f"{n_missing} of the series have no kept slab here, or do not exist{why}")
    return found + [
        Wanted(key, kept_slab_path(directory, key, revision), distance, is_beyond)
        for key, revision, distance, is_beyond in rows
    ]


def _series_keys(names: Sequence[str], store: Store) -> list[str]:
    """Series keys as they are; SeriesInstanceUIDs by the identity file, which a key alone does not need."""
    if not names or not store.paths.identity.is_file():
        return list(names)
    with store.read_identified() as connection:
        known = dict(connection.execute(query("series_of_uids"), {"uids": list(names)}).fetchall())
    return [known.get(name, name) for name in names]


def _check_scored(connection: Connection, model_id: str, digest: str) -> None:
    """Raises SettingsError unless these weights have scored here: what others flag is not theirs to explain."""
    known = scored_models(connection)
    if digest not in {model.model_digest for model in known}:
        others = without_scores(connection, model_id, digest)
        raise SettingsError(others) if others else no_scores(model_id, known)


def read_wanted(wanted: Wanted) -> Slab:
    """The slab: a kept one as it is, a folder or zip of one series as a sweep would make it.

    Raises SettingsError when there is none to be had.
    """
    from tasks.jpeg2000 import SlabFileError, read_slab

    if wanted.place.suffix != SLAB_SUFFIX:
        return slab_of_files(wanted.place)
    try:
        return read_slab(wanted.place)
    except (SlabFileError, OSError) as error:
        raise SettingsError(f"{wanted.name}: the slab is gone or damaged: sweep again") from error


def slab_of_files(place: Path) -> Slab:
    """The slab of the series that a sweep would choose in a folder or zip. Raises SettingsError."""
    from tasks.header import read_headers
    from tasks.identity import Pseudonymizer
    from tasks.instance import Instance, StudyInstances
    from tasks.profile import DEFAULT_PROFILE, Cohort
    from tasks.rejected import SlabRejected
    from tasks.select import select_study
    from tasks.series import group_series
    from tasks.slab import build_slab
    from tasks.sources import open_source

    source = open_source(str(place))
    walked = [listing.ref(entry) for listing in source.walk() for entry in listing.entries]
    zips = [ref for ref in walked if ref.path.endswith(b".zip") and ref.member is None]
    inside = [
        listing.ref(entry) for ref in zips for listing in source.members(ref) for entry in listing.entries
    ]
    refs = [ref for ref in walked if ref not in zips] + inside
    found = tuple(item for item in read_headers(source, refs) if isinstance(item, Instance))
    if len({item.study_instance_uid for item in found}) != 1:
        raise SettingsError("name a folder or zip that holds one study: several, or none, were found")
    study = StudyInstances(found[0].study_instance_uid, found, len(found), 0, frozenset(), ())
    selection = select_study(
        group_series(study),
        study=study,
        keys=Pseudonymizer(b"explain".ljust(32, b"."), "explain"),  # its names are kept nowhere
        profile=DEFAULT_PROFILE,
        cohort=Cohort(min_age_years=0),
        archive_key="explain",
        site="explain",
        run_id="explain",
    )
    if not selection.plans:
        reasons = sorted({record.reason or "" for record in selection.selections})
        raise SettingsError(f"no series there can be scored: {', '.join(reasons)}")
    try:
        return build_slab(selection.plans[0], source)
    except SlabRejected as rejected:
        raise SettingsError(f"the series gives no slab: {rejected.reason} ({rejected.message})") from rejected


def explain_to(
    out: Path, wanted: Sequence[Wanted], scorer: Scorer, domain: DomainReference | None
) -> Iterator[dict[str, Any]]:
    """Write pictures and a JSON for each scan; yields what the JSON holds, or `name` and `error` where it cannot be."""
    out.mkdir(parents=True, exist_ok=True)
    for one in wanted:
        started = time.perf_counter()
        for before in out.glob(f"{glob.escape(one.name)}-slice*-tile*.png"):  # perhaps of another model
            before.unlink()
        try:
            told = _explain(read_wanted(one), scorer, out / one.name, domain)
        except UNREADABLE as error:
            yield {"name": one.name, "error": str(error)}
            continue
        if one.distance is not None:  # of the slab before it was compressed, by the limit that counts there
            told |= {"domain_distance": round(one.distance, 4), "is_beyond_domain": bool(one.is_beyond)}
        told = {"name": one.name, **told, "duration_s": round(time.perf_counter() - started, 2)}
        (out / f"{one.name}.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        yield told


def _explain(slab: Slab, scorer: Scorer, stem: Path, domain: DomainReference | None) -> dict[str, Any]:
    from models.occlusion import explain_scan
    from tasks.slab import view_of
    from tasks.view import slices_read

    view = view_of(slab, scorer.config.view)
    [score] = scorer.score([view])
    explained = explain_scan(scorer, view, score.slice_logits)
    distance = domain.distance(score.slice_features) if domain else None
    vertebrae = told_vertebrae(score, view)
    shape, pixel_mm = slab.slab_xzy_hu.shape[1:], slab.record.pixel_mm
    frame = heard_frame(vertebrae, shape, pixel_mm)
    pictures = []
    for heat in explained.maps:
        [read] = slices_read(
            slab.slab_xzy_hu, [heat.slice_index], view.midline_mm, slab.record.slice_spacing_mm
        )
        plain = grey_rgb(read)
        hot = framed_rgb(heated_rgb(plain, on_slab(heat, shape, pixel_mm)), frame)
        path = stem.with_name(f"{stem.name}-slice{heat.slice_index:02d}-tile{heat.tile_index}.png")
        Image.fromarray(np.concatenate([plain, hot], axis=1)).save(path)
        pictures.append({"file": path.name, "slice": heat.slice_index, "logit": round(heat.logit, 4)})
    return {
        "model_id": scorer.config.model_id,
        "model_digest": scorer.digest,
        "logit": round(score.logit, 4),
        "domain_distance": None if distance is None else round(distance, 4),
        "is_beyond_domain": domain is not None and distance is not None and domain.is_beyond(distance),
        "peak": _peak(explained, slab, view.midline_mm),
        **_heard(score, vertebrae),
        "pictures": pictures,
        "caveat": CAVEAT,
    }


def _heard(score: ScanScore, vertebrae: list[dict[str, Any]]) -> dict[str, Any]:
    """Nothing of a model that does not read vertebrae one by one."""
    if score.vertebrae is None:
        return {}
    return {"body_logit": score.body_logit, "lacks_vertebrae": score.lacks_vertebrae, "vertebrae": vertebrae}


def _peak(
    explained: Explanation, slab: Slab, midline_mm: NDArray[np.float32] | None
) -> dict[str, float | int]:
    """The peak in the slab, and in the patient (LPS)."""
    peak, record = explained.peak, slab.record
    half_px = record.pixel_mm / 2  # edges are half a pixel outside the first centres
    last, at_slice = record.n_slices - 1, float(peak.slice_index)
    if midline_mm is not None:
        row = np.clip(int(peak.row_mm / record.pixel_mm), 0, len(midline_mm) - 1)
        places = places_read(np.array([peak.slice_index]), midline_mm, record.slice_spacing_mm)
        at_slice = float(np.clip(places[0, row], 0, last))  # beyond them the outermost slice is read
    place: dict[str, float] = {
        "row_mm": peak.row_mm,
        "column_mm": peak.col_mm,
        "patient_x_mm": record.middle_x_mm + (at_slice - last / 2) * record.slice_spacing_mm,
        "patient_y_mm": record.anterior_y_mm + peak.col_mm - half_px,
        "patient_z_mm": record.top_z_mm - peak.row_mm + half_px,
        "drop_of_logit": peak.drop,
    }
    return {"slice": peak.slice_index, **{name: round(value, 3) for name, value in place.items()}}
