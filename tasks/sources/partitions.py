"""Which questions find all studies of a range, although a PACS answers only so many at a time. Pure but for asking.

A range whose answer is cut is halved by days, then a day by its minutes, until every answer is whole. What one question
told is kept even where its halves do not tell of it (studies without a time of day).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from tasks.sources.answers import Answer, value
from tasks.sources.courtesy import Stopped
from tasks.sources.pacs_client import Found, PacsError, Span

FIRST_DAY = dt.date(1975, 1, 1)  # the first body CTs
STUDY_UID = "0020000D"


@dataclass(frozen=True, slots=True)
class Part:
    """What is known of one range: its studies, and the code of what went wrong with it."""

    span: Span
    studies: tuple[Answer, ...]
    problem: str | None = None


def parts_of(
    span: Span, ask: Callable[[Span], Found], *, most_answers: int, today: dt.date
) -> Iterator[Part]:
    """Every study of the span, once. As many answers as `most_answers` count as cut, whatever the PACS says.

    A range that cannot be asked about is a part with a problem, and the others go on. Raises Stopped.
    """
    seen: set[str] = set()
    todo = [span]
    while todo:
        part = todo.pop()
        try:
            found = ask(part)
        except Stopped:
            raise
        except PacsError as error:
            yield Part(part, (), error.code)
            continue
        new = [each for each in found.answers if (value(each, STUDY_UID) or "") not in seen]
        seen.update(value(each, STUDY_UID) or "" for each in new)
        is_cut = found.is_cut or len(found.answers) >= most_answers
        halves = _halves(part, today) if is_cut else []
        yield Part(part, tuple(new), "answer_cut" if is_cut and not halves else None)
        todo.extend(reversed(halves))


def _halves(span: Span, today: dt.date) -> list[Span]:
    """Two halves; nothing where a single minute is left."""
    first = span.since or FIRST_DAY
    last = span.until or max(today, first) + dt.timedelta(days=1)
    if first < last:
        middle = first + (last - first) // 2
        after = middle + dt.timedelta(days=1)
        return [replace(span, since=span.since, until=middle), replace(span, since=after, until=span.until)]
    if span.to_minute - span.from_minute <= 1:
        return []
    middle_minute = (span.from_minute + span.to_minute) // 2
    day = replace(span, since=first, until=last)
    return [replace(day, to_minute=middle_minute), replace(day, from_minute=middle_minute)]
