"""Which bone a finding is in: a vertebral body, a part of a vertebra that is none, another bone, or none named."""

from __future__ import annotations

import re

from tasks.lexicon import Role
from tasks.report_scopes import negation_before
from tasks.report_words import ATTRIBUTES, Token, Words

_HEIGHT = re.compile(r"\b(?:height|ht|collapse|flatten\w*)")
_PAIR = re.compile(r"\b([tl])\s?(\d{1,2})\s?[-/]\s?([tls])?\s?(\d{1,2})")
_DISC = re.compile(r"\b(?:disc|disk|discs|disks|intervertebral)\b")
# What may stand between two bones of one list: "the left 8th rib and, possibly, an old one of the T12 vertebra".
_LISTED = re.compile(
    r"(?:[\s,.&/\d-]|\b(?:and|or|as|well|also|of|the|at|in|to|an?|left|right|bilateral|both|upper|lower|mid|old|chronic|acute|"
    r"healed|healing|multiple|several|another|likely|possibly|st|nd|rd|th)\b)*"
)
# What presses on nerves, where "compression" stands alone.
_PRESSING = re.compile(r"\b(?:steno|hernia|bulg|protru|extru|epidural|extradural|flavum)")
_NEAR = 30  # characters: "loss of height at the level of L4-5"


def is_vertebral(words: Words, at: int, low: int, high: int) -> bool | None:
    """Whether a vertebral body is meant; None when no site is named."""
    token = words.tokens[at]
    beside, right = _site_beside(words, at, low), _site_right(words, at, high)
    if beside is False:
        return False
    if token.rule.is_vertebral:
        return right is not False
    if right is not None:
        return right
    if token.role is Role.FRACTURE and any(t.rule.kind == "hardware" for t in words.tokens[:at]):
        return False
    if beside is not None:
        return beside
    return _site_around(words, at, low, high)


def _is_site(words: Words, token: Token, finding: Token) -> bool:
    if _is_soft(token):
        return finding.role is not Role.FRACTURE  # a lung does not break
    return token.role in (Role.VERTEBRA, Role.OTHER_SITE, Role.PROCESS)


def _site_beside(words: Words, at: int, low: int) -> bool | None:
    """The site in the words right before the finding: 'left rib fractures', '腰1椎体骨折'."""
    finding = words.tokens[at]
    for place in range(at - 1, low - 1, -1):
        token = words.tokens[place]
        if _is_site(words, token, finding):
            if token.role is Role.VERTEBRA:
                return None if finding.rule.is_vertebral else True
            if finding.rule.is_vertebral and words.gap(place, at):
                return None
            return _is_joined_vertebra(words, place, low)
        if token.role not in ATTRIBUTES and token.role is not Role.HEDGE and token.role is not Role.VERB:
            return None
        if token.role is Role.VERB and token.text.isascii():
            # "the ureter is compressed at L4": of what the verb speaks
            is_subject = finding.text.endswith("ed") and place > low and not words.gap(place - 1, place)
            return False if is_subject and _is_soft(words.tokens[place - 1]) else None
    return None


def _is_soft(token: Token) -> bool:
    return token.role is Role.OTHER_SITE and token.rule.kind == "soft"


def _is_joined_vertebra(words: Words, place: int, low: int) -> bool:
    """'vertebral and rib fractures', '胸12椎体及肋骨骨折': the other site is only the second of two."""
    before = place - 1
    while (
        before > low
        and words.tokens[before].role in (Role.OTHER_SITE, Role.JOIN)
        and not (words.tokens[before].role is Role.JOIN and words.tokens[before - 1].role is Role.VERTEBRA)
    ):
        before -= 1
    if before <= low or words.tokens[before].role is not Role.JOIN:
        return False
    vertebra = words.tokens[before - 1]
    if vertebra.role is not Role.VERTEBRA or words.gap(before - 1, before):
        return False
    preceded = before - 2 >= low and words.tokens[before - 2].role in (Role.PREPOSITION, Role.PROCESS)
    return not preceded


