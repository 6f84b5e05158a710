"""The shipped model: whole, and honest about itself; that it tells fractures, an integration test shows."""

import hashlib
import json

import pytest

from flows.model_files import OPERATING_SCANS_FILE, PROTOCOL_FILE, PROTOCOL_SCANS_FILE, PROTOCOL_USES_FILE
from flows.model_show import model_text
from flows.phantom_evaluation import Result, choose_operating_point
from flows.protocol_evaluation import (
    heading_of,
    read_results,
    summarise,
)
from flows.result_rows import read_rows
from models.loading import load_model
from models.registry import (
    SHIPPED,
    ModelError,
    describe_model,
    describe_models,
    read_model_card,
    read_operating_point,
)

SHIPPED_ID = "ovf-phantom-2"
BEFORE_ITS_READER = "312647dfe0abc62bee8f8149bd92f31ca85f9727833c00b371fe22399b747304"
LEAST_AUC = 0.96  # on the frozen test set: below it the files of two models were mixed


def test_the_shipped_model_is_listed_and_whole() -> None:
    listing = next(model for model in describe_models() if model.model_id == SHIPPED_ID)
    assert load_model(SHIPPED_ID).digest == listing.digest
    assert listing.n_bytes < 50e6
    assert listing.is_simulated_only
    assert 0 < read_operating_point(SHIPPED_ID).threshold < 1


def test_the_card_says_what_it_must() -> None:
    card = read_model_card(SHIPPED_ID)
    assert "made fractures only. Not for clinical use." in card
    assert all(name in card for name in ("ACRIN-FLT-Breast", "CMB-CRC", "COVID-19-NY-SBU"))


def test_the_card_s_numbers_are_those_of_its_scans() -> None:
    """Every number of the frozen test follows from the scores kept beside it."""
    directory = SHIPPED / SHIPPED_ID
    kept = json.loads((directory / PROTOCOL_FILE).read_text())
    results = read_results(directory / PROTOCOL_SCANS_FILE)
    last = json.loads((directory / PROTOCOL_USES_FILE).read_text().splitlines()[-1])
    counted = summarise(results, read_operating_point(SHIPPED_ID).threshold)
    assert {**heading_of(last), **counted} == kept
    group = kept["all families"]
    assert group["n_positive"] >= 300
    assert group["n_negative"] >= 500
    assert f"{group['auc_by_rule']['lstm']['value']:.3f}" in read_model_card(SHIPPED_ID)
    assert group["auc_by_rule"]["lstm"]["value"] >= LEAST_AUC


def test_what_is_shown_of_it_begins_with_the_frozen_test_set() -> None:
    shown = model_text(SHIPPED_ID)
    kept = json.loads((SHIPPED / SHIPPED_ID / PROTOCOL_FILE).read_text())
    area = kept["all families"]["auc_by_rule"]["lstm"]["value"]
    assert f"| auc_by_rule, lstm | {area:.3f} |" in shown
    assert shown.index(f"Frozen test set `{kept['protocol']}`") < shown.index("Its own test part")


def test_the_test_set_was_used_with_what_is_shipped() -> None:
    """What was frozen before the test is what lies here: the weights, the threshold, the limit of the domain."""
    directory = SHIPPED / SHIPPED_ID
    last = json.loads((directory / PROTOCOL_USES_FILE).read_text().splitlines()[-1])
    assert last["model_digest"] == load_model(SHIPPED_ID).digest
    for name, digest in last["sha256"].items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == digest


def test_every_use_of_a_test_set_by_these_weights_is_told() -> None:
    """Also those of before the weights had a reader of vertebrae, when they went by another digest."""
    uses = [json.loads(line) for line in (SHIPPED / SHIPPED_ID / PROTOCOL_USES_FILE).read_text().splitlines()]
    digests = [use["model_digest"] for use in uses]
    assert BEFORE_ITS_READER in digests
    assert [use["at"] for use in uses] == sorted(use["at"] for use in uses)
    own = [use for use in uses if use["model_digest"] == digests[-1]]
    whole = [use for use in own if use["every"] == 1 and "counted" not in use]
    test_sets = [use["protocol_digest"] for use in whole]
    assert len(set(test_sets)) == len(test_sets)  # never the same test set twice
    # What was counted of its studies later stands beside what they were scored with.
    for use in (use for use in own if "counted" in use):
        assert (use["protocol_digest"], use["sha256"]) in [(u["protocol_digest"], u["sha256"]) for u in whole]


def test_the_threshold_is_that_of_the_scans_it_was_chosen_on() -> None:
    directory, point = SHIPPED / SHIPPED_ID, read_operating_point(SHIPPED_ID)
    chosen = read_rows(directory / OPERATING_SCANS_FILE, Result)
    target = float(point.rule.removesuffix(" on the scans below").rsplit(" ", 1)[1])
    again = choose_operating_point(chosen, point.chosen_on, target)
    assert (again.threshold, again.rule) == (point.threshold, point.rule)


def test_it_is_found_by_its_digest_too() -> None:
    listing = describe_model(SHIPPED_ID)
    for name in (listing.digest, listing.digest[:8].upper()):
        assert describe_model(name) == listing
    with pytest.raises(ModelError, match="no such model"):
        describe_model(listing.digest[:7])
