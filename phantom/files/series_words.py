"""What makers and departments call a series, how they number it and what they put into Image Type."""

from __future__ import annotations

from phantom.files.vendors import ModelLine

THIN, THICK, BONE, SCOUT = "thin", "thick", "bone", "scout"
SAGITTAL, CORONAL, MIP, IODINE, VNC = "sagittal", "coronal", "mip", "iodine", "vnc"
DOSE, CAPTURE = "dose", "capture"
KINDS = (SCOUT, THIN, THICK, BONE, SAGITTAL, CORONAL, MIP, IODINE, VNC, DOSE, CAPTURE)

_NUMBERS = {
    "siemens": (1, 2, 3, 4, 5, 6, 7, 8, 9, 501, 502),
    "ge": (1, 2, 3, 4, 602, 601, 603, 251, 252, 997, 999),
    "hundreds": (1, 201, 202, 203, 301, 302, 303, 401, 402, 9001, 9002),
    "few": (1, 3, 2, 4, 5, 6, 7, 8, 9, 10, 11),
}
# Studies by coverage: (description, protocol, body part, part in English, part in Chinese).
_STUDIES = {
    "chest": ("CT THORAX", "1.1 Thorax Routine", "CHEST", "Thorax", "胸部"),
    "abdomen-pelvis": ("CT ABDOMEN PELVIS", "5.2 ABD/PEL", "ABDOMEN", "Abdomen", "腹部盆腔"),
    "chest-abdomen-pelvis": ("CT CHEST ABDOMEN PELVIS", "CAP Staging", "CHEST", "CAP", "胸腹盆"),
    "spine": ("CT SPINE", "T-L SPINE", "SPINE", "Spine", "脊柱"),
}
# {part} {mm} {kernel} are filled in; scout, thin, thick, bone, sagittal, coronal, mip, iodine, vnc, dose, capture.
_DESCRIPTIONS = {
    "siemens": (
        "Topogram  0.6  T20f",
        "{part}  {mm}  {kernel}",
        "{part}  {mm}  {kernel}",
        "{part}  {mm}  {kernel}",
        "SAG 3.0",
        "COR 3.0",
        "MIP 20.0",
        "DE_Iodine",
        "DE_VNC",
        "Dose Report",
        "Patient Protocol",
    ),
    "ge": (
        "SCOUT",
        "{mm}MM {part} {kernel}",
        "{mm}MM {part}",
        "{part} BONE",
        "SAG RECON",
        "COR RECON",
        "AX MIP",
        "MD Iodine(Water)",
        "VUE",
        "Dose Report",
        "Dose Report SC",
    ),
    "philips": (
        "Surview",
        "{part} {mm}mm, iDose (3)",
        "{part} {mm}",
        "BONE {mm}, {part}",
        "SAG {part}",
        "COR {part}",
        "MIP {part}",
        "Iodine no Water",
        "VNC [HU*]",
        "Dose Info",
        "Screen Save",
    ),
    "canon": (
        "Scano",
        "{part} {mm} {kernel}",
        "{part} {mm}",
        "{part} Bone {mm}",
        "MPR SAG",
        "MPR COR",
        "MIP AX",
        "Iodine Map",
        "Virtual Non-Contrast",
        "DLP",
        "Exam Summary",
    ),
    "chinese": (
        "定位像",
        "{part}平扫 {mm}mm",
        "{part} {mm} 标准",
        "{part}骨窗 {mm}",
        "矢状位重建",
        "冠状位重建",
        "最大密度投影",
        "碘图",
        "虚拟平扫",
        "剂量报告",
        "剂量报告截图",
    ),
    "plain": (
        "Scout",
        "AXIAL {mm} {kernel}",
        "AXIAL {mm}",
        "Bone",
        "Sagittal",
        "Coronal",
        "MIP",
        "Iodine",
        "VNC",
        "Dose",
        "Screenshot",
    ),
}
_TYPES = {
    SCOUT: ("ORIGINAL", "PRIMARY", "LOCALIZER"),
    SAGITTAL: ("DERIVED", "SECONDARY", "REFORMATTED"),
    CORONAL: ("DERIVED", "SECONDARY", "REFORMATTED"),
    MIP: ("DERIVED", "SECONDARY", "AXIAL", "MIP"),
    IODINE: ("DERIVED", "PRIMARY", "AXIAL", "IODINE"),
    VNC: ("DERIVED", "PRIMARY", "AXIAL", "VNC"),
    CAPTURE: ("DERIVED", "SECONDARY", "SCREEN SAVE"),
}
_TYPES_BY_MAKER = {
    ("siemens", SAGITTAL): ("DERIVED", "SECONDARY", "MPR", "CT_SOM7 MPR"),
    ("siemens", CORONAL): ("DERIVED", "SECONDARY", "MPR", "CT_SOM7 MPR"),
    ("siemens", SCOUT): ("ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM7 TOP"),
    ("ge", IODINE): ("DERIVED", "PRIMARY", "AXIAL", "MATERIAL"),
    ("ge", SAGITTAL): ("DERIVED", "SECONDARY", "REFORMATTED", "AVERAGE"),
    ("philips", SAGITTAL): ("DERIVED", "SECONDARY", "MPR"),
    ("chinese", MIP): ("DERIVED", "SECONDARY", "AXIAL", "MIP"),
}


def series_number(line: ModelLine, kind: str) -> int:
    """Series Number of that kind of series on that line of scanners."""
    return _NUMBERS[line.numbering][KINDS.index(kind)]


def image_type(line: ModelLine, kind: str) -> list[str]:
    """Image Type as that maker writes it."""
    values = _TYPES_BY_MAKER.get((line.style, kind)) or _TYPES.get(kind)
    if values is not None:
        return list(values)
    return ["ORIGINAL", "PRIMARY", "AXIAL", *line.type_tail]


def describe_study(coverage: str, language: str) -> tuple[str, str, str]:
    """(Study Description, Protocol Name, Body Part Examined)."""
    english, protocol, part, _, chinese = _STUDIES[coverage]
    return (f"{chinese}CT平扫" if language == "zh" else english), protocol, part


def describe_series(
    line: ModelLine, kind: str, *, coverage: str, language: str, spacing_mm: float, kernel: str | list[str]
) -> str:
    """Series Description in the maker's style; some makers' series are named in the language of the ward."""
    style = line.style
    if style == "chinese" and language == "en":
        style = "canon"
    elif style in ("canon", "plain") and language == "zh":
        style = "chinese"
    part = _STUDIES[coverage][4 if style == "chinese" else 3]
    name = kernel if isinstance(kernel, str) else kernel[0]
    shown = f"{spacing_mm:.1f}" if style in ("siemens", "philips") else f"{spacing_mm:g}"
    return _DESCRIPTIONS[style][KINDS.index(kind)].format(part=part, mm=shown, kernel=name)
