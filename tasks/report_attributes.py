"""Levels, age and cause of a finding, from the words around it."""

from __future__ import annotations

from tasks.lexicon import Role
from tasks.report_levels import in_order, levels_of
from tasks.report_words import AGES, ATTRIBUTES, NOT_WORDS, Token, Words

_AGE_WORDS = {
    Role.OLD: ("陈旧", "慢性", "chronic", "old "),
    Role.NEW: ("新鲜", "急性", "acute"),
}


def named_levels(words: Words, at: int) -> tuple[str, ...]:
    """The levels of the finding: in its own words, beside it, in its complement, else anywhere in the sentence."""
    inside = levels_of(words.tokens[at].text)
    if inside:
        return inside
    right: list[Token] = []
    for place in range(at + 1, len(words.tokens)):
        token = words.tokens[place]
        if token.is_level:
            right.append(token)
        elif token.role not in (Role.PREPOSITION, Role.VERTEBRA, Role.JOIN, *ATTRIBUTES, Role.PROCESS):
            break
    left: list[Token] = []
    for place in range(at - 1, -1, -1):
        token = words.tokens[place]
        if token.role in (Role.FRACTURE, Role.DEFORMITY, Role.TREATMENT):
            break
        if token.is_level:
            left.append(token)
    beside_first = bool(left) and not words.text[left[0].end : words.tokens[at].start].strip(
        NOT_WORDS + "椎锥体的呈见示略轻度稍"
    )
    chosen = left if beside_first or not right else right
    named = chosen or [t for t in words.tokens if t.is_level]
    return in_order({level for token in named for level in levels_of(token.text)})


def age_of(words: Words, at: int) -> str:
    """new | old | unchanged, from the words beside the finding; empty when none says so."""
    low, _ = words.clause(at)
    left: set[Role] = set()
    for place in range(at - 1, low - 1, -1):
        token = words.tokens[place]
        if token.role in (Role.FRACTURE, Role.DEFORMITY, Role.NEGATION):
            break
        if token.role in AGES:
            left.add(token.role)
    inside = {
        role for role, signs in _AGE_WORDS.items() if any(sign in words.tokens[at].text for sign in signs)
    }
    right: set[Role] = set()
    for place in range(at + 1, len(words.tokens)):
        token = words.tokens[place]
        if token.role in (Role.FRACTURE, Role.DEFORMITY, Role.NEGATION):
            break
        if token.role in AGES:
            right.add(token.role)
    found = left | inside or right
    return next((role.value for role in AGES if role in found), "")


def cause_of(words: Words, at: int) -> str:
    """traumatic | pathological; empty when the sentence gives no cause."""
    token = words.tokens[at]
    if token.rule.cause:
        return token.rule.cause
    near = range(max(0, at - 3), min(len(words.tokens), at + 5))
    stated = {words.tokens[place].role for place in near if not _is_denied_cause(words, place, at)}
    if Role.PATHOLOGICAL in stated:
        return "pathological"
    return "traumatic" if Role.TRAUMATIC in stated else ""


def _is_denied_cause(words: Words, place: int, at: int) -> bool:
    """'Fracture without evidence of malignancy': a denial between finding and cause, or just before the cause."""
    before = range(max(at + 1 if place > at else 0, place - 3), place)
    return any(words.tokens[each].role is Role.NEGATION for each in before)
