"""Chooses and writes the test set of a protocol: runs once, before any training; `protocol.py` reads what it wrote."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from phantom.anatomy import Anatomy, draw_patient
from phantom.families import Family
from phantom.gallery import has_hardware
from phantom.protocol import KINDS, SEEN, TEST_SEEDS, UNSEEN, ProtocolError, ProtocolStudy, fingerprint_of
from phantom.slabs import PhantomSlab, render_slab
from phantom.truth import VertebraTruth
from phantom.vertebra import OSTEOPOROTIC, PATHOLOGICAL, TRAUMATIC

# Studies of each kind in each family; rare kinds only as far as SEEDS_PER_FAMILY patients hold them.
QUOTA = {"positive": 30, "negative": 45, "traumatic": 3, "pathological": 3, "treated": 3}
SEEDS_PER_FAMILY = 1000
N_WITNESSES = 8  # studies of which the manifest keeps mean and spread of HU
# The truth must be the same in slabs of these pixel sizes, so that it does not hang on a rounded row.
PIXELS_MM = (0.8, 1.25)
HALF_WIDTH_MM = 30.0  # of the slab that a sweep stores
_HIDDEN = ("is_seen_family",)  # follows from the family


def freeze(
    folder: Path,
    families: Mapping[str, Family],
    *,
    quota: Mapping[str, int] = QUOTA,
    say: Callable[[str], None] = print,
) -> str:
    """Write families.json, studies.csv and manifest.json; returns the manifest's SHA-256.

    Raises ProtocolError when something is frozen there already.
    """
    if (folder / "manifest.json").exists():
        raise ProtocolError("this protocol is frozen: make another one")
    folder.mkdir(parents=True, exist_ok=True)
    studies: list[ProtocolStudy] = []
    for number, name in enumerate((*SEEN, *UNSEEN)):
        first = TEST_SEEDS.start + number * SEEDS_PER_FAMILY
        studies += draw_studies(families[name], first, quota)
        say(f"{name}: {len(studies)} studies so far")
    settings = [asdict(families[name]) for name in (*SEEN, *UNSEEN)]
    (folder / "families.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    (folder / "studies.csv").write_text(_csv(studies), encoding="utf-8")
    text = json.dumps(_manifest(folder, studies, families), indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def draw_studies(family: Family, first_seed: int, quota: Mapping[str, int]) -> list[ProtocolStudy]:
    """Studies of one family, in order of their seeds, until every kind has its number or the seeds end."""
    left = dict(quota)
    found: list[ProtocolStudy] = []
    for seed in range(first_seed, first_seed + SEEDS_PER_FAMILY):
        wanted = {kind for kind, count in left.items() if count > 0}
        if not wanted:
            break
        patient = draw_patient(seed, has_fracture=seed % 2 == 0, family=family)
        if not wanted & _possible_kinds(patient):
            continue
        study = _study(patient, is_drawn_fractured=seed % 2 == 0)
        if study is not None and study.kind in wanted:
            left[study.kind] -= 1
            found.append(study)
    return found


def _possible_kinds(patient: Anatomy) -> set[str]:
    """What a scan of the patient may turn out to be, before any is made."""
    kinds = {body.cause for body in patient.thoracolumbar} & {TRAUMATIC, PATHOLOGICAL}
    if any(has_hardware(body) for body in patient.thoracolumbar):
        kinds.add("treated")
    return kinds or {"positive", "negative"}


def _study(patient: Anatomy, *, is_drawn_fractured: bool) -> ProtocolStudy | None:
    """One study, or None where what it shows is open to dispute."""
    slabs = [_bare_slab(patient, patient.seed, pixel_mm) for pixel_mm in PIXELS_MM]
    kinds = {kind_of(slab.vertebrae) for slab in slabs}
    if len(kinds) > 1 or slabs[0].worst_grade != slabs[1].worst_grade or has_cut_fracture(slabs[0]):
        return None
    return ProtocolStudy(
        family=patient.family.name,
        is_seen_family=patient.family.name in SEEN,
        patient_seed=patient.seed,
        scan_seed=patient.seed,
        is_drawn_fractured=is_drawn_fractured,
        kind=kinds.pop(),
        has_fracture=slabs[0].has_fracture,
        worst_grade=slabs[0].worst_grade,
        coverage=slabs[0].coverage,
        fingerprint=fingerprint_of(patient, slabs[0].acquisition),
    )


def _bare_slab(patient: Anatomy, seed: int, pixel_mm: float) -> PhantomSlab:
    """The outer two planes and the middle one: all that the truth of a slab hangs on."""
    return render_slab(
        patient, pixel_mm=pixel_mm, slice_spacing_mm=HALF_WIDTH_MM, half_width_mm=HALF_WIDTH_MM, seed=seed
    )


def kind_of(bodies: tuple[VertebraTruth, ...]) -> str:
    """One of KINDS: what keeps a study out of AUC comes before its fractures."""
    shown = [body for body in bodies if body.is_visible]
    if any(has_hardware(body) for body in shown):
        return "treated"
    causes = {body.cause for body in shown}
    for cause in (PATHOLOGICAL, TRAUMATIC):
        if cause in causes:
            return cause
    return "positive" if OSTEOPOROTIC in causes else "negative"


def has_cut_fracture(slab: PhantomSlab) -> bool:
    """Whether a fractured body lies in the slab in part only."""
    return any(
        body.cause and not body.is_visible and body.row_stop > body.row_start for body in slab.vertebrae
    )


def _csv(studies: list[ProtocolStudy]) -> str:
    names = [each.name for each in fields(ProtocolStudy) if each.name not in _HIDDEN]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for study in studies:
        writer.writerow({k: int(v) if isinstance(v, bool) else v for k, v in asdict(study).items()})
    return out.getvalue()


def _manifest(folder: Path, studies: list[ProtocolStudy], families: Mapping[str, Family]) -> dict[str, Any]:
    names = ("families.json", "studies.csv")
    by_kind = Counter((study.is_seen_family, study.kind) for study in studies)
    return {
        "protocol": 1,
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        "seen": list(SEEN),
        "unseen": list(UNSEEN),
        "test_seeds": [TEST_SEEDS.start, TEST_SEEDS.stop],
        "n_studies": len(studies),
        "n_seen": {kind: by_kind[True, kind] for kind in KINDS},
        "n_unseen": {kind: by_kind[False, kind] for kind in KINDS},
        "witnesses": list(_witnesses(studies, families)),
    }


def _witnesses(studies: list[ProtocolStudy], families: Mapping[str, Family]) -> Iterator[dict[str, Any]]:
    """Pixels of a few studies, evenly spread, as two numbers each: a test draws them again."""
    for index in np.linspace(0, len(studies) - 1, N_WITNESSES).astype(int).tolist():
        study = studies[index]
        patient = draw_patient(
            study.patient_seed, has_fracture=study.is_drawn_fractured, family=families[study.family]
        )
        yield {"study": index, **witness_of(_bare_slab(patient, study.scan_seed, PIXELS_MM[0]))}


def witness_of(slab: PhantomSlab) -> dict[str, float]:
    """Mean and spread of the HU of a slab, to a tenth."""
    return {
        "mean_hu": round(float(slab.slab_xzy_hu.mean()), 1),
        "sd_hu": round(float(slab.slab_xzy_hu.std()), 1),
    }
