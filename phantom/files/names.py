"""Who the patients are: names, identifiers and character sets as a hospital's systems write them; by seed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

# Characters and their pinyin; all of them in GB 2312 but the last given name of each list, which needs GBK.
_SURNAMES = (
    ("王", "Wang"),
    ("李", "Li"),
    ("张", "Zhang"),
    ("刘", "Liu"),
    ("陈", "Chen"),
    ("杨", "Yang"),
    ("赵", "Zhao"),
    ("黄", "Huang"),
    ("周", "Zhou"),
    ("吴", "Wu"),
    ("徐", "Xu"),
    ("孙", "Sun"),
    ("欧阳", "Ouyang"),
)
_GIVEN = {
    "F": (
        ("秀英", "XiuYing"),
        ("桂兰", "GuiLan"),
        ("芳", "Fang"),
        ("玉梅", "YuMei"),
        ("淑珍", "ShuZhen"),
        ("丽", "Li"),
        ("红霞", "HongXia"),
        ("婉菁", "WanJing"),
        ("喆", "Zhe"),
    ),
    "M": (
        ("建国", "JianGuo"),
        ("伟", "Wei"),
        ("志强", "ZhiQiang"),
        ("国华", "GuoHua"),
        ("明", "Ming"),
        ("德胜", "DeSheng"),
        ("永福", "YongFu"),
        ("小东", "XiaoDong"),
        ("镕", "Rong"),
    ),
}
_LATIN = {
    "F": (
        "SMITH^ANNA",
        "O'NEIL^MARY",
        "ROSSI^LUCIA",
        "García^José María",
        "Müller^Käthe",
        "Dubois^Ève",
        "Sørensen^Birgit",
        "NOVAK^JANA^^^",
        "Van der Berg^Truus",
    ),
    "M": (
        "SMITH^JOHN^A^^",
        "MUELLER^KARL",
        "Åberg^Göran",
        "Núñez^Iñigo",
        "DUBOIS^RENE",
        "NOVAK^JAN",
        "Weiß^Jürgen",
        "KOWALSKI, PIOTR",
        "ROSSI^LUCA^^DR",
    ),
}
# (declared SpecificCharacterSet, codec of the bytes behind it). The last Chinese one lies: GBK bytes under Latin-1.
_CHINESE_SETS: tuple[tuple[str | list[str], str], ...] = (
    ("GB18030", ""),
    ("ISO_IR 192", ""),
    ("GB18030", ""),
    ("GBK", ""),
    ("ISO_IR 100", "gbk"),
    (["", "ISO 2022 IR 58"], ""),
)
_LATIN_SETS: tuple[tuple[str | list[str], str], ...] = (
    ("ISO_IR 100", ""),
    ("ISO_IR 192", ""),
    ("ISO_IR 100", ""),
    ("ISO_IR 6", ""),
)
# What needs the escape sequence anew: it does not reach over the delimiters of a name.
_DELIMITED = re.compile("[^\\x00-\\x7f][^=^\\\\]*")
_PLAIN = str.maketrans("áäåèéíñóöøúüÅÈÉÑÖØÜßí", "aaaeeinooouuAEENOOUsi")


@dataclass(frozen=True)
class TextHabit:
    """The character set that headers declare, and the one that their bytes are in where they lie."""

    declared: str | list[str]
    lies_in: str = ""

    @property
    def label(self) -> str:
        """Name for the truth table."""
        declared = self.declared if isinstance(self.declared, str) else "\\".join(self.declared)
        return f"{declared} over {self.lies_in}" if self.lies_in else declared

    @property
    def is_gb2312_only(self) -> bool:
        """Whether the set cannot write every Chinese character."""
        return not isinstance(self.declared, str)

    def written(self, text: str) -> str:
        """The text as it must be given to an encoder of the declared set to leave the bytes that are meant.

        Latin-1 gives every byte a character, so bytes of another codec pass through it unchanged. The code
        extension of PS3.5 annex K is written here: pydicom reads its escape sequence but does not write it.
        """
        if text.isascii():
            return text
        if self.lies_in:
            return text.encode(self.lies_in).decode("latin-1")
        if not isinstance(self.declared, str):
            return _DELIMITED.sub(lambda part: f"\x1b$)A{part[0]}", text.encode("gb2312").decode("latin-1"))
        if self.declared == "ISO_IR 6":
            return text.translate(_PLAIN)
        return text


@dataclass(frozen=True)
class Person:
    """One patient of the hospital. `second_id` is that of a second registration, else empty."""

    person_id: str
    patient_id: str
    second_id: str
    is_chinese: bool
    name: str  # as it is spoken: characters, or Latin letters with accents
    pinyin: str  # empty for Latin names
    sex: str

    @property
    def language(self) -> str:
        """Language of the wards this patient lies on."""
        return "zh" if self.is_chinese else "en"


def draw_person(rng: np.random.Generator, index: int, seed: int, sex: str, before: Person | None) -> Person:
    """Patient number `index`: one in twelve bears the name of the one before, one in sixteen is registered twice."""
    is_chinese = bool(rng.random() < 0.5)
    name, pinyin = _draw_name(rng, is_chinese, sex)
    if index % 12 == 7 and before is not None:
        is_chinese, name, pinyin = before.is_chinese, before.name, before.pinyin
    prefix = "M" if is_chinese else "P"
    has_two = index % 16 == 10
    return Person(
        person_id=f"{seed % 1000:03d}{index:05d}",
        patient_id=f"{prefix}{seed % 1000:03d}{index:05d}",
        second_id=f"E{seed % 1000:03d}{index + 70_000:07d}" if has_two else "",
        is_chinese=is_chinese,
        name=name,
        pinyin=pinyin,
        sex=sex,
    )


def _draw_name(rng: np.random.Generator, is_chinese: bool, sex: str) -> tuple[str, str]:
    if not is_chinese:
        return str(rng.choice(_LATIN[sex])), ""
    family, family_pinyin = _SURNAMES[int(rng.integers(len(_SURNAMES)))]
    given, given_pinyin = _GIVEN[sex][int(rng.integers(len(_GIVEN[sex])))]
    return f"{family}^{given}", f"{family_pinyin}^{given_pinyin}"


def text_habit(person: Person, number: int) -> TextHabit:
    """Character set of study `number`, dealt out in turn."""
    sets = _CHINESE_SETS if person.is_chinese else _LATIN_SETS
    return TextHabit(*sets[number // 2 % len(sets)])


def patient_name(person: Person, habit: TextHabit, form: int) -> str:
    """PatientName in one of four forms (PS3.5 annex K has the second), ready for an encoder of the declared set."""
    if not person.is_chinese:
        return habit.written(person.name)
    form %= 4
    if habit.is_gb2312_only and not _is_gb2312(person.name):
        form = 2
    forms = (
        person.name,
        f"{person.pinyin}={person.name}",
        person.pinyin.replace("^", " ").upper(),
        person.name.replace("^", ""),
    )
    return habit.written(forms[form])


def _is_gb2312(text: str) -> bool:
    try:
        text.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True
