"""The card of a model of simulated scans, and the same told anew once another part joins it."""

from __future__ import annotations

from flows.add_bodies import joined
from flows.model_card import DID, IS, LIMITS, SAW, rejudged_card
from flows.phantom_evaluation import Result, evaluate
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
    card, config = read_model_card(SHIPPED), read_config(find_model(SHIPPED))
    reader = next(iter(BODY_READERS.sha256_by_name))
    evaluation = evaluate([result(seed, seed % 2 == 0) for seed in range(23)], 0.5)
    point = OperatingPoint(0.5, "a rule of this test", "23 scans")
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
