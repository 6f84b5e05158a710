"""A PACS that answers oddly: it tells little, cuts answers short, sends what no standard knows. Nothing is lost."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from factory import make_ct_series, uid
from pydicom import Dataset, dcmread
from pydicom.config import RAISE, disable_value_validation, settings
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag
from pynetdicom import AE, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from flows.errors import SettingsError
from flows.pacs import archive_name, read_login
from flows.settings import read_settings
from tasks.crawl import crawl
from tasks.index import Index
from tasks.pull import Spool
from tasks.sources import dimse
from tasks.sources.answers import Answer, answer_of, count, merged
from tasks.sources.courtesy import Courtesy, Manners
from tasks.sources.pacs import PacsSource, Scope
from tasks.sources.pacs_client import Broken, Found, Keep, Login, Span

TODAY = dt.date(2026, 11, 28)
MANNERS = Manners(rate_per_s=10_000, tries=1)
STUDY, SERIES, SOP = "0020000D", "0020000E", "00080018"
# What an archive may tell of an image by C-FIND: its class and its pixel format, and nothing of where it lies.
FORMAT_ONLY = (SOP, "00080016", "00200013", "00280010", "00280011", "00280100", "00280008")


@dataclass
class Told:
    """A PACS in memory: the answers that the files of a folder give, changed by `change` at any level."""

    folder: Path
    tags: tuple[str, ...] | None = None  # of an image; None: all
    change: Callable[[str, list[Answer]], list[Answer]] = lambda level, answers: answers
    kind: str = "dimse"
    n_fetched: int = 0

    def __post_init__(self) -> None:
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        self.files = [(path.read_bytes(), dcmread(path)) for path in paths]

    def _level(self, keyword: str, of: dict[str, str]) -> dict[str, list[Dataset]]:
        found: dict[str, list[Dataset]] = {}
        for _, each in self.files:
            if all(each[name].value == wanted for name, wanted in of.items()):
                found.setdefault(str(each[keyword].value), []).append(each)
        return found

    def echo(self) -> None:
        pass

    def close(self) -> None:
        pass

    def studies(self, span: Span, modality: str | None, study_uid: str | None = None) -> Found:
        answers = []
        for study, sets in self._level("StudyInstanceUID", {}).items():
            n_series = len({each.SeriesInstanceUID for each in sets})
            answers.append(
                {
                    STUDY: _of("UI", study),
                    "00080020": _of("DA", "20240110"),
                    "00100020": _of("LO", "P"),
                    "00201206": _of("IS", n_series),
                }
            )
        return Found(self.change("study", answers))

    def series(self, study: Answer) -> list[Answer]:
        found = self._level("SeriesInstanceUID", {"StudyInstanceUID": study[STUDY]["Value"][0]})
        answers: list[Answer] = [
            {SERIES: _of("UI", series), "00080060": _of("CS", "CT"), "00201209": _of("IS", len(sets))}
            for series, sets in found.items()
        ]
        return [merged(study, each) for each in self.change("series", answers)]

    def instances(self, study_uid: str, series_uid: str, *, in_full: bool) -> list[Answer]:
        found = self._level("SOPInstanceUID", {"SeriesInstanceUID": series_uid})
        answers = []
        for (each,) in found.values():
            told = each.to_json_dict(bulk_data_threshold=64, bulk_data_element_handler=lambda _: "")
            answers.append({tag: told[tag] for tag in self.tags or told if tag in told and tag != "7FE00010"})
        return self.change(f"image {series_uid}", answers)

    def fetch(self, study_uid: str, series_uid: str, keep: Keep) -> None:
        self.n_fetched += 1
        for content, each in self.files:
            if each.SeriesInstanceUID == series_uid:
                keep(content)


def _of(vr: str, *values: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": list(values)}


def crawled(pacs: Told, index: Path) -> tuple[Counter[str], dict[str, int]]:
    """One walk: what ended without being read, by outcome and reason; instances whose place is known, by study."""
    source = PacsSource(pacs, Courtesy(MANNERS), Scope(), TODAY, salt=str(id(pacs)))  # type: ignore[arg-type]
    try:
        with Index(index) as opened:
            list(crawl(source, opened, read_batch=source.read, batch_files=4, in_flight=4, stable_s=0))
            ended: Counter[str] = Counter()
            for outcome, reason, n in opened.file_counts():
                ended[f"{outcome} {reason or ''}".strip()] += n
            placed = {}
            for study in {str(each.StudyInstanceUID) for _, each in pacs.files}:
                try:
                    known = opened.instances_of(study)
                except KeyError:
                    continue
                ended.update(f"{each.outcome} {each.reason}" for each in known.issues)
                placed[study] = sum(each.position_mm is not None for each in known.instances)
            return ended, placed
    finally:
        source.close()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two studies: one of three series, one of one; three images each."""
    folder = tmp_path / "archive"
    for name, n_series in (("one", 3), ("two", 1)):
        for number in range(n_series):
            uids = {"StudyInstanceUID": uid(name), "SeriesInstanceUID": uid(name, str(number))}
            make_ct_series(
                folder / f"{name}{number}", 3, seed=number, rows=16, columns=16, PatientID="P", **uids
            )
    return folder


