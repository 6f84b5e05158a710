"""Turns the phrases of a lexicon into one regular expression, fast enough for a million reports.

{a|b}   one of these                 (x)   may be left out
*       any ending of a word         ..    a short gap inside the same clause
#       a level or list of levels    a blank in English: blanks, a line end or a hyphen
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tasks.report_levels import LEVEL_PATTERN, LEVEL_SIGNS, can_begin_level

# Gaps are bounded, so that no text can make matching slow: about six English words, ten Chinese characters.
_ENGLISH_GAP = r"[^.;:,。?!\n]{0,40}?"
_CHINESE_GAP = r"[^.;:,。?!\n]{0,10}?"
_SPACE = r"[\s-]{1,4}"
_MOST_BRANCHES = 50_000  # pairs of signs kept; a hostile text could hold any number
_CJK = re.compile(r"[\u3400-\u9fff]")


class PhraseError(ValueError):
    """A phrase breaks the format."""


def phrase_pattern(phrase: str) -> str:
    """The regular expression of one phrase, which `check_phrase` has passed."""
    is_chinese = bool(_CJK.search(phrase))
    body = "".join(_parts(phrase, is_chinese))
    return f"{body}{_right_edge(phrase)}"


def check_phrase(phrase: str) -> None:
    """Raise PhraseError for brackets that do not close, and for a phrase that could match nothing or anything."""
    depth = 0
    for sign in phrase:
        depth += (sign in "({") - (sign in ")}")
        if depth < 0:
            break
    if depth:
        raise PhraseError(f"phrase {phrase!r} has brackets that do not close")
    if not re.sub(r"\([^()]*\)|[{}|().*$\s]", "", phrase):
        raise PhraseError(f"phrase {phrase!r} holds no word that must be there")


_SIGNS = {
    "(": "(?:",
    "{": "(?:",
    ")": ")?",
    "}": ")",
    "|": "|",
    "*": r"[a-z]*",
    "$": r"(?=\s*(?:[.,;:。、?!]|\n|$))",
    "#": f"(?:{LEVEL_PATTERN})",
}


def _parts(phrase: str, is_chinese: bool) -> Iterator[str]:
    gap = _CHINESE_GAP if is_chinese else _ENGLISH_GAP
    at = 0
    while at < len(phrase):
        sign = phrase[at]
        if phrase.startswith(" .. ", at):
            yield f"{_SPACE}(?:{gap}{_SPACE})?"
            at += 3
        elif phrase.startswith("..", at):
            yield gap
            at += 1
        elif sign in _SIGNS:
            yield _SIGNS[sign]
        elif sign.isspace():
            yield _SPACE
        elif _CJK.match(sign):
            yield sign + r"\s?" if _is_followed_by_cjk(phrase, at) else sign
        else:
            yield re.escape(sign)
        at += 1


def _is_followed_by_cjk(phrase: str, at: int) -> bool:
    return at + 1 < len(phrase) and bool(_CJK.match(phrase[at + 1]) or phrase[at + 1] in "({")


def _right_edge(phrase: str) -> str:
    return r"(?![a-z])" if re.search(r"[a-z*][)}]*$", phrase) else ""


def beginnings(phrase: str) -> frozenset[str]:
    """The first two signs a phrase can begin with; a single sign where the second can be anything; # for a level."""
    found: set[str] = set()
    for head in _heads(phrase, 2):
        if head.startswith("#"):
            found.add("#")
        elif len(head) < 2 or head[1] in "*#. $":
            found.add(head[0])
        else:
            found.add(head)
    return frozenset(found)


def _heads(phrase: str, length: int) -> set[str]:
    """The first signs of all readings of a phrase, without spelling the readings out."""
    if not phrase or not length:
        return {""}
    if phrase[0] not in "({":
        return {phrase[0] + rest for rest in _heads(phrase[1:], length - 1)}
    end = _closing(phrase, 0)
    options = _options(phrase[1:end]) + ([""] if phrase[0] == "(" else [])
    return {head for option in options for head in _heads(option + phrase[end + 1 :], length)}


def _closing(phrase: str, at: int) -> int:
    depth = 0
    for index in range(at, len(phrase)):
        depth += (phrase[index] in "({") - (phrase[index] in ")}")
        if depth == 0:
            return index
    raise PhraseError(f"phrase {phrase!r} has brackets that do not close")


