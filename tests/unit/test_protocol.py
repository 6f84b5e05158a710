"""The frozen test sets: what is frozen is refused when it changes, and training keeps out of it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from flows.phantom_scans import draw_scan, requests
from models.config import TILES_VIEW
from phantom import freezing, protocol
from phantom.families import AXES, FAMILIES
from phantom.protocol import ProtocolError

PHANTOM = Path(protocol.__file__).parent
SMALL_QUOTA = {"positive": 1, "negative": 1}


@pytest.fixture(scope="module", params=protocol.PROTOCOLS)
def number(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def studies(number: int) -> tuple[protocol.ProtocolStudy, ...]:
    return protocol.test_studies(number)


def test_the_test_set_is_as_large_as_promised(
    number: int, studies: tuple[protocol.ProtocolStudy, ...]
) -> None:
    kinds = Counter(study.kind for study in studies)
    assert len(studies) >= 1000
    assert kinds["positive"] >= 300
    assert kinds["negative"] >= 500
    assert min(kinds[kind] for kind in ("traumatic", "pathological", "treated")) >= 20
    assert set(kinds) == set(protocol.KINDS)
    assert protocol.manifest(number)["n_studies"] == len(studies)


def test_seen_and_unseen_families_are_both_in_it(studies: tuple[protocol.ProtocolStudy, ...]) -> None:
    assert len(protocol.UNSEEN) >= 5
    assert not set(protocol.SEEN) & set(protocol.UNSEEN)
    assert {*protocol.SEEN, *protocol.UNSEEN} == set(FAMILIES)
    for kind in ("positive", "negative"):
        per_family = Counter(study.family for study in studies if study.kind == kind)
        assert min(per_family[name] for name in FAMILIES) >= 25
    assert all(study.is_seen_family == (study.family in protocol.SEEN) for study in studies)
    axes = [axis for axis, names in AXES.items() if set(names) & set(protocol.UNSEEN)]
    assert len(axes) >= 6


def test_labels_are_of_the_kind(studies: tuple[protocol.ProtocolStudy, ...]) -> None:
    for study in studies:
        assert study.has_fracture == (study.worst_grade > 0)
        if study.kind == "positive":
            assert study.has_fracture
        if study.kind == "negative":
            assert not study.has_fracture


def test_seeds_are_used_once_and_lie_beyond_those_of_training() -> None:
    seeds = [study.patient_seed for number in protocol.PROTOCOLS for study in protocol.test_studies(number)]
    assert len(set(seeds)) == len(seeds)
    assert all(seed in protocol.TEST_SEEDS for seed in seeds)
    assert protocol.TEST_SEEDS.start > 2**31  # hospitals draw their patients below


def test_each_protocol_has_seeds_of_its_own(number: int, studies: tuple[protocol.ProtocolStudy, ...]) -> None:
    own = protocol.PROTOCOLS[number].seeds
    assert all(study.patient_seed in own for study in studies)
    assert protocol.manifest(number)["test_seeds"] == [own.start, own.stop]


@pytest.mark.parametrize("index", [0, 333, 666, -1])
def test_a_study_is_drawn_as_it_was_frozen(studies: tuple[protocol.ProtocolStudy, ...], index: int) -> None:
    study = studies[index]
    slab = protocol.draw_test_scan(study, slice_spacing_mm=30.0)
    assert slab.worst_grade == study.worst_grade
    assert slab.coverage == study.coverage
    assert freezing.kind_of(slab.vertebrae) == study.kind


def test_a_simulator_that_draws_something_else_is_refused(
    studies: tuple[protocol.ProtocolStudy, ...],
) -> None:
    other = replace(studies[0], patient_seed=studies[0].patient_seed + 1)
    with pytest.raises(ProtocolError, match="no longer draws"):
        protocol.draw_test_scan(other, half_width_mm=3.0, pixel_mm=2.0)


def test_pixels_are_those_of_the_day_it_was_frozen(
    number: int, studies: tuple[protocol.ProtocolStudy, ...]
) -> None:
    """Half a HU: what processors may round otherwise is far less."""
    for witness in protocol.manifest(number)["witnesses"][:4]:
        slab = protocol.draw_test_scan(studies[witness["study"]], slice_spacing_mm=30.0)
        found = freezing.witness_of(slab)
        assert found["mean_hu"] == pytest.approx(witness["mean_hu"], abs=0.5)
        assert found["sd_hu"] == pytest.approx(witness["sd_hu"], abs=0.5)


def test_a_changed_file_is_refused(number: int) -> None:
    wanted = protocol.manifest(number)["sha256"]["studies.csv"]
    with pytest.raises(ProtocolError, match=r"studies\.csv is not as it was frozen"):
        protocol.check_digest("studies.csv", b"family,patient_seed\n", wanted)


def test_training_families_are_today_s_of_the_same_name() -> None:
    frozen = protocol.training_families()
    assert tuple(frozen) == protocol.SEEN
    assert all(frozen[name] == FAMILIES[name] for name in frozen)


def test_a_protocol_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ProtocolError, match="there are: 1, 2"):
        protocol.test_studies(9)


def test_training_is_refused_an_unseen_family_and_a_test_seed() -> None:
    with pytest.raises(ProtocolError, match="training may draw from"):
        protocol.draw_training_patient(1, family="kyphotic")
    renamed = replace(FAMILIES["kyphotic"], name="mine")
    with pytest.raises(ProtocolError, match="no training sees"):
        protocol.draw_training_patient(1, family=renamed)
    with pytest.raises(ProtocolError, match="test set"):
        protocol.draw_training_patient(protocol.TEST_SEEDS.start + 7)
    own = replace(FAMILIES["base"], name="mine")
    assert protocol.draw_training_patient(1, family=own).family.name == "mine"


def test_the_trainer_s_scans_pass_the_same_gate() -> None:
    (asked,) = requests(protocol.TEST_SEEDS.start, 1, TILES_VIEW)
    with pytest.raises(ProtocolError, match="test set"):
        draw_scan(asked)


def test_settings_survive_json() -> None:
    for family in FAMILIES.values():
        assert protocol.family_from(json.loads(json.dumps(asdict(family)))) == family
    lost = asdict(FAMILIES["base"]) | {"bone": {"marrow": 1.0}}
    with pytest.raises(ProtocolError, match="marrow"):
        protocol.family_from(lost)


def test_a_frozen_protocol_is_not_frozen_again(number: int) -> None:
    with pytest.raises(ProtocolError, match="make another"):
        freezing.freeze(protocol.PROTOCOLS[number], PHANTOM, FAMILIES)


def test_a_later_protocol_keeps_the_settings_of_the_families(tmp_path: Path) -> None:
    changed = {**FAMILIES, "base": replace(FAMILIES["base"], bone=FAMILIES["thin-cortex"].bone)}
    kept = tmp_path / protocol.FAMILIES_FOLDER / "families.json"
    kept.parent.mkdir()
    kept.write_bytes((PHANTOM / protocol.FAMILIES_FOLDER / "families.json").read_bytes())
    with pytest.raises(ProtocolError, match="other settings"):
        freezing.freeze(protocol.Protocol(99, "", protocol.TEST_SEEDS, 1, 1), tmp_path, changed)


def test_what_is_frozen_can_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one, written and read; its manifest counts what it holds."""
    monkeypatch.setattr(freezing, "SEEN", protocol.SEEN[:1])
    monkeypatch.setattr(freezing, "UNSEEN", protocol.UNSEEN[:1])
    small = protocol.Protocol(99, "", range(2**46 + 2**45, 2**47), 2, 2)
    digest = freezing.freeze(small, tmp_path, FAMILIES, say=lambda _: None)
    monkeypatch.setattr(protocol, "PROTOCOLS", {99: replace(small, digest=digest)})
    monkeypatch.setattr(protocol, "_read", lambda folder, name: (tmp_path / folder / name).read_bytes())
    studies = protocol.test_studies(99)
    assert len(studies) == protocol.manifest(99)["n_studies"]
    assert {study.family for study in studies} == {protocol.SEEN[0], protocol.UNSEEN[0]}
    assert Counter(study.kind for study in studies)["positive"] == 4
    (tmp_path / "protocol-99" / "studies.csv").write_text("changed")
    protocol._studies.cache_clear()
    with pytest.raises(ProtocolError, match=r"studies\.csv is not as it was frozen"):
        protocol.test_studies(99)
    protocol._studies.cache_clear()
    protocol.manifest.cache_clear()


def test_studies_are_drawn_until_each_kind_has_its_number() -> None:
    first = protocol.TEST_SEEDS.start + 5_000_000
    found = freezing.draw_studies(FAMILIES["base"], first, SMALL_QUOTA)
    kinds = Counter(study.kind for study in found)
    assert {kind: kinds[kind] for kind in SMALL_QUOTA} == SMALL_QUOTA
    assert found == freezing.draw_studies(FAMILIES["base"], first, SMALL_QUOTA)
