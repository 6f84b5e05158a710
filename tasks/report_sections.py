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

_LABELS_KEPT = 20_000
_LONGEST_LINE_HEADING = 48
_EDGES_TO_LINE_END = str.maketrans(dict.fromkeys(".;。!?>])", "\n"))
_MARKS = str.maketrans(dict.fromkeys("[]()*#=-_.、>|0123456789", " "))
_BRACKETED = re.compile(r"\[[^\[\]\n]{1,24}\]|[*=-]{2,}[^*=\n-]{3,40}[*=-]{2,}")
# A line that begins with a heading in capitals and goes on in plain letters: "ADDENDUM On review".
_CAPITALS = re.compile(r"[ \t]*([A-Z][A-Z /&]{3,40}?)(?: \d)?\s+(?=[A-Z]?[a-z]|\d{1,2}[.)])")
# A label of some words that no lexicon knows, but that asks: "Ordering diagnosis", "Additional clinical information".
_QUESTION_LABEL = re.compile(
    r"(?!.*(?:impression|correlation|recommend|finding))(?:[a-z'/&-]+ ){0,2}"
    r"(?:clinical|indications?|history|reason|referral|referring|requisition|ordering|pre-?op|provisional|working|admitting|"
    r"presenting)\b(?: [a-z'/&-]+){0,3}"
)
_ASIDE = re.compile(r"\([^()]{0,40}\)\s{0,2}$")  # "Findings (chest):"
_WORD_START = re.compile(r"(?<![a-z\u3400-\u9fff])[a-z\u3400-\u9fff]")

