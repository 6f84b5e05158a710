"""What single sentences and whole reports state about vertebral fractures."""

from __future__ import annotations

import csv
import pickle
import time
from pathlib import Path

import pytest

from tasks.report_levels import levels_of
from tasks.report_text import fold
from tasks.statements import Labeller, ReportLabel, shipped_labeller, shipped_lexicon

SENTENCES = Path(__file__).with_name("report_sentences.tsv")


def sentences() -> list[tuple[str, str]]:
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [(row["text"].replace("\\n", "\n"), row["statement"]) for row in rows]


def label(text: str | None) -> ReportLabel:
    return shipped_labeller().label(text)


@pytest.mark.parametrize(("text", "statement"), sentences())
def test_T47_sentences(text: str, statement: str) -> None:
    assert label(text).statement == statement


@pytest.mark.parametrize(("text", "statement"), [s for s in sentences() if s[0].isascii()])
def test_capitals_change_nothing(text: str, statement: str) -> None:
    assert label(text.upper()).statement == statement


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("Compression fractures T11-L1.", "T11 T12 L1"),
        ("Compression fractures of T12 and L3.", "T12 L3"),
        ("T12/L1 wedge deformities.", "T12 L1"),
        ("L1、3椎体压缩骨折。", "L1 L3"),
        ("胸12、腰1椎体压缩性骨折。", "T12 L1"),
        ("胸11-腰1椎体变扁。", "T11 T12 L1"),
        ("第十二胸椎椎体压缩骨折。", "T12"),
        ("胸十一、十二椎体楔形变。", "T11 T12"),
        ("Compression fracture of the eleventh thoracic vertebra.", "T11"),
        ("D12 compression fracture.", "T12"),
        ("T7 through T9 compression deformities.", "T7 T8 T9"),
        ("Compression fractures of L4-S1 levels.", "L4 L5 S1"),
        ("L1 compression fracture. Disc bulge at L4-L5.", "L1"),
        ("T12 wedge deformity and L2 compression fracture.", "T12 L2"),
        ("No fracture except for mild wedging of T12.", "T12"),
    ],
)
def test_levels_of_a_report(text: str, levels: str) -> None:
    assert " ".join(label(text).levels) == levels


@pytest.mark.parametrize("text", ["T13", "L9", "T2-weighted", "L3 1.5 cm x"])
def test_what_is_no_level(text: str) -> None:
    assert set(levels_of(fold(text))) <= {"L3"}


@pytest.mark.parametrize(
    ("text", "acuity"),
    [
        ("Acute compression fracture of L1.", "new"),
        ("Old compression fracture of L1.", "old"),
        ("Compression fracture of L1, unchanged.", "unchanged"),
        ("Chronic L1 compression fracture.", "old"),
        ("No new fracture, old L2 fracture unchanged.", "old"),
        ("L1椎体新鲜压缩骨折。", "new"),
        ("T12椎体陈旧性压缩骨折。", "old"),
        ("T12椎体压缩骨折，较前相仿。", "unchanged"),
        ("Compression fracture of L1.", ""),
    ],
)
def test_acuity(text: str, acuity: str) -> None:
    assert label(text).acuity == acuity


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("Vertebroplasty at L1.", "treatment", "vertebroplasty"),
        ("T12 compression fracture s/p kyphoplasty.", "treatment", "kyphoplasty"),
        ("L1椎体PVP术后。", "treatment", "vertebroplasty"),
        ("T12椎体内骨水泥影。", "treatment", "cement"),
        ("Burst fracture of L1.", "cause", "traumatic"),
        ("Pathologic fracture of T9.", "cause", "pathological"),
        ("L3椎体病理性骨折。", "cause", "pathological"),
        ("Compression fracture of T9.", "wording", "fracture"),
        ("Mild wedging of T9.", "wording", "ambiguous"),
        ("腰1椎体变扁。", "wording", "ambiguous"),
        ("腰1椎体变扁，考虑压缩性骨折。", "wording", "fracture"),
        ("Lungs are clear.", "wording", "none"),
        ("Vertebral fracture is not excluded.", "trigger", "is not excluded"),
        ("No compression fracture.", "trigger", "no"),
        ("未见椎体骨折。", "trigger", "未见"),
    ],
)
def test_attributes(text: str, field: str, value: str) -> None:
    assert getattr(label(text), field) == value


def test_evidence_is_cut_from_the_text_as_it_was_written() -> None:
    text = "FINDINGS: Lungs clear.\nＬ１錐體壓縮性骨折，ＶＣＦ。 Liver normal."
    found = label(text)
    assert found.statement == "present"
    statement = found.statements[0]
    assert text[statement.start : statement.end] == statement.evidence == "Ｌ１錐體壓縮性骨折，ＶＣＦ。"


def test_the_strongest_statement_wins_and_all_are_kept() -> None:
    found = label("No acute fracture. Possible compression fracture of T8. Old compression fracture of L1.")
    assert [s.statement for s in found.statements] == ["absent", "possible", "present"]
    assert (found.statement, found.levels) == ("present", ("L1",))


