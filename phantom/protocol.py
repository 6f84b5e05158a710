"""Which families training may see, and the test sets that no training ever touches, frozen by digest.

`protocol-1/families.json` holds the complete settings of every family, for all protocols; `protocol-N/studies.csv` a
test set, `manifest.json` the digests of both; PROTOCOLS below has the manifests'. Whoever changes a frozen file, or
the simulator so that a frozen study comes out as another one, gets a ProtocolError. A test set that has been looked
at, or is broken, is followed by another protocol, never mended.
`python -m phantom.protocol freeze` has written the folders; it refuses to write one again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from phantom.anatomy import Anatomy, draw_patient
from phantom.families import BASE, Family
from phantom.scanner.acquisition import Acquisition
from phantom.slabs import PhantomSlab, render_slab


@dataclass(frozen=True)
class Protocol:
    """One frozen test set."""

    number: int
    digest: str  # SHA-256 of manifest.json
    seeds: range
    # Studies of each family that count in AUC; those of the other kinds come along as patients happen to be drawn.
    positive_per_family: int
    negative_per_family: int

    @property
    def folder(self) -> str:
        return f"protocol-{self.number}"

    def __str__(self) -> str:
        return f"phantom/{self.folder}"


# Hospitals draw patients below 2**31, a training with --seed N below (N + 1) * 10 million, and those that stand in for
# others (`flows.phantom_scans`) below 5 * 10**12.
TEST_SEEDS = range(2**44, 2**48)
PROTOCOLS = {
    each.number: each
    for each in (
        Protocol(
            1, "18acfbf637d58c26e55790f006e5e6b9b1755e5ea122ee39150e0a85dae81bd3", range(2**44, 2**45), 30, 45
        ),
        Protocol(
            2, "c6517788264bf869dfe0f1618971e69aedc85f97bfb8baa224d826e86a33ddc8", range(2**45, 2**46), 40, 80
        ),
        Protocol(
            3, "9edcbb04280ea5fe961534694a4f0b8e614d0212ca3761a1d2e05625cb099659", range(2**46, 2**47), 30, 45
        ),
        Protocol(
            4, "2cf93b4e29571817e86bf628fca593163a3b1bbf466a23043db455fac3ad2f8e", range(2**47, 2**48), 40, 80
        ),
    )
}
LATEST = max(PROTOCOLS)
FAMILIES_FOLDER = "protocol-1"
SEEN = (
    "base",
    "smooth-texture",
    "thick-cortex",
    "iterative",
    "scoliotic",
    "slender",
    "diseased-chest",
    "restless",
    "thin-slices",
    "thick-slices",
    "coarse-matrix",
    "severe-fractures",
    "disturbed",
)
# One or more of each axis, and one that changes all of them at once.
UNSEEN = (
    "coarse-texture",
    "thin-cortex",
    "low-dose",
    "kyphotic",
    "flat-back",
    "worn",
    "obese",
    "askew",
    "sharp-kernel",
    "low-kv",
    "subtle-fractures",
    "other-hospital",
)
KINDS = ("positive", "negative", "traumatic", "pathological", "treated")


class ProtocolError(ValueError):
    """The protocol is broken or was about to be: a changed file, an unseen family, a test seed."""


@dataclass(frozen=True)
class ProtocolStudy:
    """One study of the test set: how to draw it, and what it shows.

    `kind` is one of KINDS; only positive and negative ones count in AUC. `has_fracture` and `worst_grade` are of the
    bodies that the slab of ±30 mm shows whole. `fingerprint` is of the anatomy and the scanner's settings.
    """

    family: str
    is_seen_family: bool
    patient_seed: int
    scan_seed: int
    is_drawn_fractured: bool
    kind: str
    has_fracture: bool
    worst_grade: int
    coverage: str
    fingerprint: str


def training_families() -> Mapping[str, Family]:
    """The families that training may draw from, with the frozen settings. Raises ProtocolError."""
    return MappingProxyType({name: each for name, each in _families().items() if name in SEEN})


def protocol_of(number: int) -> Protocol:
    """Raises ProtocolError for a number that no protocol has."""
    if number not in PROTOCOLS:
        raise ProtocolError(f"no protocol {number}; there are: {', '.join(map(str, PROTOCOLS))}")
    return PROTOCOLS[number]


def test_studies(number: int) -> tuple[ProtocolStudy, ...]:
    """A frozen test set. Raises ProtocolError when a file does not have its digest."""
    return _studies(number)


def draw_test_patient(study: ProtocolStudy) -> Anatomy:
    """The patient of a study of the test set."""
    return patient_of(_families()[study.family], study.patient_seed, study.is_drawn_fractured)


def patient_of(family: Family, seed: int, is_fractured: bool) -> Anatomy:
    """A patient as test sets draw them: trauma and collapse by metastasis occur in both classes."""
    return draw_patient(seed, has_fracture=is_fractured, family=family, other_causes=True)


def draw_test_scan(
    study: ProtocolStudy, *, pixel_mm: float = 0.8, slice_spacing_mm: float = 3.0, half_width_mm: float = 30.0
) -> PhantomSlab:
    """The slab of a study. Raises ProtocolError when it is no longer what was frozen.

    The truth of the study is the frozen one: a slab narrower than ±30 mm may show fewer bodies.
    """
    patient = draw_test_patient(study)
    slab = render_slab(
        patient,
        pixel_mm=pixel_mm,
        slice_spacing_mm=slice_spacing_mm,
        half_width_mm=half_width_mm,
        seed=study.scan_seed,
    )
    if fingerprint_of(patient, slab.acquisition) != study.fingerprint:
        raise ProtocolError("the simulator no longer draws what was frozen: freeze another protocol")
    return slab


def draw_training_patient(
    seed: int,
    *,
    has_fracture: bool | None = None,
    coverage: str | None = None,
    family: Family | str = BASE.name,
) -> Anatomy:
    """A patient for training, of a family by name or settings. Raises ProtocolError for what tests hold."""
    chosen = _named(family) if isinstance(family, str) else family
    check_training_draw(chosen, seed)
    return draw_patient(seed, has_fracture=has_fracture, coverage=coverage, family=chosen)


def check_training_draw(family: Family, seed: int) -> None:
    """Raises ProtocolError when training asks for a seed of the test set or a family that it must not see."""
    if seed in TEST_SEEDS:
        raise ProtocolError("this seed belongs to the test set: training draws below it")
    unseen = {name: each for name, each in _families().items() if name not in SEEN}
    if family.name in unseen or any(replace(family, name=name) == each for name, each in unseen.items()):
        raise ProtocolError(f"no training sees the family {family.name}: the test set needs it unseen")


def _named(name: str) -> Family:
    if name not in SEEN:
        raise ProtocolError(f"training may draw from: {', '.join(SEEN)}")
    return _families()[name]


def fingerprint_of(patient: Anatomy, scan: Acquisition) -> str:
    """Sixteen hex digits over heights, poses, densities, age, outline and scanner settings, rounded."""
    bodies = [
        (
            v.level,
            v.grade,
            v.cause,
            *(round(mm, 3) for mm in (*v.heights_mm, *v.intact_mm, *v.centre_xyz_mm)),
            round(v.trabecular_hu, 2),
        )
        for v in patient.vertebrae
    ]
    person = (patient.sex, round(patient.age_years, 3), patient.coverage, patient.has_contrast)
    size = (
        round(patient.body.lateral_extent_mm, 3),
        round(patient.cortex_hu, 2),
        round(patient.texture_hu, 3),
    )
    how = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(scan).items()}
    text = json.dumps([bodies, person, size, how], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def family_from(settings: Mapping[str, Any]) -> Family:
    """A family from its settings as JSON holds them. Raises ProtocolError for a setting that is no longer there."""
    parts: dict[str, Any] = {}
    for part, values in settings.items():
        if part == "name":
            continue
        known = getattr(BASE, part, None)
        unknown = set(values) - {each.name for each in fields(known)} if known is not None else {part}
        if unknown or known is None:
            raise ProtocolError(f"settings that this simulator does not have: {', '.join(sorted(unknown))}")
        parts[part] = type(known)(**{name: _frozen(value) for name, value in values.items()})
    return Family(name=settings["name"], **parts)


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value


@cache
def manifest(number: int) -> Mapping[str, Any]:
    """What was frozen: digests, counts, seeds. Raises ProtocolError when it is not the one of the digest."""
    chosen = protocol_of(number)
    text = _read(chosen.folder, "manifest.json")
    check_digest(f"{chosen.folder}/manifest.json", text, chosen.digest)
    return MappingProxyType(json.loads(text))


@cache
def _families() -> Mapping[str, Family]:
    found = json.loads(_checked(FAMILIES_FOLDER, "families.json", LATEST))
    return MappingProxyType({each["name"]: family_from(each) for each in found})


@cache
def _studies(number: int) -> tuple[ProtocolStudy, ...]:
    rows = csv.DictReader(io.StringIO(_checked(protocol_of(number).folder, "studies.csv", number).decode()))
    return tuple(
        ProtocolStudy(
            family=row["family"],
            is_seen_family=row["family"] in SEEN,
            patient_seed=int(row["patient_seed"]),
            scan_seed=int(row["scan_seed"]),
            is_drawn_fractured=row["is_drawn_fractured"] == "1",
            kind=row["kind"],
            has_fracture=row["has_fracture"] == "1",
            worst_grade=int(row["worst_grade"]),
            coverage=row["coverage"],
            fingerprint=row["fingerprint"],
        )
        for row in rows
    )


def _checked(folder: str, name: str, number: int) -> bytes:
    """A frozen file. Raises ProtocolError when its digest is not that of the protocol's manifest."""
    data = _read(folder, name)
    check_digest(f"{folder}/{name}", data, manifest(number)["sha256"][name])
    return data


def check_digest(name: str, data: bytes, wanted: str) -> None:
    """Raises ProtocolError when a file of a protocol is not as it was frozen."""
    if hashlib.sha256(data).hexdigest() != wanted:
        raise ProtocolError(f"{name} is not as it was frozen")


def _read(folder: str, name: str) -> bytes:
    return resources.files("phantom").joinpath(folder, name).read_bytes()


def main() -> None:
    """`python -m phantom.protocol freeze NUMBER`."""
    import argparse
    from pathlib import Path

    from phantom.families import FAMILIES
    from phantom.freezing import freeze

    parser = argparse.ArgumentParser(prog="python -m phantom.protocol", description=__doc__)
    parser.add_argument("verb", choices=["freeze"])
    parser.add_argument("number", type=int, choices=PROTOCOLS)
    chosen = PROTOCOLS[parser.parse_args().number]
    digest = freeze(chosen, Path("phantom"), FAMILIES)
    print(f'frozen; its digest in phantom/protocol.py: "{digest}"')


if __name__ == "__main__":
    main()