def test_images_whose_place_is_not_told_are_judged_by_their_files(archive: Path, tmp_path: Path) -> None:
    pacs = Told(archive, FORMAT_ONLY)
    _, placed = crawled(pacs, tmp_path / "index")
    assert placed == {uid("one"): 9, uid("two"): 3}
    assert pacs.n_fetched == 4
    told = Told(archive)
    assert crawled(told, tmp_path / "other")[1] == placed
    assert told.n_fetched == 0


@pytest.mark.parametrize("n_left", [0, 2])
def test_T48_series_that_an_answer_leaves_out_have_not_gone(
    archive: Path, tmp_path: Path, n_left: int
) -> None:
    index = tmp_path / "index"
    before, placed = crawled(Told(archive), index)
    short = Told(archive, change=lambda level, answers: answers[:n_left] if level == "series" else answers)
    ended, still = crawled(short, index)
    assert still == placed
    assert ended["failed pacs_query"] >= 1
    assert crawled(Told(archive), index) == (before, placed)


ODD = {
    "a path as UID": ("series", lambda answer: answer | {SERIES: _of("UI", "../1.2")}),
    "an element that is null": ("series", lambda answer: answer | {"00080060": None}),
    "a number that is none": ("series", lambda answer: answer | {"00201209": _of("IS", "²")}),
    "a list in the place of an element": ("image", lambda answer: answer | {"00280030": ["0.5"]}),
}


@pytest.mark.parametrize("name", ODD)
def test_an_answer_that_no_standard_knows_harms_no_neighbour(
    archive: Path, tmp_path: Path, name: str
) -> None:
    level, change = ODD[name]
    first = uid("one", "0")

    def changed(asked: str, answers: list[Answer]) -> list[Answer]:
        if asked == level == "series":
            return [change(each) if each[SERIES]["Value"] == [first] else each for each in answers]
        return (
            [change(each) for each in answers] if asked == f"image {first}" == f"{level} {first}" else answers
        )

    ended, placed = crawled(Told(archive, change=changed), tmp_path / "index")
    assert placed[uid("two")] == 3
    assert placed[uid("one")] >= 6
    assert not [reason for reason in ended if "worker_died" in reason]


def test_a_study_whose_UID_is_none_is_told(archive: Path, tmp_path: Path) -> None:
    def changed(level: str, answers: list[Answer]) -> list[Answer]:
        return [*answers, {STUDY: _of("UI", "1/../2")}] if level == "study" else answers

    ended, placed = crawled(Told(archive, change=changed), tmp_path / "index")
    assert ended["failed pacs_query"] == 1
    assert placed == {uid("one"): 9, uid("two"): 3}