def _site_right(words: Words, at: int, high: int) -> bool | None:
    """The site in the complement: 'fracture of the left 6th rib', 'fractures at T7 and of the sternum'."""
    finding = words.tokens[at]
    sites: list[Token] = []
    is_joined = False
    for place in range(at + 1, high):
        token = words.tokens[place]
        is_first = place == at + 1
        if _is_site(words, token, finding):
            if (
                not sites
                and not is_first
                and words.tokens[place - 1].role not in (Role.PREPOSITION, *ATTRIBUTES, Role.JOIN)
                and not _is_seen_part(words, place - 1)
            ):
                break
            if is_first and (words.gap(at, place) or not finding.text.isascii()):
                break
            if _is_of_another(words, sites, token, is_joined=is_joined):
                break
            if token.role is not Role.VERTEBRA and sites and words.tokens[place - 1] is sites[-1]:
                return False  # 'of the L4 pedicle screw', 'of the spinal fixation rod'
            sites.append(token)
        elif token.role is Role.JOIN:
            if not sites:
                break
            if token.is_comma and not _continues_list(words, place, high):
                break
            is_joined = True
        elif token.role not in (Role.PREPOSITION, *ATTRIBUTES) and not _is_seen_part(words, place):
            break
    if not sites:
        return None
    has_body = any(s.role is Role.VERTEBRA and not s.is_level for s in sites)
    if any(s.role is Role.PROCESS for s in sites):
        return has_body
    return any(s.role is Role.VERTEBRA for s in sites)


def _is_of_another(words: Words, sites: list[Token], vertebra: Token, *, is_joined: bool) -> bool:
    """A vertebra behind another bone that is no second one: 'of the left 8th rib at the level of T8'.

    Joined it is none either where more is said of it: 'of the ribs and degenerative changes of the spine'.
    """
    if vertebra.role is not Role.VERTEBRA or not sites or sites[0].role is Role.VERTEBRA:
        return False
    between = words.text[sites[-1].end : vertebra.start]
    return not is_joined or (between.isascii() and _LISTED.fullmatch(between) is None)


def _is_seen_part(words: Words, place: int) -> bool:
    """'of the visualized ribs': a verb by itself, but no predicate here."""
    token, before = words.tokens[place], words.tokens[place - 1]
    return token.role is Role.VERB and token.text.endswith("ed") and before.role is Role.PREPOSITION


def _continues_list(words: Words, place: int, high: int) -> bool:
    following = place + 1
    return following < high and words.tokens[following].role in (
        Role.VERTEBRA,
        Role.OTHER_SITE,
        Role.PROCESS,
        Role.JOIN,
    )


def is_of_disc_or_nerve(words: Words, at: int) -> bool:
    """A height lost between two neighbours is a disc's: 'loss of height at L5-S1', 'discs lose height at L4-5'.

    A compression that stands alone beside a pair of levels, or beside anything soft, is a nerve's: 'cord compression at
    T6'.
    """
    token = words.tokens[at]
    if token.text == "compression":
        return any(map(_is_soft, words.tokens)) or bool(
            _PAIR.search(words.text) or _PRESSING.search(words.text)
        )
    if not _HEIGHT.search(token.text) or "vertebra" in token.text:
        return False
    pair = _PAIR.search(words.text[token.start : token.end + _NEAR])
    if pair is None:
        return False
    upper, lower = f"{pair[1]}{pair[2]}", f"{pair[3] or pair[1]}{pair[4]}"
    if (upper, lower) == ("l5", "s1"):
        return True
    is_next = (upper, lower) == ("t12", "l1") or (
        upper[0] == lower[0] and int(lower[1:]) == int(upper[1:]) + 1
    )
    return is_next and bool(_DISC.search(words.text))


def _is_denied_apart(words: Words, at: int, place: int, low: int) -> bool:
    """'No fracture or spondylolisthesis', 'arthroplasty, no fracture': the denial is of every bone."""
    negation = negation_before(words, at, low)
    if negation is None:
        return False
    if place > at:
        return any(t.role is Role.JOIN for t in words.tokens[at + 1 : place])
    return place < negation and any(t.is_comma for t in words.tokens[place + 1 : negation])


def _site_around(words: Words, at: int, low: int, high: int) -> bool | None:
    """The nearest site elsewhere: in the clause to the left, then to the right, then in the sentence."""
    finding = words.tokens[at]
    ranges = (range(at - 1, low - 1, -1), range(at + 1, high), range(low - 1, -1, -1))
    for places in ranges:
        for place in places:
            token = words.tokens[place]
            if _is_site(words, token, finding):
                if token.role is Role.VERTEBRA:
                    return True
                if finding.role is Role.FRACTURE and _is_denied_apart(words, at, place, low):
                    break
                return finding.role is Role.FRACTURE and _is_joined_vertebra(words, place, low)
            if places.step == 1 and token.role in (Role.FRACTURE, Role.DEFORMITY):
                break  # what comes behind the next finding belongs to that one
    return None
