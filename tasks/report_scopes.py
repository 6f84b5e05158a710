"""Whether a finding is stated, doubted, denied, asked for, remembered or explained away."""

from __future__ import annotations

import re

from tasks.lexicon import Role
from tasks.report_levels import in_order, levels_of
from tasks.report_words import AGES, ATTRIBUTES, FINDINGS, Token, Words

_SHORT_GAP = 6  # characters, such as 本次 or "was"
# "no effusion, multiple compression fractures": what is counted or graded is there.
_COUNTED = re.compile(r"\b(?:multiple|several|numerous|mild|moderate|severe|minimal|a|the)\b")
# "no further collapse": what can become more, and the words that say that it did not.
_GRADUAL = re.compile(r"height|collapse|wedging|^compression$|compression of|compression deformit")
_MORE = re.compile(
    r"\s*(?:(?:significant|appreciable|evidence of|interval)\s)?"
    r"(?:further|progressive|additional|increas\w+|worsening)\b(?:(?!\b(?:or|and|nor)\b)[^,;.])*"
)
# "no enhancement at the T12 fracture": the article takes the fracture for granted.
_DEFINITE = re.compile(r"\s+(?:the|this|that|these|those|known)\b")


def stated(words: Words, at: int, low: int, high: int) -> tuple[str, str]:
    """Statement ('rest' for a denial about the others only) and the words that made it so."""
    negation = negation_before(words, at, low)
    if negation is not None and _denies_more(words, negation, at):
        return "present", ""
    if negation is not None:
        said = words.tokens[negation].text
        return ("rest", "") if _is_about_rest(words, at) else ("absent", said)
    after = _after(words, at, high)
    if after is not None and after.role in (Role.NEGATION, Role.NEGATION_AFTER):
        return ("rest", "") if _is_about_rest(words, at) else ("absent", after.text)
    hedge = after if after is not None else _hedge(words, at, low)
    if hedge is not None:
        return "possible", hedge.text
    if words.is_asked_further and words.tokens[at].role is Role.DEFORMITY:
        asked = next(t for t in words.tokens if t.role is Role.RECOMMEND and t.rule.kind != "plan")
        return "possible", asked.text
    return "present", ""


def _denies_more(words: Words, negation: int, at: int) -> bool:
    """'No further collapse of L1', 'no progressive height loss': there was some before."""
    between = words.text[words.tokens[negation].end : words.tokens[at].start]
    return bool(_GRADUAL.search(words.tokens[at].text) and _MORE.fullmatch(between))


def _is_about_rest(words: Words, at: int) -> bool:
    """'No other fracture', 'the remaining vertebrae show no fracture', '余椎体未见骨折'."""
    low, _ = words.clause(at)
    return any(t.role is Role.REST for t in words.tokens[low:at])


def negation_before(words: Words, at: int, low: int) -> int | None:
    """The token before the finding that denies it."""
    for place in range(at - 1, low - 1, -1):
        token = words.tokens[place]
        is_chinese_after = token.role is Role.NEGATION_AFTER and not token.text.isascii()
        if token.role is Role.NEGATION or (is_chinese_after and place == at - 1):
            if ":" in words.text[token.end : words.tokens[at].start]:
                return None
            if _is_spent(words, place, at) or _is_out_of_reach(words, place, at):
                return None
            return place
    return None


def _is_spent(words: Words, negation: int, at: int) -> bool:
    """The negation denies an aspect of the fracture: 'no retropulsion of the fracture'."""
    aspect = None
    for place in range(negation + 1, at):
        token = words.tokens[place]
        is_spared = token.role in FINDINGS and _denies_more(words, negation, place)
        if is_spared or token.role in (Role.ASPECT, Role.IGNORE):
            aspect = place
        elif (
            token.role is Role.JOIN
            and aspect is not None
            and token.text in (",", "or", "nor", "及", "或", "、", "和")
        ):
            aspect = None
        elif token.role in (Role.PREPOSITION, Role.LINK):
            follows = words.text[token.end : words.tokens[at].start]
            if aspect is not None or _DEFINITE.match(follows):
                return True
    return False