@pytest.mark.parametrize("text", [None, "", "   \n\t", "\ufeff", "\x00\x00", "　"])
def test_T46_nothing_read_is_not_unmentioned(text: str | None) -> None:
    assert label(text).statement == "unread"


INDICATION = "INDICATION: 78F, known L1 compression fracture, rule out new fracture.\n"


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        (INDICATION + "FINDINGS: Lungs are clear.\nIMPRESSION: Normal chest.", "unmentioned"),
        (INDICATION + "\nLungs are clear. T8 compression fracture.", "present"),
        ("History: fall, fracture? Findings: No fracture.", "absent"),
        (
            "CT CHEST\n\nCLINICAL HISTORY\nOld T12 fracture.\n\nFINDINGS\nClear lungs.\n\nIMPRESSION\nNormal.",
            "unmentioned",
        ),
        (
            "TECHNIQUE: CT to evaluate for vertebral fracture.\nCOMPARISON: 2019, L1 fracture.\nFINDINGS: Clear.",
            "unmentioned",
        ),
        ("【临床诊断】腰椎压缩骨折？【检查所见】两肺清晰。【诊断意见】未见异常。", "unmentioned"),
        ("病史：腰痛。\n腰1椎体压缩性骨折。\n诊断：如上。", "present"),
        ("临床：体检。双肺清晰。胸12椎体压缩性骨折。印象：肺气肿。", "present"),
        ("FINDINGS:\nBONES:\n- T12 compression fracture, chronic\n- no rib fracture\n", "present"),
        ("IMPRESSION:\n1. No PE\n2. L1 comp fx\n3. Gallstones", "present"),
        (
            "No evidence of acute or chronic vertebral body compression\nfracture is seen in the thoracic spine.",
            "absent",
        ),
        ("<p>FINDINGS:</p><p>No pneumonia.</p><p>T12 compression<br>fracture.</p>", "present"),
        ("1、腰1椎体压缩性骨折\n2、脂肪肝", "present"),
        ("1.脂肪肝2.腰1椎体压缩性骨折3.肾囊肿", "present"),
    ],
)
def test_whole_reports(text: str, statement: str) -> None:
    assert label(text).statement == statement


@pytest.mark.parametrize(
    ("addendum", "statement"),
    [
        ("ADDENDUM: On review there is no vertebral fracture.", "absent"),
        ("ADDENDUM: The L1 finding is a Schmorl's node, no compression fracture.", "absent"),
        ("ADDENDUM: No rib fracture.", "present"),
        ("ADDENDUM: No fracture at T8.", "present"),
        ("ADDENDUM: No new vertebral fracture.", "present"),
        ("ADDENDUM: Findings were phoned through.", "present"),
        ("更正报告：腰1椎体未见骨折。", "absent"),
    ],
)
def test_T46_an_addendum_can_reverse(addendum: str, statement: str) -> None:
    report = f"FINDINGS: L1 compression fracture.\nIMPRESSION: L1 compression fracture.\n{addendum}"
    found = label(report)
    assert found.statement == statement
    assert len(found.statements) >= 2
    on_top = f"{addendum}\nORIGINAL REPORT\nFINDINGS: L1 compression fracture."
    assert label(on_top).statement == statement


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://x","L1 compression fracture")',
        "<script>alert('fracture')</script> L1 compression fracture.",
        "'; DROP TABLE report; -- L1 compression fracture",
        "\ufeffL1 compression\x00 fracture. \u202egnirts",
        "L1 compression fracture 🦴🦴",
    ],
)
def test_T46_hostile_texts_are_read_as_text(text: str) -> None:
    assert label(text).statement == "present"


@pytest.mark.parametrize(
    "text",
    [
        "L1 " * 100_000,
        "no fracture, " * 30_000,
        "(" * 200_000 + "骨折",
        "a" * 300_000 + " fracture",
        "未见" * 100_000,
        "fracture?" * 30_000,
        "<" * 200_000 + "spine",
    ],
    ids=["levels", "denials", "brackets", "word", "negations", "questions", "tags"],
)
def test_T46_long_texts_take_bounded_time(text: str) -> None:
    started = time.process_time()
    label(text)
    assert time.process_time() - started < 20


def test_a_labeller_says_the_same_after_pickling() -> None:
    lexicon = pickle.loads(pickle.dumps(shipped_lexicon()))
    assert lexicon.digest == shipped_lexicon().digest
    assert Labeller(lexicon).label("No fracture.") == label("No fracture.")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("Pathologic compression fracture of T12.", "pathological"),
        ("No retropulsion. Traumatic fracture of L1.", "traumatic"),
        ("T12 compression fracture without evidence of malignancy.", ""),
        ("T12 compression fracture, osteoporotic rather than pathologic.", ""),
        ("腰1椎体压缩性骨折，未见转移征象。", ""),
        ("Non-traumatic compression fracture of T12.", ""),
    ],
)
def test_a_cause_that_is_denied_is_none(text: str, cause: str) -> None:
    assert (label(text).statement, label(text).cause) == ("present", cause)
