"""Takes the text of one radiology report, returns what it states about vertebral fractures. Reads the lexica only.

present / possible / absent / unmentioned / unread, with evidence, trigger, levels, age, treatment, cause and wording.
An empty text is `unread`: nothing was read, so nothing was left unmentioned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tasks.lexicon import Lexicon, load_lexicon
from tasks.lexicon.phrases import readings
from tasks.report_grammar import GRAMMAR_VERSION, Grammar, Mention, strongest
from tasks.report_levels import in_order
from tasks.report_sections import Headings, Sentence, sections_of, sentences_of
from tasks.report_text import FRACTURE_SIGN, fold_report
from tasks.report_words import FINDINGS

STATEMENTS = ("present", "possible", "absent", "unmentioned", "unread")
LONGEST_EVIDENCE = 400  # characters of evidence kept

# Nothing is stated about vertebral fractures without one of these in the folded text: most reports end here.
_ENGLISH_ROOTS = (
    *(
        FRACTURE_SIGN,
        "frac",
        "frat",
        "fx",
        "frx",
        "vcf",
        "ovf",
        "vfs",
        "compre",
        "comp ",
        "comp.",
        "compe",
        "cpfx",
        "cfx",
        "wedg",
    ),
    *(
        "collaps",
        "deform",
        "height",
        "flatten",
        "crush",
        "biconc",
        "burst",
        "cement",
        "plast",
        "pvp",
        "pkp",
        "pmma",
    ),
    *("methac", "genant", "endplate", "end plate", "broken", "chance", "depress", "stature", "buckl", "fish"),
    *(
        "impact",
        "pancake",
        "spinejack",
        "body stent",
        "ht loss",
        "ht. loss",
        " ht",
        "hts",
        "augment",
        "seat belt",
        "flexion",
        "plana",
        "mmell",
    ),
)
_ROOTS = (
    *_ENGLISH_ROOTS,
    *(
        "折",
        "断裂",
        "水泥",
        "楔",
        "扁",
        "压",
        "塌陷",
        "变形",
        "高度",
        "成形",
        "双凹",
        "强化",
        "变矮",
        "变低",
        "凹陷",
        "下陷",
    ),
    *("填充", "前缘", "鱼", "椎体变窄", "椎骨变窄", "锥体变窄", "体增强"),
)
_PIECES = re.compile(r"[\s*.#$-]+")
# A sentence that only names the spine says something when it calls it normal, or not.
_SPINE_ROOTS = ("vertebr", "spin", "椎", "脊柱")
_JUDGED = (
    *(
        "normal",
        "intact",
        "remarkable",
        "limits",
        "negative",
        "abnormal",
        "maintain",
        "preserv",
        "injur",
        "contour",
        "satisf",
        "retain",
        "mainten",
        "finding",
        " ht",
        "show",
        "demonstrat",
        "display",
        "exhibit",
    ),
    *(
        "正常",
        "异常",
        "完整",
        "存在",
        "可",
        "良好",
        "自然",
        "如常",
        "规则",
        "一致",
        "保持",
        "变窄",
        "病变",
        "未见",
        "无",
        "连续",
        "光整",
    ),
)


class Statement(NamedTuple):
    """One statement of a report. `start` and `end` are positions of its evidence in the text."""

    statement: str
    evidence: str
    start: int
    end: int
    trigger: str
    levels: tuple[str, ...]
    acuity: str
    treatment: str
    cause: str
    wording: str  # fracture | ambiguous
    addendum: int = 0  # 0: the report itself
    is_reversed: bool = False  # an addendum took it back


class ReportLabel(NamedTuple):
    """What a whole report states: the strongest of its statements; all of them are kept."""

    statement: str  # one of STATEMENTS
    evidence: str
    trigger: str
    levels: tuple[str, ...]
    acuity: str
    treatment: str
    cause: str
    wording: str  # fracture | ambiguous | none
    statements: tuple[Statement, ...] = ()


_UNREAD = ReportLabel("unread", "", "", (), "", "", "", "none")
_UNMENTIONED = ReportLabel("unmentioned", "", "", (), "", "", "", "none")


class Labeller:
    """Labels reports by one lexicon. Picklable by its lexicon; build one per process."""

    def __init__(self, lexicon: Lexicon | None = None) -> None:
        self.lexicon = lexicon or shipped_lexicon()
        self._grammar = Grammar(self.lexicon)
        self._headings = Headings(self.lexicon)
        own = _roots_of_site(self.lexicon)
        self._english_roots, self._roots = (*_ENGLISH_ROOTS, *own), (*_ROOTS, *own)

    @property
    def digest(self) -> str:
        """Digest of rules and grammar: part of the key of every statement."""
        return self.lexicon.digest

    def label(self, text: str | None) -> ReportLabel:
        """What a report states. Never raises, whatever the text holds; time is linear in its length."""
        if text is None or not text.strip("\ufeff\u200b\x00 \t\r\n\u3000"):
            return _UNREAD
        folded = fold_report(text)
        known = self._english_roots if folded.isascii() else self._roots
        roots = [root for root in known if root in folded]
        spine = [root for root in _SPINE_ROOTS if root in folded]
        if not roots and not (spine and any(word in folded for word in _JUDGED)):
            return _UNMENTIONED
        statements = _settle_addenda(list(self._statements(text, folded, roots, spine)))
        return _sum_up(statements)

    def label_all(self, texts: Iterable[str | None]) -> list[ReportLabel]:
        """Labels of many reports, in their order."""
        return [self.label(text) for text in texts]

    def _statements(
        self, text: str, folded: str, roots: Sequence[str], spine: Sequence[str]
    ) -> Iterable[Statement]:
        places = _places(folded, [*roots, *spine])
        sections = sections_of(folded, text, self._headings.find(folded, text))
        previous: tuple[Mention, ...] = ()
        previous_end = -1
        for sentence in sentences_of(folded, text, sections, places):
            words = folded[sentence.start : sentence.end]
            mentions = self._grammar.read(words) if _may_state(words, roots) else ()
            for mention in mentions:
                settled = _in_context(mention, previous if sentence.start == previous_end else ())
                if settled is not None:
                    yield _statement(settled, sentence, text)
            previous, previous_end = mentions, sentence.end


def _roots_of_site(lexicon: Lexicon) -> tuple[str, ...]:
    """A word to look for in each phrase of a site's own findings that none of our roots would find."""
    shipped = set(shipped_lexicon().rules)
    found: dict[str, None] = {}
    for rule in lexicon.of(*FINDINGS):
        if rule not in shipped:
            for reading in (reading for phrase in rule.phrases for reading in readings(phrase)):
                if not any(root in reading for root in _ROOTS):
                    found[max(_PIECES.split(reading), key=len)] = None
    return tuple(found)


