"""`ovf judge protocol`: a frozen model on a few studies of a frozen test set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from flows import protocol_evaluation
from flows.errors import SettingsError
from flows.model_files import PROTOCOL_FILE, PROTOCOL_PART_FILE, PROTOCOL_SCANS_FILE, PROTOCOL_USES_FILE
from flows.protocol_evaluation import (
    CARD_HEADING,
    judge_on_protocol,
    read_results,
)
from flows.protocol_use import ProtocolUse
from models.loading import load_model
from models.registry import CARD_FILE, SHIPPED
from phantom import protocol

# bf16 on one processor and fp32 on another move a probability by a few hundredths at most.
PROCESSORS_DIFFER = 0.1


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED / "ovf-phantom-2", tmp_path / "model"))


def _uses(model: Path) -> list[str]:
    return (model / PROTOCOL_USES_FILE).read_text().splitlines()


def test_a_use_of_the_test_set_is_logged_and_its_scores_come_out_again(model: Path) -> None:
    kept = {result.patient_seed: result for result in read_results(model / PROTOCOL_SCANS_FILE)}
    uses = _uses(model)
    number = json.loads(uses[-1]).get("protocol", 1)  # of the scores that are kept
    judge_on_protocol(model, workers=1, say=lambda _: None, number=number, every=1640, first=3)
    use = json.loads(_uses(model)[-1])
    assert _uses(model)[:-1] == uses
    assert (use["protocol"], use["every"], use["first"]) == (number, 1640, 3)
    assert use["protocol_digest"] == protocol.PROTOCOLS[number].digest
    assert use["model_digest"] == load_model(model).digest
    results = read_results(model / PROTOCOL_SCANS_FILE)
    judged = [study.patient_seed for study in protocol.test_studies(number)[3::1640]]
    assert [result.patient_seed for result in results] == judged
    assert len(judged) == use["studies"] >= 2
    for result in results:
        assert result.lstm == pytest.approx(kept[result.patient_seed].lstm, abs=PROCESSORS_DIFFER)
        assert result.largest_loss == kept[result.patient_seed].largest_loss
    report = json.loads((model / PROTOCOL_FILE).read_text())
    assert report["protocol"] == f"phantom/protocol-{number}"
    assert report["studies"] == f"{len(judged)} studies: every 1640. from number 3 on"
    card = (model / CARD_FILE).read_text()
    assert card.count(CARD_HEADING) == 1
    assert f"{CARD_HEADING}`phantom/protocol-{number}`" in card


def test_what_a_stopped_test_has_kept_comes_back_without_its_torn_line(tmp_path: Path) -> None:
    which = {"protocol": 1, "studies": 5, "every": 500, "first": 0}
    rows = [{"patient_seed": seed} for seed in (3, 5, 7)]
    ProtocolUse(tmp_path, "digest", which).keep(rows)
    part = tmp_path / PROTOCOL_PART_FILE
    part.write_text(part.read_text()[:-5])
    assert ProtocolUse(tmp_path, "digest", which).rows == rows[:2]
    again = ProtocolUse(tmp_path, "digest", which)
    again.keep(rows[2:])
    assert ProtocolUse(tmp_path, "digest", which).rows == rows
    assert len(_uses(tmp_path)) == 1
    for digest, asked in (("another", which), ("digest", which | {"first": 1})):
        assert ProtocolUse(tmp_path, digest, asked).rows == []
    assert len(_uses(tmp_path)) == 3
    again.end()
    assert not part.exists()


@pytest.mark.long
def test_a_test_that_was_stopped_goes_on_and_is_one_use(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol_evaluation, "SCANS_PER_CALL", 2)

    class Stopped(Exception):
        pass

    def stop(_: str) -> None:
        raise Stopped

    asked = {"number": 1, "every": 500}  # 5 studies, of which the first two are scored and then told
    uses = len(_uses(model))
    with pytest.raises(Stopped):
        judge_on_protocol(model, workers=1, say=stop, **asked)
    part = model / PROTOCOL_PART_FILE
    part.write_text("".join(part.read_text().splitlines(keepends=True)[:-1]) + '{"patient_seed": 17')  # torn
    kept = [json.loads(line)["patient_seed"] for line in part.read_text().splitlines()[1:-1]]
    said: list[str] = []
    judge_on_protocol(model, workers=2, say=said.append, **asked)
    assert said[0] == "1 of 5 studies were scored before this test was stopped"
    assert len(_uses(model)) == uses + 1
    seeds = [result.patient_seed for result in read_results(model / PROTOCOL_SCANS_FILE)]
    assert seeds[:1] == kept
    assert seeds == [study.patient_seed for study in protocol.test_studies(1)[::500]]
    assert not part.exists()
    judge_on_protocol(model, workers=1, say=said.append, number=1, every=2000)
    assert len(_uses(model)) == uses + 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"number": 9}, "no protocol 9; there are: 1, 2"),
        ({"number": 2, "first": 10**6}, "protocol-2 has 3271"),
    ],
)
def test_what_is_refused_is_no_use(model: Path, asked: dict[str, int], said: str) -> None:
    uses = _uses(model)
    with pytest.raises(SettingsError, match=said):
        judge_on_protocol(model, workers=1, say=lambda _: None, **asked)
    assert _uses(model) == uses
