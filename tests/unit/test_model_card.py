"""The card of a model of simulated scans, and the same told anew once another part joins it."""

from __future__ import annotations

from pathlib import Path

from flows.add_bodies import joined
from flows.model_card import DID, IS, LIMITS, SAW, rejudged_card
from flows.phantom_evaluation import Result, choose_operating_point, evaluate
from flows.phantom_judgement import Judgement, judge_again, keep_judgement
from models.registry import BODY_READERS, OperatingPoint, find_model, read_config, read_model_card

SHIPPED = "ovf-phantom-2"


def sections(card: str) -> dict[str, str]:
    return {text.split("\n", 1)[0]: text.strip() for text in card.split("\n## ")}


def result(seed: int, is_positive: bool) -> Result:
    said = 0.2 + 0.6 * is_positive + 0.001 * seed
    return Result(
        *(seed, "base", is_positive, 2 * is_positive, "chest", 2.0, 10.0, 120.0, 0.3 * is_positive, 80.0),
        *(said, said, said, said),
    )


def test_a_card_told_anew_keeps_what_a_model_saw_and_drops_what_another_did() -> None:
    config = read_config(find_model(SHIPPED)).with_bodies("", 0.0)
    reader = next(iter(BODY_READERS.sha256_by_name))
    evaluation = evaluate([result(seed, seed % 2 == 0) for seed in range(23)], 0.5)
    point = OperatingPoint(0.5, "a rule of this test", "23 scans")
    card = rejudged_card(read_model_card(SHIPPED), config, point, evaluation)
    told = rejudged_card(card, joined(config, reader, 1.0), point, evaluation)
    before, after = sections(card), sections(told)
    title = next(iter(before))
    assert list(after) == [
        title,
        IS,
        SAW,
        DID,
        LIMITS,
    ]  # not the results of the frozen test set: they are another's
    assert all(after[name] == before[name] for name in (title, SAW, LIMITS))
    assert f"`{reader}`" in after[IS]
    assert reader not in card
    assert after[DID].startswith(f"{DID}\n\n12 with and 11 without a fracture")
    assert "a rule of this test" in after[DID]
    assert rejudged_card(told, joined(config, reader, 1.0), point, evaluation) == told


def test_another_operating_point_needs_no_scoring(tmp_path: Path) -> None:
    """From the scores that were kept: as if that target had been asked for in the first place."""
    held_out = [result(seed, seed % 2 == 0) for seed in range(40)]
    test = [result(seed, seed % 3 == 0) for seed in range(23)]
    point = choose_operating_point(held_out, "40 simulated scans that no training touched", 0.9)
    keep_judgement(tmp_path, Judgement(point, None, evaluate(test, point.threshold), test, held_out))
    again = judge_again(tmp_path, 0.7)
    asked = choose_operating_point(held_out, point.chosen_on, 0.7)
    assert again.point == asked != point
    assert again.evaluation == evaluate(test, asked.threshold)
    assert (again.results, again.held_out) == (test, held_out)
    assert judge_again(tmp_path, 0.9).point == point
