"""Radiology reports of simulated studies, in English and Chinese: what they say, deny, hedge or leave out.

Two or three of five moderate fractures and most mild ones go unmentioned in published series of opportunistic CT;
the shares below lie within what is published (40-92 % missing) and are settings, not findings.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MENTIONED_BY_GRADE = {0: 0.02, 1: 0.15, 2: 0.42, 3: 0.78}  # grade 0: false positives
HEDGED_SHARE = 0.12  # of the mentions
DENIED_SHARE = 0.3  # of the silent reports: these say that there is none
ABSENT_SHARE = 0.05  # studies without any report
COLUMNS = ("accession_number", "report_date", "text", "patient_id", "report_id", "status")

STATEMENTS = ("present", "possible", "absent", "unmentioned", "no_report")


@dataclass(frozen=True)
class Report:
    """One report and what it states about vertebral fractures (one of STATEMENTS)."""

    text: str
    statement: str
    language: str


_CHEST = {
    "en": (
        "Lungs are clear, no pleural effusion. Heart size is normal.",
        "Mild emphysema. A 4 mm nodule in the right upper lobe, unchanged.",
        "Small bilateral pleural effusions with basal atelectasis. Old healed rib fracture on the left.",
        "No pulmonary embolism. Calcified coronary arteries.",
    ),
    "zh": (
        "两肺纹理清晰，未见明显实变影。心影不大。",
        "右肺上叶见小结节，直径约4mm，建议随访。",
        "双侧少量胸腔积液。左侧陈旧性肋骨骨折。",
        "主动脉及冠状动脉钙化。",
    ),
}
_ABDOMEN = {
    "en": (
        "Liver, spleen, pancreas and kidneys are unremarkable. No free fluid.",
        "Simple cyst of the left kidney. Gallstones without cholecystitis.",
        "Sigmoid diverticulosis. No lymphadenopathy.",
    ),
    "zh": (
        "肝脾胰肾未见明显异常。腹腔未见积液。",
        "左肾囊肿。胆囊结石。",
        "乙状结肠憩室。腹膜后未见肿大淋巴结。",
    ),
}
_PRESENT: dict[str, tuple[str, ...]] = {
    "en": (
        "Compression fracture of {level}.",
        "{level} vertebral body compression deformity with loss of anterior height.",
        "Wedge-shaped {level} vertebra, consistent with an osteoporotic fracture.",
    ),
    "zh": (
        "{level}椎体压缩性骨折。",
        "{level}椎体楔形变，考虑骨质疏松性压缩骨折。",
        "{level}椎体变扁，陈旧性压缩骨折。",
    ),
}
_POSSIBLE: dict[str, tuple[str, ...]] = {
    "en": (
        "Slight height loss of {level}, an old compression fracture cannot be excluded.",
        "{level}: possible mild compression deformity.",
    ),
    "zh": ("{level}椎体略变扁，压缩骨折不除外。", "{level}椎体轻度楔形变，请结合临床。"),
}
_ABSENT: dict[str, tuple[str, ...]] = {
    "en": (
        "No compression fracture. Degenerative changes of the spine.",
        "Vertebral body heights are preserved.",
    ),
    "zh": ("未见椎体压缩骨折。脊柱退行性改变。", "各椎体高度未见异常。"),
}
_SILENT: dict[str, tuple[str, ...]] = {
    "en": ("Degenerative changes of the spine.", "Osteopenia.", "No destructive bone lesion.", ""),
    "zh": ("脊柱退行性改变。", "骨质疏松。", "所见骨质未见破坏。", ""),
}
_LEVEL_ZH = {"T": "胸", "L": "腰"}


def draw_report(
    rng: np.random.Generator, *, worst_grade: int, levels: tuple[str, ...], coverage: str, language: str
) -> Report | None:
    """A report of one study; None when the archive holds none. `levels` are those fractured and shown."""
    if rng.random() < ABSENT_SHARE:
        return None
    statement = _statement(rng, worst_grade)
    named = levels[0] if levels else str(rng.choice(["T7", "T8", "T12", "L1"]))
    banks = {"present": _PRESENT, "possible": _POSSIBLE, "absent": _ABSENT, "unmentioned": _SILENT}
    bank: dict[str, tuple[str, ...]] = banks[statement]
    spine = str(rng.choice(bank[language])).format(level=_level_name(named, language))
    findings = []
    if coverage != "abdomen-pelvis":
        findings.append(str(rng.choice(_CHEST[language])))
    if coverage != "chest":
        findings.append(str(rng.choice(_ABDOMEN[language])))
    return Report(_compose(rng, findings, spine, statement, language), statement, language)


def _statement(rng: np.random.Generator, worst_grade: int) -> str:
    if rng.random() < MENTIONED_BY_GRADE[worst_grade]:
        return "possible" if rng.random() < HEDGED_SHARE else "present"
    return "absent" if rng.random() < DENIED_SHARE else "unmentioned"


def _level_name(level: str, language: str) -> str:
    return f"{_LEVEL_ZH[level[0]]}{level[1:]}" if language == "zh" else level


def _compose(rng: np.random.Generator, findings: list[str], spine: str, statement: str, language: str) -> str:
    body = " ".join([*findings, spine]).strip()
    if rng.random() < 0.4:
        return body
    mentioned = statement in ("present", "possible")
    last = spine if mentioned else findings[-1]
    if language == "zh":
        return f"检查所见：{body}\n诊断意见：{last}"
    indication = str(
        rng.choice(["Cough.", "Back pain, fracture?", "Staging.", "Abdominal pain.", "Follow-up."])
    )
    return f"INDICATION: {indication}\nFINDINGS: {body}\nIMPRESSION: {last}"


def write_reports(path: Path, rows: list[dict[str, str]]) -> None:
    """The reports as CSV (UTF-8), columns as COLUMNS."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
