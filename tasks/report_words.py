"""The words of a sentence that have a role, and what lies between them."""

from __future__ import annotations

from typing import NamedTuple

from tasks.lexicon import Role, Rule

# A level is a site like the word vertebra; its rule is not in a file because it is a pattern of its own.
LEVEL = Rule("level", Role.VERTEBRA, ("#",), kind="level")
SACRAL_LEVEL = Rule("sacral-level", Role.OTHER_SITE, ("#",))  # the sacrum is no target
FINDINGS = (Role.FRACTURE, Role.DEFORMITY, Role.HEIGHT_KEPT, Role.TREATMENT)
AGES = (Role.NEW, Role.OLD, Role.UNCHANGED)
ATTRIBUTES = (*AGES, Role.TRAUMATIC, Role.PATHOLOGICAL, Role.MIMIC)
SITES = (Role.VERTEBRA, Role.OTHER_SITE, Role.PROCESS)
_BARRIERS = (Role.STOP, Role.EXCEPT)
NOT_WORDS = " \t\n.,;:!。、()[]*'\"-"


class Token(NamedTuple):
    """Words with a role in a sentence."""

    role: Role
    start: int
    end: int
    rule: Rule
    text: str

    @property
    def is_level(self) -> bool:
        """The words name levels."""
        return self.rule is LEVEL

    @property
    def is_comma(self) -> bool:
        """A comma, which ends less than a stop does."""
        return self.text == ","


class Words:
    """The tokens of one sentence. Places are numbers of tokens; ranges are half open."""

    def __init__(self, sentence: str, tokens: list[Token]) -> None:
        self.text = sentence
        self.tokens = tokens
        self.is_asked_further = any(t.role is Role.RECOMMEND and t.rule.kind != "plan" for t in tokens)

    def clause(self, at: int) -> tuple[int, int]:
        """Token range [low, high) that no stop divides from the finding."""
        low = at
        while low > 0 and self.tokens[low - 1].role not in _BARRIERS:
            low -= 1
        high = at + 1
        while high < len(self.tokens) and self.tokens[high].role not in _BARRIERS:
            high += 1
        return low, high

    def gap(self, left: int, right: int) -> str:
        """The text between two tokens, without blanks and signs."""
        return self.text[self.tokens[left].end : self.tokens[right].start].strip(NOT_WORDS)

    def ends_clause(self, at: int) -> bool:
        """Nothing but signs stands between a token and the next comma, stop or end."""
        end = self.tokens[at].end
        follower = at + 1
        if follower < len(self.tokens):
            following = self.tokens[follower]
            if not (following.is_comma or following.role in _BARRIERS):
                return False
            end_of_gap = following.start
        else:
            end_of_gap = len(self.text)
        return not self.text[end:end_of_gap].strip(NOT_WORDS + "?")
