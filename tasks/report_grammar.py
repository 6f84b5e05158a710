"""Reads one sentence: which vertebral fractures it states, doubts or denies. Pure; knows no sections.

A sentence becomes a row of tokens (words with a role, from the lexicon). Each finding among them is then asked: is it a
vertebra's? is it denied, doubted, asked for, or only remembered? which levels, what age, what cause?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from tasks.lexicon import HEADINGS, Lexicon, Role
from tasks.lexicon.phrases import Scanner
from tasks.report_attributes import age_of, cause_of, named_levels
from tasks.report_levels import levels_of
from tasks.report_scopes import exempted, is_explained_away, is_only_asked, negation_before, stated
from tasks.report_sites import is_of_disc_or_nerve, is_vertebral
from tasks.report_words import FINDINGS, LEVEL, SACRAL_LEVEL, Token, Words

# Bump when the reading of sentences changes its meaning: it is part of the lexicon's digest.
GRAMMAR_VERSION = "4"
# Sentences repeat a thousandfold in an archive ("No acute fracture."); tokens of so many are kept.
_SENTENCES_KEPT = 20_000


class Mention(NamedTuple):
    """One finding of a sentence, as the sentence puts it. Positions count from the sentence's start."""

    statement: str  # present | possible | absent
    start: int
    end: int
    trigger: str  # the words that denied or doubted it; empty when present
    levels: tuple[str, ...]
    acuity: str  # new | old | unchanged | ""
    treatment: str
    cause: str  # traumatic | pathological | ""
    wording: str  # fracture | ambiguous
    is_vertebral: bool | None  # None: no site is named
    is_asked_further: bool = False  # the sentence asks for more: "correlate clinically"


class Grammar:
    """A lexicon made ready to read sentences."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._rules = (LEVEL, *(rule for rule in lexicon.rules if rule.role not in HEADINGS))
        phrases = [(phrase, number) for number, rule in enumerate(self._rules) for phrase in rule.phrases]
        self._scanner = Scanner(phrases)
        self.read = lru_cache(maxsize=_SENTENCES_KEPT)(self._read)

    def tokens(self, sentence: str) -> list[Token]:
        """The words with a role, from left to right."""
        found = []
        for number, start, end in self._scanner.find(sentence):
            rule = self._rules[number]
            if rule is LEVEL and _is_sacral(sentence[start:end]):
                rule = SACRAL_LEVEL
            found.append(Token(rule.role, start, end, rule, sentence[start:end]))
        return _join_words(found, sentence)

    def _read(self, sentence: str) -> tuple[Mention, ...]:
        tokens = self.tokens(sentence)
        if not any(token.role in FINDINGS for token in tokens):
            return ()
        reader = _Reader(Words(sentence, tokens))
        return _governed(list(reader.mentions()), tokens)


def _is_sacral(text: str) -> bool:
    levels = levels_of(text)
    return bool(levels) and all(level.startswith("S") for level in levels)


def _join_words(tokens: list[Token], sentence: str) -> list[Token]:
    """'L1 compression' + 'fracture' or 'deformity', '椎体压缩' + 性 + '骨折': one finding of a vertebra."""
    joined: list[Token] = []
    for token in tokens:
        last = joined[-1] if joined else None
        if last and token.role in (Role.FRACTURE, Role.DEFORMITY) and last.role is Role.DEFORMITY:
            gap = sentence[last.end : token.start]
            if len(gap) <= 3 and gap.strip(" -") in ("", "性", "型", "样"):
                is_vertebral = last.rule.is_vertebral or token.rule.is_vertebral
                rule = replace(token.rule, is_vertebral=is_vertebral)
                text = sentence[last.start : token.end]
                joined[-1] = Token(token.role, last.start, token.end, rule, text)
                continue
        joined.append(token)
    return joined


def _governed(mentions: list[Mention], tokens: list[Token]) -> tuple[Mention, ...]:
    """What one finding of a sentence says about another of the same levels.

    An ambiguous word is as sure as the fracture that the sentence only suspects ("height loss, fracture possible"), and
    what is only quoted is denied with the denial that follows ("the reported fracture is an artefact, no fracture").
    """
    retracted = next((t for t in tokens if t.role is Role.RETRACTED), None)
    if retracted is not None:
        return tuple(m._replace(statement="absent", trigger=retracted.text) for m in mentions)
    quoted = [t.end for t in tokens if t.role is Role.QUOTED]
    doubts = [m for m in mentions if m.statement == "possible" and m.wording == "fracture"]
    denials = [m for m in mentions if m.statement == "absent" and m.wording == "fracture"]
    read = []
    for mention in mentions:
        governor = None
        if mention.statement == "present" and not mention.treatment:
            if quoted and quoted[0] <= mention.start:
                governor = next((m for m in denials if _is_same_place(m, mention)), None)
                governor = governor or _artefact(mention, tokens)
            if governor is None and mention.wording == "ambiguous":
                governor = next((m for m in doubts if _is_same_place(m, mention)), None)
        read.append(
            mention
            if governor is None
            else mention._replace(statement=governor.statement, trigger=governor.trigger)
        )
    return tuple(read)


def _is_same_place(left: Mention, right: Mention) -> bool:
    return not left.levels or not right.levels or bool(set(left.levels) & set(right.levels))


def _artefact(mention: Mention, tokens: list[Token]) -> Mention | None:
    """A quoted finding that the sentence explains: 'the reported fracture represents a Schmorl's node'."""
    mimic = next((t for t in tokens if t.role is Role.MIMIC and t.start >= mention.end), None)
    return None if mimic is None else mention._replace(statement="absent", trigger=mimic.text)