def test_T48_images_of_another_series_do_not_make_one_whole(archive: Path, tmp_path: Path) -> None:
    pacs = Told(archive, FORMAT_ONLY)
    lost = next(n for n, (_, each) in enumerate(pacs.files) if each.SeriesInstanceUID == uid("two", "0"))
    foreign = next(content for content, each in pacs.files if each.SeriesInstanceUID == uid("one", "0"))
    all_files = list(pacs.files)

    def fetch(study_uid: str, series_uid: str, keep: Keep) -> None:
        if series_uid == uid("two", "0"):
            keep(foreign)
        for number, (content, each) in enumerate(all_files):
            if each.SeriesInstanceUID == series_uid and number != lost:
                keep(content)

    pacs.fetch = fetch  # type: ignore[method-assign]
    ended, placed = crawled(pacs, tmp_path / "index")
    assert placed[uid("one")] == 9
    assert placed.get(uid("two"), 0) == 0
    assert ended["failed pacs_query"] == 1


def test_a_study_does_not_wait_for_room_that_it_holds_itself(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", most_bytes=100)
    assert not spool.reserve("study", 70, lambda: "too late")
    (spool.folder / "study").mkdir()
    assert spool.reserve("study", 80, lambda: None)
    assert not (spool.folder / "study").exists()
    spool.release("study")
    assert not spool.reserve("other", 100, lambda: "too late")


def test_the_last_second_of_a_range_is_asked_for_with_its_fractions() -> None:
    assert Span(TODAY, TODAY, 600, 720).times == "100000-115959.999999"


def test_what_is_only_longer_than_the_standard_has_it_is_read_and_pydicom_stays_as_lenient_as_it_was() -> (
    None
):
    """Strictness would be the whole process's, its header reading in other threads included."""
    long_place = "-161.20000000000001819"
    told = Dataset()
    with disable_value_validation():
        told.StudyInstanceUID = "a" * 70
        told[0x00201041] = RawDataElement(
            BaseTag(0x00201041), "DS", len(long_place), long_place.encode(), 0, False, True
        )
        told[0x00200013] = RawDataElement(BaseTag(0x00200013), "IS", 2, b"x ", 0, False, True)
    seen: list[int] = []

    class Watching(Dataset):
        def __getitem__(self, key: Any) -> Any:
            seen.append(settings.reading_validation_mode)
            return super().__getitem__(key)

    answer = answer_of(Watching(told))
    assert sorted(answer) == ["0020000D", "00201041"]
    assert float(answer["00201041"]["Value"][0]) == float(long_place)
    assert RAISE not in seen
    assert seen


def test_counts_are_plain_numbers() -> None:
    assert [count({SOP: _of("IS", text)}, SOP) for text in ("3", "²", "-1", "x")] == [3, None, None, None]


def test_an_address_of_version_6_keeps_its_brackets() -> None:
    address = "dicomweb+http://[::1]:8042/dicom-web"
    assert archive_name(address) == address


def test_wrong_certificates_are_named_before_anybody_is_talked_to(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    for name in ("pacs_ca", "pacs_cert"):
        with pytest.raises(SettingsError, match=f"{name}.*ca.pem"):
            read_login(read_settings(**{name: wrong}))
    with pytest.raises(SettingsError, match=r"pacs_key.*cannot be read"):
        read_login(read_settings(pacs_key=tmp_path / "absent.pem"))


def test_T48_a_query_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real C-FIND over loopback whose peer gives the same answer again and again."""
    monkeypatch.setattr(dimse, "MOST_REPEATED", 50)

    def answers(event: evt.Event) -> Iterator[tuple[int, Dataset]]:
        told = Dataset()
        told.QueryRetrieveLevel, told.StudyInstanceUID = "STUDY", "1.2.3"
        while not event.is_cancelled and event.assoc.is_established:
            yield 0xFF00, told

    entity = AE(ae_title="PACS")
    for context in (StudyRootQueryRetrieveInformationModelFind, Verification):
        entity.add_supported_context(context)
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, answers)])
    pacs = dimse.DimsePacs(
        dimse.DimseAddress("127.0.0.1", server.server_address[1], "PACS", "OVF"), Login(), 5.0
    )
    try:
        with pytest.raises(Broken, match="no_progress"):
            pacs.studies(Span(), "CT")
    finally:
        pacs.close()
        server.shutdown()
