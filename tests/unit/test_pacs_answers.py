"""What a PACS answers becomes the same rows as its files would, and every study is found however short answers are."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pydicom
import pytest
from factory import make_ct_series, make_enhanced_ct

from tasks.header import read_headers
from tasks.instance import FileRef, Instance
from tasks.sources import open_source
from tasks.sources.answers import digest_of, instance_of_answer, merged, token, value
from tasks.sources.pacs_client import Found, PacsError, Refused, Span
from tasks.sources.partitions import parts_of

# What only the file knows; and its name and its digest, which are of the answer here.
OF_THE_FILE = {
    "file",
    "content_digest",
    "transfer_syntax_uid",
    "pixel_offset",
    "pixel_length",
    "specific_character_set",
    "remarks",
}
TODAY = dt.date(2026, 11, 28)


def _both(path: Path) -> tuple[Instance, Instance]:
    """The instance by its file, and by what a server says of it."""
    found = path.stat()
    ref = FileRef(path.name.encode(), None, found.st_size, found.st_mtime_ns)
    by_file = read_headers(open_source(str(path.parent)), [ref])[0]
    assert isinstance(by_file, Instance)
    told = pydicom.dcmread(path, stop_before_pixels=True).to_json_dict()
    return by_file, instance_of_answer(json.loads(json.dumps(told)), ref)


@pytest.mark.parametrize("kind", ["axial", "enhanced", "odd"])
def test_an_answer_gives_the_instance_of_its_file(kind: str, tmp_path: Path) -> None:
    if kind == "enhanced":
        path = make_enhanced_ct(tmp_path / "e.dcm")
    else:
        odd = {
            "RescaleSlope": None,
            "PatientAge": None,
            "SeriesDescription": "腹部",
            "ImageType": ["DERIVED"],
        }
        more = odd | {"SpecificCharacterSet": "ISO_IR 192"} if kind == "odd" else {}
        path = make_ct_series(tmp_path, n=3, **more)[1]  # type: ignore[arg-type]
    by_file, by_answer = _both(path)
    for field in fields(Instance):
        if field.name not in OF_THE_FILE:
            assert getattr(by_answer, field.name) == getattr(by_file, field.name), field.name


def test_a_digest_is_of_the_instance_not_of_where_it_was_found() -> None:
    study = {"00100020": {"vr": "LO", "Value": ["A"]}, "00201208": {"vr": "IS", "Value": [7]}}
    image = {"00080018": {"vr": "UI", "Value": ["1.2"]}, "00100020": {"vr": "LO"}}
    answer = merged(study, image)
    assert value(answer, "00100020") == "A"
    assert digest_of(answer) == digest_of(answer | {"00201208": {"vr": "IS", "Value": [8]}})
    assert digest_of(answer) != digest_of(answer | {"00100020": {"vr": "LO", "Value": ["B"]}})
    assert token("a", 1) == token("a", 1) != token("a", 2)
    assert 0 <= token("a") < 2**59  # as a time it lies in the past: nothing waits for it to settle


def _server(studies: dict[str, tuple[dt.date | None, int]], most: int) -> Callable[[Span], Found]:
    """Answers with at most so many studies, without a word of what it left out."""

    def ask(span: Span) -> Found:
        if span.dates is None:
            found = list(studies)
        else:
            found = [
                uid
                for uid, (day, minute) in studies.items()
                if day is not None
                and (span.since or day) <= day <= (span.until or day)
                and (span.times is None or span.from_minute <= minute < span.to_minute)
            ]
        return Found([{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in found[:most]])

    return ask


def test_T48_answers_that_are_cut_are_halved_until_nothing_is_missing() -> None:
    days = [
        dt.date(1999, 12, 31),
        *(dt.date(2024, 2, 28) + dt.timedelta(days=n % 3) for n in range(60)),
        TODAY,
    ]
    studies = {f"1.{n}": (day, (n * 7) % 1440) for n, day in enumerate(days)}
    parts = list(parts_of(Span(), _server(studies, 10), most_answers=10, today=TODAY))
    uids = [value(each, "0020000D") for part in parts for each in part.studies]
    assert sorted(uids) == sorted(studies)  # each once
    assert not [part.problem for part in parts if part.problem]
    one = list(parts_of(Span(TODAY, TODAY), _server(studies, 10), most_answers=10, today=TODAY))
    assert [value(each, "0020000D") for part in one for each in part.studies] == [f"1.{len(days) - 1}"]


def test_what_cannot_be_halved_or_asked_is_said_and_the_rest_goes_on() -> None:
    same_minute = {f"1.{n}": (TODAY, 600) for n in range(12)}
    parts = list(parts_of(Span(TODAY, TODAY), _server(same_minute, 10), most_answers=10, today=TODAY))
    assert [part.problem for part in parts if part.problem] == ["answer_cut"]
    assert sum(len(part.studies) for part in parts) == 10  # what was told is kept

    def ask(span: Span) -> Found:
        if span.since == dt.date(2026, 11, 1) and span.until != dt.date(2026, 11, 30):
            raise Refused("http_500")
        return Found(
            [{"0020000D": {"vr": "UI", "Value": [str(span.since)]}}] * 9,
            is_cut=span.dates is not None
            and span.until == dt.date(2026, 11, 30)
            and span.since == dt.date(2026, 11, 1),
        )

    parts = list(
        parts_of(Span(dt.date(2026, 11, 1), dt.date(2026, 11, 30)), ask, most_answers=10, today=TODAY)
    )
    assert [part.problem for part in parts] == [None, "http_500", None]
    assert issubclass(Refused, PacsError)