# A treatment that is proposed, doubted or asked about was not given.
_NOT_DONE = (Role.QUESTION, Role.HEDGE, Role.RECOMMEND, Role.HEDGE_AFTER)


class _Reader:
    """Asks of each finding of a sentence what the sentence says of it."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def mentions(self) -> Iterator[Mention]:
        """Every finding that counts."""
        for at, token in enumerate(self._words.tokens):
            if token.role is Role.TREATMENT:
                yield from self._treatment(at)
            elif token.role is Role.HEIGHT_KEPT:
                yield from self._height_kept(at)
            elif token.role in (Role.FRACTURE, Role.DEFORMITY):
                yield from self._finding(at)

    def _finding(self, at: int) -> Iterator[Mention]:
        words, token = self._words, self._words.tokens[at]
        low, high = words.clause(at)
        site = is_vertebral(words, at, low, high)
        if site is False or (site is None and token.role is Role.DEFORMITY) or is_only_asked(words, at, low):
            return
        if token.role is Role.DEFORMITY and (is_explained_away(words, at) or is_of_disc_or_nerve(words, at)):
            return
        statement, trigger = stated(words, at, low, high)
        if statement == "rest":
            return
        found = self._mention(at, statement, trigger, is_vertebral=site)
        levels = exempted(words, at) if statement == "absent" else ()
        if levels:
            yield found._replace(statement="present", trigger="", levels=levels, is_vertebral=True)
        yield found

    def _height_kept(self, at: int) -> Iterator[Mention]:
        words, token = self._words, self._words.tokens[at]
        low, _ = words.clause(at)
        found = self._mention(at, "present", "", is_vertebral=True)
        levels = exempted(words, at)
        if levels:
            yield found._replace(levels=levels)
        if _is_denied_inside(token.text):
            yield found
        elif not (any(t.role is Role.REST for t in words.tokens[low:at]) or _speaks_of_rest(token.text)):
            yield found._replace(
                statement="absent", trigger=token.text, levels=levels_of(token.text), acuity=""
            )

    def _treatment(self, at: int) -> Iterator[Mention]:
        words = self._words
        low, high = words.clause(at)
        if is_vertebral(words, at, low, high) is not True or negation_before(words, at, low) is not None:
            return
        if is_only_asked(words, at, low) or any(t.role is Role.HISTORY for t in words.tokens[:at]):
            return
        if any(t.role in _NOT_DONE for t in words.tokens[low:high]):
            return
        if "plasty" not in words.tokens[at].text and any(
            t.rule.kind == "hardware" for t in words.tokens[low:high]
        ):
            return  # cement around screws
        found = self._mention(at, "present", "", is_vertebral=True)
        yield found._replace(treatment=words.tokens[at].rule.kind)

    def _mention(self, at: int, statement: str, trigger: str, *, is_vertebral: bool | None) -> Mention:
        words, token = self._words, self._words.tokens[at]
        return Mention(
            statement=statement,
            start=token.start,
            end=token.end,
            trigger=trigger,
            levels=named_levels(words, at),
            acuity=age_of(words, at),
            treatment="",
            cause=cause_of(words, at),
            wording="fracture" if token.role is Role.FRACTURE else "ambiguous",
            is_vertebral=is_vertebral,
            is_asked_further=words.is_asked_further,
        )


def _is_denied_inside(text: str) -> bool:
    """'heights are not preserved': the phrase of a normal spine, denied."""
    return any(
        word in text for word in (" not ", "n't ", " no longer ", "不正常", "不完整", "欠规则", "未保持")
    )


def _speaks_of_rest(text: str) -> bool:
    return any(word in text for word in ("otherwise", "remaining", "other ", "余"))


def strongest(statements: Sequence[str]) -> str:
    """The statement that counts when a report makes several."""
    return next((s for s in ("present", "possible", "absent") if s in statements), "unmentioned")
