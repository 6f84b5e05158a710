"""The lexica: every rule's own examples, and what a site may add or break."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import phantom.language
from tasks.lexicon import LexiconError, Role, load_lexicon
from tasks.lexicon.phrases import PhraseError, Scanner, check_phrase, readings
from tasks.report_text import FRACTURE_SIGN, fold
from tasks.statements import Labeller, lexicon_with, shipped_labeller, shipped_lexicon

EXAMPLES = [
    pytest.param(text, statement, id=f"{rule.id}-{number}")
    for rule in shipped_lexicon().rules
    for statement, texts in rule.examples.items()
    for number, text in enumerate(texts)
]

SITE_RULE = """
[[rule]]
id = "site-word"
role = "fracture"
is_vertebral = true
phrases = ["spondylofract{ure|ura}"]
examples.present = ["Spondylofractura of T12."]
"""


@pytest.mark.parametrize(("text", "statement"), EXAMPLES)
def test_T47_examples_of_the_rules(text: str, statement: str) -> None:
    assert shipped_labeller().label(text).statement == statement


def test_every_finding_rule_has_examples() -> None:
    for rule in shipped_lexicon().of(
        Role.FRACTURE, Role.DEFORMITY, Role.HEIGHT_KEPT, Role.TREATMENT, Role.NEGATION
    ):
        assert rule.examples or rule.id == "zh-not-used", rule.id


FINDING_PHRASES = [
    pytest.param(phrase, id=f"{rule.id}-{number}")
    for rule in shipped_lexicon().of(Role.FRACTURE, Role.DEFORMITY, Role.TREATMENT)
    if rule.is_vertebral
    for number, phrase in enumerate(rule.phrases)
]


@pytest.mark.parametrize("phrase", FINDING_PHRASES)
def test_every_phrase_of_a_finding_can_be_found(phrase: str) -> None:
    spelled = readings(phrase)
    for reading in spelled[:: max(1, len(spelled) // 12)]:
        text = reading.replace("*", "").replace("#", "L1").replace(" .. ", " ").replace("..", "")
        text = text.replace(FRACTURE_SIGN, "#")
        sentence = f"There is {text}." if text.isascii() else text
        assert shipped_labeller().label(sentence).statement in ("present", "absent"), text


def test_traditional_characters_of_other_texts_are_known() -> None:
    table = Path(phantom.language.__file__).with_name("report_texts") / "traditional.toml"
    for simplified, traditional in tomllib.loads(table.read_text(encoding="utf-8"))["characters"].items():
        assert fold(traditional) == fold(simplified), traditional


def test_both_languages_are_there() -> None:
    ids = {rule.id[:3] for rule in shipped_lexicon().rules}
    assert ids == {"en-", "zh-"}


def test_a_site_adds_its_own_words(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE_RULE, encoding="utf-8")
    lexicon = lexicon_with(path)
    assert lexicon.digest != shipped_lexicon().digest
    assert lexicon.names[-1] == "site.toml"
    text = "Spondylofractura of T12."
    assert shipped_labeller().label(text).statement == "unmentioned"
    assert Labeller(lexicon).label(text).statement == "present"


def test_words_of_a_site_need_not_look_like_ours(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        '[[rule]]\nid = "a"\nrole = "fracture"\nis_vertebral = true\n'
        'phrases = ["{bent|broken} .. backbones", "折腰"]\n',
        encoding="utf-8",
    )
    labeller = Labeller(lexicon_with(path))
    assert labeller.label("Bent old backbones.").statement == "present"
    assert labeller.label("No bent backbones.").statement == "absent"
    assert labeller.label("可见折腰。").statement == "present"


def test_a_site_takes_a_rule_out_and_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(
        '[[rule]]\nid = "en-burst-fracture"\nremove = true\n'
        '[[rule]]\nid = "en-cement"\nrole = "treatment"\nkind = "glue"\nphrases = ["bone glue"]\n',
        encoding="utf-8",
    )
    rules = {rule.id: rule for rule in lexicon_with(path).rules}
    assert "en-burst-fracture" not in rules
    assert rules["en-cement"].phrases == ("bone glue",)


def test_notes_and_examples_do_not_change_the_digest(tmp_path: Path) -> None:
    plain, noted = tmp_path / "a.toml", tmp_path / "b.toml"
    plain.write_text(SITE_RULE, encoding="utf-8")
    noted.write_text(
        SITE_RULE.replace("examples.present", 'note = "why"\nexamples.present'), encoding="utf-8"
    )
    assert lexicon_with(plain).digest == lexicon_with(noted).digest
    assert load_lexicon(grammar_version="1").digest != load_lexicon(grammar_version="2").digest


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[rule]", "not TOML"),
        ('[[rule]]\nrole = "fracture"\nphrases = ["x"]', "needs an id"),
        ('[[rule]]\nid = "a"\nrole = "fractur"\nphrases = ["x"]', "role must be one of"),
        ('[[rule]]\nid = "a"\nrole = "fracture"\nphrases = []', "phrases must be a list"),
        ('[[rule]]\nid = "a"\nrole = "fracture"\nphrases = ["{a|b"]', "brackets"),
        ('[[rule]]\nid = "a"\nrole = "fracture"\nphrases = ["(a)"]', "no word that must be there"),
        ('[[rule]]\nid = "a"\nrole = "fracture"\nphrases = ["x"]\nexample = ["x"]', "unknown key example"),
        (
            '[[rule]]\nid = "a"\nrole = "fracture"\nphrases = ["x"]\nexamples.sure = ["x"]',
            "examples are listed under",
        ),
        ('[rules]\nid = "a"', "only [lexicon] and [[rule]]"),
        ('[[rule]]\nid = "a"\nrole = "stop"\nphrases = ["x"]\n' * 2, "stands there twice"),
    ],
)
def test_a_broken_lexicon_says_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "site.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(LexiconError, match=r"site\.toml") as caught:
        lexicon_with(path)
    assert said in str(caught.value)


def test_a_lexicon_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LexiconError, match="UTF-8"):
        lexicon_with(path)
    with pytest.raises(LexiconError, match="cannot be read"):
        lexicon_with(tmp_path / "none.toml")


def test_phrases_are_found_longest_first() -> None:
    scanner = Scanner(
        [("no", 0), ("no change in", 1), ("frac*", 2), ("骨折", 3), ("未见{明显|}骨折", 4), ("#", 5)]
    )
    found = scanner.find("no change in fractures at t11, l1; nothing. 未见 明显骨折 骨 折")
    assert [number for number, _, _ in found] == [1, 2, 5, 4, 3]


def test_readings_spell_a_phrase_out() -> None:
    assert sorted(readings("{a|b}c(d)")) == ["ac", "acd", "bc", "bcd"]
    with pytest.raises(PhraseError):
        check_phrase("a)b(")
