"""Reads the rules of the report language: TOML files that a radiologist can read and extend.

A file holds `[[rule]]` tables: `id`, `role` (what the words do in a sentence), `phrases` (the words), `note`, and
`examples` (report texts by the statement they make; run as tests). docs/reports.md describes the format.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Any

from tasks.lexicon.phrases import PhraseError, check_phrase
from tasks.report_text import fold

SHIPPED = ("english.toml", "chinese.toml")
STATEMENTS = ("present", "possible", "absent", "unmentioned")


class Role(StrEnum):
    """What the words of a rule do in a sentence."""

    FRACTURE = "fracture"  # says fracture
    DEFORMITY = "deformity"  # ambiguous: deformity, wedging, height loss
    HEIGHT_KEPT = "height_kept"  # says that vertebrae keep their height or shape: a denial
    TREATMENT = "treatment"  # cement in a vertebra
    VERTEBRA = "vertebra"
    OTHER_SITE = "other_site"  # another bone, or no bone at all
    PROCESS = "process"  # a part of a vertebra that is not its body
    NEGATION = "negation"
    NEGATION_AFTER = "negation_after"
    HEDGE = "hedge"
    HEDGE_AFTER = "hedge_after"
    RECOMMEND = "recommend"  # asks for more: makes an ambiguous word a possibility
    ASPECT = "aspect"  # a negation before it denies this, not the fracture
    REST = "rest"  # "other", "remaining": the sentence is about what is left over
    EXCEPT = "except"
    STOP = "stop"  # ends the reach of what came before
    VERB = "verb"
    JOIN = "join"
    PREPOSITION = "preposition"
    LINK = "link"  # "due to", "consistent with": ties an explanation to a finding
    HISTORY = "history"
    QUOTED = "quoted"  # repeats what was said before
    RETRACTED = "retracted"  # takes it back
    QUESTION = "question"  # asks, does not find
    IGNORE = "ignore"  # words that only look like a finding
    MIMIC = "mimic"  # explains a deformity away
    NEW = "new"
    OLD = "old"
    UNCHANGED = "unchanged"
    TRAUMATIC = "traumatic"
    PATHOLOGICAL = "pathological"
    HEADING_FINDINGS = "heading_findings"
    HEADING_QUESTION = "heading_question"  # indication, history, technique, comparison
    HEADING_ADDENDUM = "heading_addendum"
    HEADING_ORIGINAL = "heading_original"  # ends an addendum that stands on top


HEADINGS = frozenset(role for role in Role if role.value.startswith("heading_"))
_KEYS = {"id", "role", "phrases", "note", "examples", "is_vertebral", "is_adverb", "kind", "cause", "remove"}


class LexiconError(Exception):
    """A lexicon file cannot be used; the message names file, rule and fault."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a lexicon."""

    id: str
    role: Role
    phrases: tuple[str, ...]
    note: str = ""
    is_vertebral: bool = False  # the words alone say that it is a vertebra
    is_adverb: bool = False  # a hedge that, right before an age or cause, doubts only that
    kind: str = ""  # of a treatment
    cause: str = ""  # traumatic | pathological, said by the words of the finding itself
    examples: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False, hash=False)


@dataclass(frozen=True, slots=True)
class Lexicon:
    """All rules in force, and the digest that is part of every statement's key."""

    rules: tuple[Rule, ...]
    names: tuple[str, ...]
    digest: str  # over rules and grammar; notes and examples left out

    def of(self, *roles: Role) -> tuple[Rule, ...]:
        """The rules of some roles."""
        return tuple(rule for rule in self.rules if rule.role in roles)


def load_lexicon(*site_files: Path, grammar_version: str = "") -> Lexicon:
    """The shipped rules, then those of a site: a rule with the id of an earlier one takes its place.

    Raises LexiconError for a file that is unreadable or breaks the format.
    """
    folder = resources.files("tasks.lexicon")
    texts = [(name, folder.joinpath(name).read_text(encoding="utf-8")) for name in SHIPPED]
    texts += [(path.name, _read(path)) for path in site_files]
    rules: dict[str, Rule] = {}
    for name, text in texts:
        _merge(rules, name, text)
    return Lexicon(
        tuple(rules.values()), tuple(name for name, _ in texts), _digest(rules.values(), grammar_version)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LexiconError(f"lexicon {path.name} cannot be read as UTF-8 text: {error}") from error


def _merge(rules: dict[str, Rule], name: str, text: str) -> None:
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LexiconError(f"lexicon {name} is not TOML: {error}") from error
    unknown = set(content) - {"lexicon", "rule"}
    if unknown or not isinstance(content.get("rule", []), list):
        raise LexiconError(f"lexicon {name}: only [lexicon] and [[rule]] are known, found {sorted(unknown)}")
    seen: set[str] = set()
    for values in content.get("rule", []):
        rule = _rule(name, values)
        if rule.id in seen:
            raise LexiconError(f"lexicon {name}: rule {rule.id} stands there twice")
        seen.add(rule.id)
        if values.get("remove"):
            rules.pop(rule.id, None)
        else:
            rules[rule.id] = rule


def _rule(name: str, values: Mapping[str, Any]) -> Rule:
    where = f"lexicon {name}, rule {values.get('id', '(without id)')}"
    unknown = set(values) - _KEYS
    if unknown:
        raise LexiconError(f"{where}: unknown key {', '.join(sorted(unknown))}")
    if not isinstance(values.get("id"), str):
        raise LexiconError(f"{where}: a rule needs an id")
    if values.get("remove"):
        return Rule(values["id"], Role.IGNORE, ())
    if values.get("role") not in set(Role):
        raise LexiconError(f"{where}: role must be one of {', '.join(Role)}")
    phrases = values.get("phrases", [])
    if not isinstance(phrases, list) or not phrases or not all(isinstance(p, str) for p in phrases):
        raise LexiconError(f"{where}: phrases must be a list of texts")
    folded = tuple(fold(phrase) for phrase in phrases)
    for phrase in folded:
        try:
            check_phrase(phrase)
        except PhraseError as error:
            raise LexiconError(f"{where}: {error}") from error
    return Rule(
        id=values["id"],
        role=Role(values["role"]),
        phrases=folded,
        note=str(values.get("note", "")),
        is_vertebral=bool(values.get("is_vertebral", False)),
        is_adverb=bool(values.get("is_adverb", False)),
        kind=str(values.get("kind", "")),
        cause=str(values.get("cause", "")),
        examples=_examples(where, values.get("examples", {})),
    )


def _examples(where: str, given: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    unknown = set(given) - set(STATEMENTS)
    if unknown:
        raise LexiconError(
            f"{where}: examples are listed under {', '.join(STATEMENTS)}, not {sorted(unknown)}"
        )
    return {statement: tuple(texts) for statement, texts in given.items()}


def _digest(rules: Iterable[Rule], grammar_version: str) -> str:
    said = [
        [rule.id, rule.role, rule.phrases, rule.is_vertebral, rule.is_adverb, rule.kind, rule.cause]
        for rule in sorted(rules, key=lambda rule: rule.id)
    ]
    content = json.dumps([grammar_version, said], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()
