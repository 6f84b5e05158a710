"""Where a level may begin, from two signs: never "no" where the expression of a level matches."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from tasks.report_levels import LEVEL_PATTERN, LEVEL_SIGNS, can_begin_level

WORDS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
    "th thoracic lumbar dorsal cervical"
)
PIECES = [
    *WORDS.split(),
    *"tldcs",
    *"0123456789",
    *"胸腰颈骶第椎锥体一二三九十、及",
    "st",
    "nd",
    " ",
    "\n",
    "-",
    "/",
    "vertebra",
]
LEVEL = re.compile(LEVEL_PATTERN)


@given(st.lists(st.sampled_from(PIECES), min_size=2, max_size=7).map("".join))
@example("1st lumbar")
@example("胸 椎体 12")
@example("第十二胸椎")
@example("twelfth thoracic")
@example("lumbar 2")
@example("12腰椎")
def test_no_level_is_missed(text: str) -> None:
    if LEVEL.match(text):
        assert text[0] in LEVEL_SIGNS
        assert can_begin_level(text[:1])
        assert can_begin_level(text[:2])
        assert can_begin_level("".join(text.split())[:2])  # the signs of Chinese text, blanks left out


def test_most_words_begin_no_level() -> None:
    for word in ("decreased", "compression", "stable", "no", "endplate", "flattening", "胸膜", "骶管", "L1"):
        assert not can_begin_level(word[:2])
