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
    roles = {t.role for t in words.tokens}
    if Role.PATHOLOGICAL in roles and any(
        t.role is Role.PATHOLOGICAL for t in words.tokens[max(0, at - 3) : at + 5]
    ):
        return "pathological"
    if any(t.role is Role.TRAUMATIC for t in words.tokens[max(0, at - 3) : at + 5]):
        return "traumatic"
    return ""