def _options(inside: str) -> list[str]:
    options, depth = [""], 0
    for sign in inside:
        depth += (sign in "({") - (sign in ")}")
        if sign == "|" and depth == 0:
            options.append("")
        else:
            options[-1] += sign
    return options


def readings(phrase: str) -> list[str]:
    """All readings of a phrase without gaps and open endings: alternatives and optional parts spelled out."""
    for at, sign in enumerate(phrase):
        if sign in "({":
            end = _closing(phrase, at)
            options = _options(phrase[at + 1 : end]) + ([""] if sign == "(" else [])
            return [text for option in options for text in readings(phrase[:at] + option + phrase[end + 1 :])]
    return [phrase]


_Branch = tuple[re.Pattern[str], tuple[int, ...]]
_Phrase = tuple[int, str, int]  # its place in the lexicon, itself, the number of its rule


class Scanner:
    """Finds the phrases of all rules in one pass, the one that says most first.

    A position is compared only with phrases that can begin with its two signs, and a word only at its beginning: that
    makes it some twenty times faster than one large alternation. Expressions are compiled when first needed.
    """

    def __init__(self, phrases: Sequence[tuple[str, int]]) -> None:
        """`phrases`: (phrase, rule number)."""
        self._groups: dict[str, list[_Phrase]] = {}
        for place, (phrase, number) in enumerate(phrases):
            for beginning in beginnings(phrase):
                self._groups.setdefault(beginning, []).append((place, phrase, number))
        self._signs = frozenset(beginning[0] for beginning in self._groups) - {"#"} | frozenset(LEVEL_SIGNS)
        self._branches: dict[str, _Branch | None] = {}

    def find(self, text: str) -> list[tuple[int, int, int]]:
        """(rule number, start, end) of each phrase in a folded text, from left to right, none overlapping."""
        found: list[tuple[int, int, int]] = []
        branches, signs, at, end = self._branches, self._signs, 0, len(text)
        is_inside_word = False
        while at < end:
            sign = text[at]
            if sign not in signs or (is_inside_word and "a" <= sign <= "z"):
                is_inside_word = "a" <= sign <= "z"
                at += 1
                continue
            key = text[at : at + 2]
            if key[1:].isspace() and sign > "\u3400":
                key = sign + text[at + 2 : at + 3]
            branch = branches[key] if key in branches else self._compile(key)
            match = branch[0].match(text, at) if branch is not None else None
            if branch is None or match is None or match.lastindex is None or match.end() == at:
                is_inside_word = "a" <= sign <= "z"
                at += 1
                continue
            found.append((branch[1][match.lastindex - 1], at, match.end()))
            at = match.end()
            is_inside_word = "a" <= text[at - 1] <= "z"
        return found

    def _compile(self, key: str) -> _Branch | None:
        first = self._groups.get(key[:1], [])
        # Only where one can begin: the expression of a level is long, and takes forty times that of a word.
        if can_begin_level(key):
            first = sorted({*first, *self._groups.get("#", [])})
        group = first + (self._groups.get(key, []) if len(key) > 1 else [])
        branch = _branch(group) if group else None
        if len(self._branches) < _MOST_BRANCHES:
            self._branches[key] = branch
        return branch


def _branch(group: Sequence[_Phrase]) -> _Branch:
    ordered = sorted(dict.fromkeys(group), key=lambda item: -_longest(item[1]))
    body = "|".join(f"({phrase_pattern(phrase)})" for _, phrase, _ in ordered)
    return re.compile(body), tuple(number for _, _, number in ordered)


_GAP_WEIGHT = 4  # a gap says less than the words it skips


def _longest(phrase: str) -> int:
    """Length of a phrase's longest reading: the longer one is tried first."""
    total, at = 0, 0
    while at < len(phrase):
        if phrase[at] in "({":
            end = _closing(phrase, at)
            total += max(_longest(option) for option in _options(phrase[at + 1 : end]))
            at = end
        elif phrase.startswith("..", at):
            total, at = total + _GAP_WEIGHT, at + 1
        else:
            total += 3 if phrase[at] in "#*" else 1
        at += 1
    return total