def _is_out_of_reach(words: Words, negation: int, at: int) -> bool:
    """A comma, 'and' or a verb after the negation begins something new: 'no effusion, old T12 fracture'."""
    finding = words.tokens[at]
    joins = [p for p in range(negation + 1, at) if words.tokens[p].role is Role.JOIN]
    if not joins:
        return False
    last = joins[-1]
    after = words.tokens[last + 1 : at]
    has_verb = any(t.role is Role.VERB and t.text.isascii() for t in words.tokens[negation + 1 : last])
    between = words.text[words.tokens[last].end : finding.start]
    says_more = any(t.is_level or t.role in (Role.OLD, Role.UNCHANGED) for t in after)
    says_more |= bool(levels_of(finding.text)) or bool(_COUNTED.search(between))
    if words.tokens[last].is_comma:
        if not finding.text.isascii():
            return bool(after) or _starts_with_vertebra(finding) or bool(words.gap(last, at))
        follows = words.tokens[at + 1 : at + 3]
        says_more = says_more or any(t.is_level or t.role is Role.UNCHANGED for t in follows)
        # "no effusion, pneumothorax, or fracture": the list goes on. An "or" before the last comma has ended.
        lists_on = any(t.text in ("or", "nor") for t in words.tokens[at + 1 : at + 3])
        return (says_more and "or " not in between and not lists_on) or has_verb
    if words.tokens[last].text in ("and", "&"):
        has_age = any(t.role in (Role.OLD, Role.UNCHANGED) for t in after)
        return has_verb or has_age
    return False


def _starts_with_vertebra(finding: Token) -> bool:
    return finding.text[:1] in "椎锥脊胸腰"


def _doubts_attribute(words: Words, place: int) -> bool:
    """'Is likely chronic', 'is favoured to be chronic' doubt the age, not the fracture."""
    last = place  # of the doubt: its "to" is a word with a role too
    if any(token.text == "to" for token in words.tokens[place + 1 : place + 2]):
        last += 1
    follows = words.tokens[last + 1 : last + 3]
    return (
        words.tokens[place].role is Role.HEDGE_AFTER
        and words.tokens[place].text.isascii()
        and bool(follows)
        and follows[0].role in ATTRIBUTES
        and follows[0].role is not Role.MIMIC
        and words.gap(last, last + 1) in ("", "be")
        and not any(token.role is Role.FRACTURE for token in follows[1:])
    )


def _after(words: Words, at: int, high: int) -> Token | None:
    """The token behind the finding that denies or doubts it."""
    for place in range(at + 1, high):
        token = words.tokens[place]
        if token.role in (Role.NEGATION_AFTER, Role.HEDGE_AFTER):
            if _doubts_attribute(words, place):
                continue
            return token
        if token.role in (Role.NEGATION, Role.HEDGE) and words.ends_clause(place):
            return token
        if token.role is Role.HEDGE and token.rule.kind == "either":
            if _is_between(words, place, (Role.VERTEBRA,)):
                continue  # 'fracture of T11 versus T12': only which vertebra it is stands in doubt
            return token
        if token.role in FINDINGS and words.tokens[place - 1].role is not Role.JOIN:
            return None
        if token.role in (Role.NEGATION, Role.HEDGE):
            return None
        if token.is_comma and not _goes_on(words, place, high):
            return None
    return None


def _is_between(words: Words, at: int, roles: tuple[Role, ...]) -> bool:
    """An "either" with such words on both sides."""
    beside = words.tokens[at - 1 : at] + words.tokens[at + 1 : at + 2]
    is_either = words.tokens[at].rule.kind == "either"
    return is_either and len(beside) == 2 and all(token.role in roles for token in beside)


def _goes_on(words: Words, comma: int, high: int) -> bool:
    following = comma + 1
    if following >= high:
        return False
    role, gap = words.tokens[following].role, words.gap(comma, following)
    if role is Role.NEGATION_AFTER:
        return len(gap) <= _SHORT_GAP and words.ends_clause(following)
    return role in (Role.HEDGE_AFTER, Role.HEDGE) and not gap