_CJK = re.compile(r"[\u3400-\u9fff]")
_BOUNDARY = re.compile(
    r"[。;!\n]|\.(?=\s|$|[a-z\u3400-\u9fff\[(*-])|\?(?=\s|$|[\u3400-\u9fff])|(?<=[\u3400-\u9fff])\?|(?<=[\u3400-\u9fff?),\s])(?<![胸腰颈骶第椎体])\d{1,2}[.)](?=\s?[\u3400-\u9fff])"
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
            "ht",
            "hts",
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
_STOP_SIGNS = "。;!\n.?"
_LIST_MARK = re.compile(r"\s*(?:[-*#>]|\(?\d{1,2}[.、):]|[a-h][.)]\s|[一二三四五六七八九十]、|[①-⑳])")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n")
_QUESTION_END = re.compile(
    r"[\n。]|\.(?=\s|$|[a-z\u3400-\u9fff])|\?(?=\s|$|[\u3400-\u9fff])|(?<=[\u3400-\u9fff])\?"
)
_LAST_WORD = re.compile(r"[a-z.]+$")


# "Wedging of T8. This is likely physiologic.": the second sentence explains the first.
_SAYS_OF_IT = re.compile(
    r"\.\s+(?:this|these|it|findings?|appearances?)\s"
    r"(?:is|are|may|might|could|likely|most|probably|represents?|reflects?)\b"
)


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
        self._ends: dict[str, tuple[tuple[int, bool, tuple[Role, bool]], ...]] = {}
        self._looked_up: dict[str, tuple[Role, bool] | None] = {}  # labels repeat from report to report
        for rule in lexicon.of(*HEADINGS):
            known = (rule.role, rule.kind == "description")
            for phrase in rule.phrases:
                self._roles |= dict.fromkeys(readings(phrase.replace("*", "")), known)

    def find(self, folded: str, original: str) -> list[Heading]:
        """All headings in order."""
        found = [*self._in_lines(folded, original), *self._in_brackets(folded)]
        at = folded.find(":")
        while at >= 0:
            heading = self._before_colon(folded, original, at)
            if heading is not None:
                found.append(heading)
            at = folded.find(":", at + 1)
        return sorted(found, key=lambda heading: (heading.start, heading.end))

    def _role(self, label: str) -> tuple[Role, bool] | None:
        """The role of a label, whatever stands around it: number, brackets, a plural s."""
        if label in self._looked_up:
            return self._looked_up[label]
        role = self._look_up(label)
        if len(self._looked_up) < _LABELS_KEPT:
            self._looked_up[label] = role
        return role

    def _look_up(self, label: str) -> tuple[Role, bool] | None:
        words = " ".join(label.translate(_MARKS).split())
        return self._roles.get(words) or self._roles.get(words.removesuffix("s"))

    def _role_before_colon(self, label: str) -> tuple[Role, bool] | None:
        """As `_role`; an addendum may say more about itself: "Addendum to report by the consultant:"."""
        known = self._role(label)
        if known is None and _QUESTION_LABEL.fullmatch(label):
            return Role.HEADING_QUESTION, False
        if known is None and not label.startswith("["):
            first = self._roles.get(label.split(" ", 1)[0])
            return first if first and first[0] is Role.HEADING_ADDENDUM else None
        return known

    def _in_lines(self, folded: str, original: str) -> Iterator[Heading]:
        """Lines that are a heading, and lines that begin with one in capitals."""
        start = 0
        while start < len(folded):
            end = folded.find("\n", start)
            end = len(folded) if end < 0 else end
            if end - start <= _LONGEST_LINE_HEADING:
                known = self._role(folded[start:end])
                if known is not None:
                    yield Heading(start, end, *known)
            capitals = _CAPITALS.match(original, start)
            known = self._role(capitals[1].lower()) if capitals else None
            if capitals and known is not None:
                yield Heading(capitals.start(1), capitals.end(1), *known)
            start = end + 1

    def _in_brackets(self, folded: str) -> Iterator[Heading]:
        if "[" in folded or "**" in folded or "--" in folded or "==" in folded:
            for match in _BRACKETED.finditer(folded):
                role = self._role(match[0])
                if role is not None:
                    yield Heading(match.start(), match.end(), *role)

    def _before_colon(self, folded: str, original: str, colon: int) -> Heading | None:
        """The longest heading that ends at a colon. In the middle of an English line it is written with a capital."""
        window = _ASIDE.sub("", folded[max(0, colon - _HEADING_WINDOW) : colon])
        label = window.translate(_EDGES_TO_LINE_END).rpartition("\n")[2]
        edge = max(0, colon - _HEADING_WINDOW) + len(window) - len(label)
        found = self._ends.get(label)
        if found is None:
            found = tuple(self._headings_ending(window[len(window) - len(label) :]))
            if len(self._ends) < _LABELS_KEPT:
                self._ends[label] = found
        for offset, is_first, known in found:
            sign = original[edge + offset]
            if is_first or not sign.isascii() or sign.isupper():
                return Heading(edge + offset, colon + 1, *known)
        return None

    def _headings_ending(self, label: str) -> Iterator[tuple[int, bool, tuple[Role, bool]]]:
        """(offset, whether nothing stands before it, role) of each heading that a label ends with, longest first."""
        for match in _WORD_START.finditer(label):
            known = self._role_before_colon(label[match.start() :])
            if known is not None:
                before = label[: match.start()]
                yield match.start(), before.endswith("  ") or not before.translate(_MARKS).strip(), known


def sections_of(folded: str, original: str, headings: Sequence[Heading]) -> list[Section]:
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
            start = _end_of_question(folded, original, heading, end, is_closed=is_closed)
        if start < end:
            found.append(Section(start, end, addendum))
    return found


def _stands_on_top(headings: Sequence[Heading]) -> bool:
    """Addenda stand above the report they belong to: its findings come after them."""
    first = next((h for h in headings if h.role is Role.HEADING_ADDENDUM), None)
    if first is None or first.start > _TEXT_BEFORE_ADDENDUM:
        return False
    return not any(h.role is Role.HEADING_FINDINGS and h.start < first.start for h in headings)


def _end_of_question(folded: str, original: str, heading: Heading, end: int, *, is_closed: bool) -> int:
    """Where indication or history ends.

    When another such heading or "findings" follows, there (or at a blank line before it). Otherwise the description
    follows without a heading: the question is then its first line; where all stands in one line, its first sentence.
    """
    skipped = heading.end
    while skipped < end and folded[skipped].isspace():
        skipped += 1
    stops = [end]
    blank = _BLANK_LINE.search(folded, skipped, end)
    if blank:
        stops.append(blank.start())
    if not is_closed:
        line_end = folded.find("\n", skipped, end)
        while line_end >= 0 and _is_wrapped(folded, original, line_end):
            line_end = folded.find("\n", line_end + 1, end)
        stop = _QUESTION_END.search(folded, skipped, end)
        if line_end >= 0:  # the text has lines: the question has its own
            stops.append(line_end + 1)
        elif stop:
            stops.append(stop.end())
    return min(stops)


def sentences_of(
    folded: str, original: str, sections: Sequence[Section], places: Sequence[int]
) -> Iterator[Sentence]:
    """The sentences of the sections that hold one of the places (ascending positions of the text)."""
    starts = [section.start for section in sections]
    done = 0
    for place in places:
        at = bisect_right(starts, place) - 1
        if place < done or at < 0 or place >= sections[at].end:
            continue
        section = sections[at]
        start = _last_stop(folded, original, max(section.start, done), place)
        done = min(section.end, _next_stop(folded, original, place))
        for low, high in _pieces(folded, start, done):
            yield Sentence(low, high, section.addendum)


def _last_stop(folded: str, original: str, low: int, place: int) -> int:
    """Where the sentence of a place begins, `low` at the earliest."""
    at = place
    while True:
        at = max(folded.rfind(sign, low, at) for sign in _STOP_SIGNS)
        if at < low:
            return low
        match = _BOUNDARY.match(folded, at)
        if match and _stop_of(match, folded, original) is not None:
            return at + 1


def _next_stop(folded: str, original: str, place: int) -> int:
    """Where the sentence of a place ends."""
    for match in _BOUNDARY.finditer(folded, place):
        stop = _stop_of(match, folded, original)
        if stop is not None and stop > place:
            return stop
    return len(folded)


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


def _stop_of(match: re.Match[str], folded: str, original: str) -> int | None:
    """The position just behind the sentence that a boundary ends; None when it ends none."""
    sign, at = match[0], match.start()
    if sign == ".":
        # A long word before the stop is no abbreviation: most sentences end so.
        is_end = folded[max(0, at - 7) : at].isalpha() or not _is_abbreviation(folded, at)
        is_end = is_end and not _SAYS_OF_IT.match(folded, at)
    elif sign == "\n":
        is_end = not _is_wrapped(folded, original, at)
    elif sign == "?":
        is_end = at > 0 and not folded[at - 1].isspace()
    elif sign in "。;!":
        is_end = True
    else:  # a list number inside a line: the next item begins before it
        return at
    return match.end() if is_end else None


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
