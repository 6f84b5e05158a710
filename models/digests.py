"""How a model's digest is shown, and how a person names it: by its first digits. Pure."""

from __future__ import annotations

import re

SHOWN_DIGITS = 12
# One in four thousand million for two models by chance: an id of that kind is rarer than a slip of the finger.
FEWEST_DIGITS = 8
_DIGITS = re.compile(r"[0-9a-f]+")


def short_digest(digest: str) -> str:
    """The digits that are shown beside an id."""
    return digest[:SHOWN_DIGITS]


def is_digits(name: str) -> bool:
    """Whether a name may be the beginning of a digest."""
    return len(name) >= FEWEST_DIGITS and _DIGITS.fullmatch(name.lower()) is not None


def is_named_by(digest: str, name: str) -> bool:
    """Whether a name is this digest, or its first digits."""
    return digest == name or (is_digits(name) and digest.startswith(name.lower()))
