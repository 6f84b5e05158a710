"""Protocol 1: what is frozen is refused when it changes, and training keeps out of it."""

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

SMALL_QUOTA = {"positive": 1, "negative": 1}


@pytest.fixture(scope="module")
def studies() -> tuple[protocol.ProtocolStudy, ...]:
    return protocol.test_studies()


def test_the_test_set_is_as_large_as_promised(studies: tuple[protocol.ProtocolStudy, ...]) -> None:
    kinds = Counter(study.kind for study in studies)
    assert len(studies) >= 1000
    assert kinds["positive"] >= 300
    assert kinds["negative"] >= 500
    assert min(kinds[kind] for kind in ("traumatic", "pathological", "treated")) >= 20
    assert set(kinds) == set(protocol.KINDS)
    assert protocol.manifest()["n_studies"] == len(studies)


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


def test_seeds_are_used_once_and_lie_beyond_those_of_training(
    studies: tuple[protocol.ProtocolStudy, ...],
) -> None:
    seeds = [study.patient_seed for study in studies]
    assert len(set(seeds)) == len(seeds)
    assert all(seed in protocol.TEST_SEEDS for seed in seeds)
    assert protocol.TEST_SEEDS.start > 2**31  # hospitals draw their patients below


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


def test_pixels_are_those_of_the_day_it_was_frozen(studies: tuple[protocol.ProtocolStudy, ...]) -> None:
    """Half a HU: what processors may round otherwise is far less."""
    for witness in protocol.manifest()["witnesses"][:4]:
        slab = protocol.draw_test_scan(studies[witness["study"]], slice_spacing_mm=30.0)
        found = freezing.witness_of(slab)
        assert found["mean_hu"] == pytest.approx(witness["mean_hu"], abs=0.5)
        assert found["sd_hu"] == pytest.approx(witness["sd_hu"], abs=0.5)


def test_a_changed_file_is_refused() -> None:
    wanted = protocol.manifest()["sha256"]["studies.csv"]
    with pytest.raises(ProtocolError, match=r"studies\.csv is not as it was frozen"):
        protocol.check_digest("studies.csv", b"family,patient_seed\n", wanted)


def test_training_families_are_today_s_of_the_same_name() -> None:
    frozen = protocol.training_families()
    assert tuple(frozen) == protocol.SEEN
    assert all(frozen[name] == FAMILIES[name] for name in frozen)


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


def test_a_frozen_protocol_is_not_frozen_again(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ProtocolError, match="make another"):
        freezing.freeze(tmp_path, FAMILIES)


def test_studies_are_drawn_until_each_kind_has_its_number() -> None:
    first = protocol.TEST_SEEDS.start + 5_000_000
    found = freezing.draw_studies(FAMILIES["base"], first, SMALL_QUOTA)
    kinds = Counter(study.kind for study in found)
    assert {kind: kinds[kind] for kind in SMALL_QUOTA} == SMALL_QUOTA
    assert found == freezing.draw_studies(FAMILIES["base"], first, SMALL_QUOTA)