def _hedge(words: Words, at: int, low: int) -> Token | None:
    """The token before the finding that doubts it."""
    for place in range(at - 1, low - 1, -1):
        token = words.tokens[place]
        if _is_between(words, place, AGES):
            continue  # "acute versus subacute fracture"
        if token.role in (Role.HEDGE, Role.HEDGE_AFTER):
            return None if _doubts_only_attribute(words, place, at) else token
        if token.is_comma:
            return None
        if token.role is Role.JOIN and not _joins_sites(words, place, low):
            return None
        if token.role in FINDINGS and words.tokens[place + 1].role not in (Role.JOIN, *FINDINGS):
            return None
    return None


def _joins_sites(words: Words, join: int, low: int) -> bool:
    if join - 1 < low:
        return False
    before = words.tokens[join - 1]
    linked = (Role.VERTEBRA, Role.OTHER_SITE, Role.PROCESS, *FINDINGS, *ATTRIBUTES)
    return before.role in linked and not words.gap(join - 1, join)


def _doubts_only_attribute(words: Words, hedge: int, at: int) -> bool:
    """'likely chronic compression fracture': the fracture is there, its age is in doubt."""
    if not words.tokens[hedge].rule.is_adverb or hedge + 1 >= at:
        return False
    return words.tokens[hedge + 1].role in ATTRIBUTES and not words.gap(hedge, hedge + 1)


def is_only_asked(words: Words, at: int, low: int) -> bool:
    """The mention is history, a question or a risk, no finding."""
    if any(
        t.role is Role.HISTORY and t.rule.kind == "sentence" and t.text not in "病史"
        for t in words.tokens[:at]
    ):
        return True
    following = words.tokens[at + 1 : at + 2]
    if following and following[0].role is Role.HISTORY and not words.gap(at, at + 1):
        return True
    for place in range(at - 1, low - 1, -1):
        token = words.tokens[place]
        if token.role in (Role.QUESTION, Role.HISTORY):
            return True
        if token.is_comma or (token.role is Role.VERB and token.text.isascii()):
            return False
    return False


def is_explained_away(words: Words, at: int) -> bool:
    """A deformity that the sentence calls physiological, or a Schmorl's node."""
    if any(t.role is Role.MIMIC and t.rule.kind == "growth" for t in words.tokens):
        return True
    before = at - 1
    if _is_endplate(words.tokens[at]) and before > 0 and words.tokens[before].is_comma:
        before -= 1  # "Schmorl's node, superior endplate depression"
    while before >= 0 and words.tokens[before].role in ATTRIBUTES:
        if words.tokens[before].role is Role.MIMIC and len(words.gap(before, at)) < 20:
            return True
        before -= 1
    if words.tokens[at].text and any(word in words.tokens[at].text for word in ("schmorl", "许莫")):
        return True
    return _is_explained_after(words, at)


def _is_endplate(finding: Token) -> bool:
    return any(word in finding.text for word in ("endplate", "end plate", "终板"))


def _is_explained_after(words: Words, at: int) -> bool:
    is_linked = is_divided = False
    for place in range(at + 1, len(words.tokens)):
        token = words.tokens[place]
        if token.role is Role.MIMIC:
            return is_linked or token.rule.kind != "noun"
        if token.role in (Role.LINK, Role.HEDGE, Role.HEDGE_AFTER) and token.rule.kind != "either":
            is_linked = True
        is_divided = is_divided or token.role is Role.JOIN
        if token.role is Role.VERTEBRA and not is_divided:
            continue
        if token.role in (*FINDINGS, Role.VERTEBRA, Role.STOP) or token.text in ("and", "及", "伴"):
            return False
    return False


def exempted(words: Words, at: int) -> tuple[str, ...]:
    """Levels that an exception takes out of a denial: 'no fracture except at L1', '除腰1外未见骨折'."""
    for place, token in enumerate(words.tokens):
        if token.role is not Role.EXCEPT:
            continue
        levels: set[str] = set()
        for following in words.tokens[place + 1 :]:
            if (
                following.role in FINDINGS
                or following.role in (Role.STOP, Role.NEGATION)
                or following.is_comma
            ):
                if following.role in (Role.FRACTURE, Role.DEFORMITY) and following is not words.tokens[at]:
                    levels.clear()  # that finding speaks for itself
                break
            if following.is_level:
                levels.update(levels_of(following.text))
        if levels:
            return in_order(levels)
    return ()
