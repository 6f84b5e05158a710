"""Chooses and writes the test set of a protocol: runs once, before any training; `protocol.py` reads what it wrote."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from phantom.anatomy import Anatomy
from phantom.families import Family
from phantom.picture.painting import Grid
from phantom.protocol import (
    FAMILIES_FOLDER,
    KINDS,
    SEEN,
    UNSEEN,
    Protocol,
    ProtocolError,
    ProtocolStudy,
    fingerprint_of,
    patient_of,
)
from phantom.scanner.acquisition import Acquisition, draw_acquisition
from phantom.slabs import PhantomSlab, coverage_limits_mm, render_slab
from phantom.torso.posing import posed
from phantom.truth import VertebraTruth, has_hardware, vertebra_truth, worst_osteoporotic_grade
from phantom.vertebrae.vertebra import OSTEOPOROTIC, PATHOLOGICAL, TRAUMATIC

SEEDS_PER_FAMILY = 1000
N_WITNESSES = 8  # studies of which the manifest keeps mean and spread of HU
# The truth must be the same in slabs of these pixel sizes, so that it does not hang on a rounded row.
PIXELS_MM = (0.8, 1.25)
HALF_WIDTH_MM = 30.0  # of the slab that a sweep stores
SLAB_STREAM = 0x51AB  # of `render_slab`
Bodies = tuple[VertebraTruth, ...]
_HIDDEN = ("is_seen_family",)  # follows from the family


def freeze(
    protocol: Protocol,
    root: Path,
    families: Mapping[str, Family],
    *,
    say: Callable[[str], None] = print,
) -> str:
    """Write studies.csv and manifest.json under `root`, families.json where it is not yet.

    Returns the SHA-256 of the manifest. Raises ProtocolError when something is frozen there already, and for other
    settings of families than the frozen.
    """
    folder, kept = root / protocol.folder, root / FAMILIES_FOLDER / "families.json"
    if (folder / "manifest.json").exists():
        raise ProtocolError("this protocol is frozen: make another one")
    settings = json.dumps([asdict(families[name]) for name in (*SEEN, *UNSEEN)], indent=1) + "\n"
    if kept.exists() and kept.read_text(encoding="utf-8") != settings:
        raise ProtocolError(f"families have other settings than {FAMILIES_FOLDER} froze")
    quota = {"positive": protocol.positive_per_family, "negative": protocol.negative_per_family}
    studies: list[ProtocolStudy] = []
    for number, name in enumerate((*SEEN, *UNSEEN)):
        first = protocol.seeds.start + number * SEEDS_PER_FAMILY
        studies += draw_studies(families[name], first, quota)
        say(f"{name}: {len(studies)} studies so far")
    files = {kept: settings, folder / "studies.csv": _csv(studies)}
    for path, content in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    text = json.dumps(_manifest(protocol, files, studies, families), indent=1) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def draw_studies(family: Family, first_seed: int, quota: Mapping[str, int]) -> list[ProtocolStudy]:
    """Studies of one family, in order of their seeds, until positives and negatives have their number.

    Raises ProtocolError when the seeds of a family do not suffice.
    """
    left = dict(quota)
    found: list[ProtocolStudy] = []
    for seed in range(first_seed, first_seed + SEEDS_PER_FAMILY):
        if not any(left.values()):
            return found
        is_fractured = left["negative"] == 0 or (seed % 2 == 0 and left["positive"] > 0)
        patient = patient_of(family, seed, is_fractured)
        study = _study(patient, is_drawn_fractured=is_fractured)
        if study is None or left.get(study.kind) == 0:
            continue
        found.append(study)
        if study.kind in left:
            left[study.kind] -= 1
    raise ProtocolError(f"{SEEDS_PER_FAMILY} patients of {family.name} do not fill its share")


def _study(patient: Anatomy, *, is_drawn_fractured: bool) -> ProtocolStudy | None:
    """One study, or None where what it shows is open to dispute."""
    scan, shown = truth_of_slab(patient, patient.seed, PIXELS_MM[0])
    _, again = truth_of_slab(patient, patient.seed, PIXELS_MM[1])
    kind, grade = kind_of(shown), worst_osteoporotic_grade(shown)
    is_stable = kind == kind_of(again) and grade == worst_osteoporotic_grade(again)
    if not is_stable or has_cut_fracture(shown):
        return None
    return ProtocolStudy(
        family=patient.family.name,
        is_seen_family=patient.family.name in SEEN,
        patient_seed=patient.seed,
        scan_seed=patient.seed,
        is_drawn_fractured=is_drawn_fractured,
        kind=kind,
        has_fracture=grade > 0,
        worst_grade=grade,
        coverage=patient.coverage,
        fingerprint=fingerprint_of(patient, scan),
    )


def truth_of_slab(patient: Anatomy, seed: int, pixel_mm: float) -> tuple[Acquisition, Bodies]:
    """Scan and truth of `render_slab(patient, pixel_mm=pixel_mm, seed=seed)` without a pixel painted."""
    scan = draw_acquisition(np.random.default_rng([patient.seed, seed, SLAB_STREAM]), patient.family.scanner)
    laid = posed(patient, scan)
    top, bottom = coverage_limits_mm(laid, patient.coverage, scan)
    sides = np.array([-HALF_WIDTH_MM, HALF_WIDTH_MM], np.float32)
    rows = np.arange(top, bottom, -pixel_mm, dtype=np.float32)
    grid = Grid(sides, rows, sides, HALF_WIDTH_MM, pixel_mm, pixel_mm)
    return scan, tuple(vertebra_truth(grid, body) for body in laid.thoracolumbar)


def kind_of(bodies: Bodies) -> str:
    """One of KINDS: what keeps a study out of AUC comes before its fractures."""
    shown = [body for body in bodies if body.is_visible]
    if any(has_hardware(body) for body in shown):
        return "treated"
    causes = {body.cause for body in shown}
    for cause in (PATHOLOGICAL, TRAUMATIC):
        if cause in causes:
            return cause
    return "positive" if OSTEOPOROTIC in causes else "negative"


def has_cut_fracture(bodies: Bodies) -> bool:
    """Whether a fractured body lies in the slab in part only, or beside its middle."""
    return any(body.cause and not body.is_visible and body.row_stop > body.row_start for body in bodies)


def _csv(studies: list[ProtocolStudy]) -> str:
    names = [each.name for each in fields(ProtocolStudy) if each.name not in _HIDDEN]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for study in studies:
        writer.writerow({k: int(v) if isinstance(v, bool) else v for k, v in asdict(study).items()})
    return out.getvalue()


def _manifest(
    protocol: Protocol, files: Iterable[Path], studies: list[ProtocolStudy], families: Mapping[str, Family]
) -> dict[str, Any]:
    by_kind = Counter((study.is_seen_family, study.kind) for study in studies)
    return {
        "protocol": protocol.number,
        "sha256": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "seen": list(SEEN),
        "unseen": list(UNSEEN),
        "test_seeds": [protocol.seeds.start, protocol.seeds.stop],
        "n_studies": len(studies),
        "n_seen": {kind: by_kind[True, kind] for kind in KINDS},
        "n_unseen": {kind: by_kind[False, kind] for kind in KINDS},
        "witnesses": list(_witnesses(studies, families)),
    }


def _witnesses(studies: list[ProtocolStudy], families: Mapping[str, Family]) -> Iterator[dict[str, Any]]:
    """Pixels of a few studies, evenly spread, as two numbers each: a test draws them again.

    Raises ProtocolError when a rendered slab shows another truth than `truth_of_slab` said.
    """
    for index in np.linspace(0, len(studies) - 1, N_WITNESSES).astype(int).tolist():
        study = studies[index]
        patient = patient_of(families[study.family], study.patient_seed, study.is_drawn_fractured)
        slab = render_slab(
            patient,
            pixel_mm=PIXELS_MM[0],
            slice_spacing_mm=HALF_WIDTH_MM,  # the middle plane and the outer two
            half_width_mm=HALF_WIDTH_MM,
            seed=study.scan_seed,
        )
        if (slab.acquisition, slab.vertebrae) != truth_of_slab(patient, study.scan_seed, PIXELS_MM[0]):
            raise ProtocolError("a slab shows another truth than was expected of it")
        yield {"study": index, **witness_of(slab)}


def witness_of(slab: PhantomSlab) -> dict[str, float]:
    """Mean and spread of the HU of a slab, to a tenth."""
    hu = slab.slab_xzy_hu
    return {"mean_hu": round(float(hu.mean()), 1), "sd_hu": round(float(hu.std()), 1)}
