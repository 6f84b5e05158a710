"""Cuts a report into sections and sentences: takes folded text, returns spans. Grammar is another module's."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tasks.lexicon import HEADINGS, Lexicon, Role
from tasks.lexicon.phrases import readings

# A sentence is read whole, so its length is bounded; longer ones are cut at blanks.
LONGEST_SENTENCE = 1200
# A line this long that ends without a stop was wrapped by a program: the sentence goes on in the next line.
_WRAPPED_LINE = 60
_WRAPPED_LINE_CHINESE = 30
_HEADING_WINDOW = 60  # characters before a colon in which a heading can stand
# With more text than this before it, an addendum follows its report.
_TEXT_BEFORE_ADDENDUM = 80

_LONGEST_LINE_HEADING = 48
_EDGES = "\n.;。!?>])"
_MARKS = str.maketrans(dict.fromkeys("[]()*#=-_.、>|0123456789", " "))
_BRACKETED = re.compile(r"\[[^\[\]\n]{1,24}\]|[*=-]{2,}[^*=\n-]{3,40}[*=-]{2,}")
# A line that begins with a heading in capitals and goes on in plain letters: "ADDENDUM On review".
_CAPITALS = re.compile(r"(?:^|\n)[ \t]*([A-Z][A-Z /&]{3,40}?)(?: \d)?\s+(?=[A-Z]?[a-z]|\d{1,2}[.)])")
_ASIDE = re.compile(r"\([^()]{0,40}\)\s{0,2}$")  # "Findings (chest):"
_WORD_START = re.compile(r"(?<![a-z\u3400-\u9fff])[a-z\u3400-\u9fff]")

_CJK = re.compile(r"[\u3400-\u9fff]")
_BOUNDARY = re.compile(
    r"[。;!\n]|\.(?=\s|$|[a-z\u3400-\u9fff\[(*-])|\?(?=\s|$|[\u3400-\u9fff])|(?<=[\u3400-\u9fff?),\s])(?<![胸腰颈骶第椎体])\d{1,2}[.)](?=\s?[\u3400-\u9fff])"
)
_ABBREVIATIONS = frozenset(
    (
        *(
            "fx",
            "fxs",
            "comp",
            "approx",
            "dr",
            "mr",
            "mrs",
            "ms",
            "vs",
            "e.g",
            "eg",
            "i.e",
            "ie",
            "incl",
            "resp",
        ),
        *(
            "cf",
            "st",
            "fig",
            "ref",
            "sup",
            "inf",
            "ant",
            "post",
            "lat",
            "bilat",
            "sl",
            "mod",
            "min",
            "sev",
            "mult",
        ),
        *("vert", "thor", "lumb", "ext", "int"),
    )
)
_LIST_MARK = re.compile(r"\s*(?:[-*#>]|\(?\d{1,2}[.、):]|[a-h][.)]\s|[一二三四五六七八九十]、|[①-⑳])")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_QUESTION_END = re.compile(r"[\n。]|\.(?=\s|$|[a-z\u3400-\u9fff])|\?(?=\s|$|[\u3400-\u9fff])")
_LAST_WORD = re.compile(r"[a-z.]+$")


class Sentence(NamedTuple):
    """A span of the text, and where in the report it stands."""

    start: int
    end: int
    addendum: int  # 0: the report itself; 1 is the oldest addendum


class Heading(NamedTuple):
    """Where a heading stands, its colon included."""

    start: int
    end: int
    role: Role
    is_description: bool = False  # "findings", 所见: what stands before it is no finding


class Section(NamedTuple):
    """A part of the report that counts as found (headings, questions and history are left out)."""

    start: int
    end: int
    addendum: int


class Headings:
    """Finds the headings of a lexicon: before a colon, alone on a line, or in brackets."""

    def __init__(self, lexicon: Lexicon) -> None:
        self._roles: dict[str, tuple[Role, bool]] = {}
        for rule in lexicon.of(*HEADINGS):
            known = (rule.role, rule.kind == "description")
            for phrase in rule.phrases:
                self._roles |= dict.fromkeys(readings(phrase.replace("*", "")), known)

    def find(self, folded: str, original: str) -> list[Heading]:
        """All headings in order."""
        found = [*self._alone(folded), *self._in_brackets(folded), *self._in_capitals(original)]
        at = folded.find(":")
        while at >= 0:
            heading = self._before_colon(folded, original, at)
            if heading is not None:
                found.append(heading)
            at = folded.find(":", at + 1)
        return sorted(found, key=lambda heading: (heading.start, heading.end))

    def _role(self, label: str) -> tuple[Role, bool] | None:
        """The role of a label, whatever stands around it: number, brackets, a plural s."""
        words = " ".join(label.translate(_MARKS).split())
        return self._roles.get(words) or self._roles.get(words.removesuffix("s"))

    def _role_before_colon(self, label: str) -> tuple[Role, bool] | None:
        """As `_role`; an addendum may say more about itself: "Addendum to report by the consultant:"."""
        known = self._role(label)
        if known is None and not label.startswith("["):
            first = self._roles.get(label.split(" ", 1)[0])
            return first if first and first[0] is Role.HEADING_ADDENDUM else None
        return known

    def _alone(self, folded: str) -> Iterator[Heading]:
        start = 0
        while start < len(folded):
            end = folded.find("\n", start)
            end = len(folded) if end < 0 else end
            if end - start <= _LONGEST_LINE_HEADING:
                role = self._role(folded[start:end])
                if role is not None:
                    yield Heading(start, end, *role)
            start = end + 1

    def _in_brackets(self, folded: str) -> Iterator[Heading]:
        if "[" in folded or "**" in folded or "--" in folded or "==" in folded:
            for match in _BRACKETED.finditer(folded):
                role = self._role(match[0])
                if role is not None:
                    yield Heading(match.start(), match.end(), *role)

    def _in_capitals(self, original: str) -> Iterator[Heading]:
        for match in _CAPITALS.finditer(original):
            role = self._role(match[1].lower())
            if role is not None:
                yield Heading(match.start(1), match.end(1), *role)

    def _before_colon(self, folded: str, original: str, colon: int) -> Heading | None:
        """The longest heading that ends at a colon. In the middle of an English line it is written with a capital."""
        low = max(0, colon - _HEADING_WINDOW)
        window = _ASIDE.sub("", folded[low:colon])
        edge = max(window.rfind(sign) for sign in _EDGES) + 1
        for match in _WORD_START.finditer(window, edge):
            role = self._role_before_colon(window[match.start() :])
            if role is not None:
                is_first = not window[edge : match.start()].translate(_MARKS).strip()
                sign = original[low + match.start()]
                if is_first or not sign.isascii() or sign.isupper() or "  " in window[: match.start()][-2:]:
                    return Heading(low + match.start(), colon + 1, *role)
        return None


def sections_of(folded: str, headings: Sequence[Heading]) -> list[Section]:
    """What counts as found, in order of the text."""
    n_addenda = sum(heading.role is Role.HEADING_ADDENDUM for heading in headings)
    is_on_top = _stands_on_top(headings)
    found: list[Section] = []
    first = headings[0].start if headings else len(folded)
    if first:
        found.append(Section(0, first, 0))
    addendum, seen = 0, 0
    for index, heading in enumerate(headings):
        end = headings[index + 1].start if index + 1 < len(headings) else len(folded)
        if heading.role is Role.HEADING_ADDENDUM:
            seen += 1
            addendum = n_addenda - seen + 1 if is_on_top else seen
        elif heading.role is Role.HEADING_ORIGINAL or (is_on_top and heading.role is Role.HEADING_FINDINGS):
            addendum = 0
        # The name of a part stays with its text: "Spine: old fracture", "Ribs: no fracture".
        start = heading.start if heading.role is Role.HEADING_FINDINGS else heading.end
        if heading.role is Role.HEADING_QUESTION:
            follower = headings[index + 1] if index + 1 < len(headings) else None
            is_closed = follower is not None and (
                follower.is_description or follower.role is Role.HEADING_QUESTION
            )
            start = _end_of_question(folded, heading, end, is_closed=is_closed)
        if start < end:
            found.append(Section(start, end, addendum))
    return found


def _stands_on_top(headings: Sequence[Heading]) -> bool:
    """Addenda stand above the report they belong to: its findings come after them."""
    first = next((h for h in headings if h.role is Role.HEADING_ADDENDUM), None)
    if first is None or first.start > _TEXT_BEFORE_ADDENDUM:
        return False
    return not any(h.role is Role.HEADING_FINDINGS and h.start < first.start for h in headings)


def _end_of_question(folded: str, heading: Heading, end: int, *, is_closed: bool) -> int:
    """Where indication or history ends.

    When another such heading or "findings" follows, there (or at a blank line before it). Otherwise the description
    follows without a heading: the question is then its first line or sentence.
    """
    skipped = heading.end
    while skipped < end and folded[skipped].isspace():
        skipped += 1
    stops = [end]
    blank = _BLANK_LINE.search(folded, skipped, end)
    if blank:
        stops.append(blank.start())
    if not is_closed:
        stop = _QUESTION_END.search(folded, skipped, end)
        if stop:
            stops.append(stop.end())
    return min(stops)


def sentences_of(
    folded: str, original: str, sections: Sequence[Section], places: Sequence[int]
) -> Iterator[Sentence]:
    """The sentences of the sections that hold one of the places (ascending positions of the text)."""
    stops = list(_stops(folded, original))
    starts = [section.start for section in sections]
    done = 0
    for place in places:
        if place < done:
            continue
        at = bisect_right(starts, place) - 1
        if at < 0 or place >= sections[at].end:
            continue
        section = sections[at]
        after = bisect_right(stops, place)
        start = max(section.start, stops[after - 1] if after else 0)
        done = min(section.end, stops[after] if after < len(stops) else section.end)
        for low, high in _pieces(folded, start, done):
            yield Sentence(low, high, section.addendum)


def _pieces(folded: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end:
        cut = _cut(folded, start, end)
        yield start, cut
        start = cut


def _cut(folded: str, start: int, end: int) -> int:
    if end - start <= LONGEST_SENTENCE:
        return end
    blank = folded.rfind(" ", start + LONGEST_SENTENCE // 2, start + LONGEST_SENTENCE)
    return blank if blank > start else start + LONGEST_SENTENCE


def _stops(folded: str, original: str) -> Iterator[int]:
    """Positions just behind the end of a sentence."""
    for match in _BOUNDARY.finditer(folded):
        sign, at = match[0], match.start()
        if sign == ".":
            if not _is_abbreviation(folded, at):
                yield match.end()
        elif sign == "\n":
            if not _is_wrapped(folded, original, at):
                yield match.end()
        elif sign == "?":
            if at and not folded[at - 1].isspace():
                yield match.end()
        elif sign in "。;!":
            yield match.end()
        else:  # a list number inside a line: the next item begins before it
            yield at


def _is_abbreviation(folded: str, at: int) -> bool:
    word = _LAST_WORD.search(folded, max(0, at - 8), at)
    if word is None:
        return False
    if word[0] in _ABBREVIATIONS:
        # "compression fx. No other": an abbreviation can end a sentence, but not before what it belongs to
        return word[0] not in ("fx", "fxs") or bool(
            re.match(r"\.\s{0,2}(?:of|at|[tl]\d|involving|in)", folded[at : at + 12])
        )
    return len(word[0]) == 1 and at + 1 < len(folded) and folded[at + 1].isalpha()


def _is_wrapped(folded: str, original: str, at: int) -> bool:
    """A line end inside a sentence."""
    before = folded[max(0, at - 4) : at].rstrip()
    rest = original[at + 1 : at + 40]
    following = rest.lstrip(" \t\r")
    if not before or not following or following[0] == "\n" or before[-1] in ".。;:!?":
        return False
    if _LIST_MARK.match(rest.lower()) or ":" in rest.split("\n")[0][:24]:
        return False
    if before[-1] in ",、" or (following[0].isascii() and following[0].islower()):
        return True
    length = at - (folded.rfind("\n", 0, at) + 1)
    return length >= (_WRAPPED_LINE_CHINESE if _CJK.match(before[-1]) else _WRAPPED_LINE)