def _may_state(sentence: str, roots: Sequence[str]) -> bool:
    return any(root in sentence for root in roots) or any(word in sentence for word in _JUDGED)


def _places(folded: str, roots: Sequence[str]) -> list[int]:
    """Where one of the roots stands, ascending."""
    found = []
    for root in roots:
        at = folded.find(root)
        while at >= 0:
            found.append(at)
            at = folded.find(root, at + len(root))
    found.sort()
    return found


def _in_context(mention: Mention, previous: tuple[Mention, ...]) -> Mention | None:
    """A fracture without a site counts when denied, or right behind a vertebra's deformity."""
    if mention.is_vertebral or mention.statement == "absent":
        return mention
    return mention if any(m.is_vertebral and m.statement != "absent" for m in previous) else None


def _statement(mention: Mention, sentence: Sentence, text: str) -> Statement:
    evidence, start = _evidence(text, sentence, mention)
    return Statement(
        statement=mention.statement,
        evidence=evidence,
        start=start,
        end=start + len(evidence),
        trigger=mention.trigger,
        levels=mention.levels,
        acuity=mention.acuity,
        treatment=mention.treatment,
        cause=mention.cause,
        wording=mention.wording,
        addendum=sentence.addendum,
    )


def _evidence(text: str, sentence: Sentence, mention: Mention) -> tuple[str, int]:
    """The sentence as it was written, cut around the finding when it is very long."""
    start, end = sentence.start, sentence.end
    if end - start > LONGEST_EVIDENCE:
        middle = sentence.start + (mention.start + mention.end) // 2
        start = max(sentence.start, middle - LONGEST_EVIDENCE // 2)
        end = min(sentence.end, start + LONGEST_EVIDENCE)
    raw = text[start:end]
    return raw.strip(), start + len(raw) - len(raw.lstrip())


def _settle_addenda(statements: list[Statement]) -> list[Statement]:
    """Mark what an addendum takes back: what it denies at the same levels, in the same region of the spine, or at
    all levels when it names neither.
    """
    settled = list(statements)
    for later in statements:
        if not later.addendum or later.statement == "present" or later.acuity == "new":
            continue
        for place, earlier in enumerate(settled):
            if earlier.addendum >= later.addendum or earlier.treatment:
                continue
            if _speaks_of(later, earlier) and _RANK[earlier.statement] > _RANK[later.statement]:
                settled[place] = earlier._replace(is_reversed=True)
    return settled


_REGIONS = {
    "C": ("cervical", "颈"),
    "T": ("thoracic", "thoraco", "dorsal", "胸椎", "胸腰"),
    "L": ("lumbar", "腰"),
}


def _speaks_of(later: Statement, earlier: Statement) -> bool:
    """Whether a statement of an addendum is about the vertebrae of an earlier one."""
    if later.levels:
        return set(earlier.levels) <= set(later.levels)
    evidence = later.evidence.casefold()
    named = {region for region, words in _REGIONS.items() if any(word in evidence for word in words)}
    if not named:
        return True
    return {level[0] for level in earlier.levels} <= named if earlier.levels else named != {"C"}


_RANK = {"absent": 0, "possible": 1, "present": 2}


def _sum_up(statements: list[Statement]) -> ReportLabel:
    counting = [s for s in statements if not s.is_reversed]
    if not counting:
        return _UNMENTIONED
    winner = strongest([s.statement for s in counting])
    winners = [s for s in counting if s.statement == winner]
    winners.sort(key=lambda s: (s.wording != "fracture", bool(s.treatment)))
    best = winners[0]
    return ReportLabel(
        statement=winner,
        evidence=best.evidence,
        trigger=best.trigger,
        levels=in_order({level for s in winners for level in s.levels}),
        acuity=next(
            (age for age in ("new", "old", "unchanged") if any(s.acuity == age for s in winners)), ""
        ),
        treatment=";".join(sorted({s.treatment for s in counting if s.treatment})),
        cause=next((s.cause for s in winners if s.cause), ""),
        wording=best.wording,
        statements=tuple(statements),
    )


@cache
def shipped_lexicon() -> Lexicon:
    """The lexica of this program."""
    return load_lexicon(grammar_version=GRAMMAR_VERSION)


def lexicon_with(*site_files: Path) -> Lexicon:
    """The shipped lexica with a site's own rules on top. Raises LexiconError."""
    return load_lexicon(*site_files, grammar_version=GRAMMAR_VERSION)


@cache
def shipped_labeller() -> Labeller:
    """A labeller with the shipped lexica, one per process."""
    return Labeller()
