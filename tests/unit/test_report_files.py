"""Files of reports: encodings, columns, dates and states as hospitals write them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from flows.report_label import MissingColumn, label_file
from tasks.report_files import ReportFileError, columns_of, encoding_of, read_rows, write_rows
from tasks.report_rows import parse_date, read_report
from tasks.report_versions import Version, label_versions
from tasks.statements import shipped_labeller

CHINESE = "accession_number,text\nA1,胸12椎体压缩性骨折，陈旧性。\n"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (CHINESE.encode("utf-8"), "utf-8"),
        (CHINESE.encode("utf-8-sig"), "utf-8-sig"),
        (CHINESE.encode("utf-16"), "utf-16"),
        (CHINESE.encode("gb18030"), "gb18030"),
        (CHINESE.encode("gbk"), "gb18030"),
        ("text\nA café; 5° wedge; naïve résumé\n".encode("cp1252"), "cp1252"),
        (b"text\nplain\n", "utf-8"),
    ],
)
def test_T45_encodings_are_told_apart(tmp_path: Path, content: bytes, encoding: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(content)
    assert encoding_of(path) == encoding
    rows = list(read_rows(path))
    assert rows[0]["text"] == content.decode(encoding).split("\n")[1].removeprefix("A1,")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_fields_are_told_apart_as_spreadsheets_write_them(tmp_path: Path, encoding: str, sign: str) -> None:
    path = tmp_path / "r.csv"
    path.write_text(
        f'accession_number{sign}text\r\nA1{sign}"one, two; three"\r\n', encoding=encoding, newline=""
    )
    assert columns_of(path) == ["accession_number", "text"]
    assert list(read_rows(path)) == [{"accession_number": "A1", "text": "one, two; three"}]


def test_a_spreadsheet_is_told_from_a_text(tmp_path: Path) -> None:
    path = tmp_path / "labels.xlsx"
    path.write_bytes(b"PK\x03\x04\x14\x00")
    with pytest.raises(ReportFileError, match="save it as CSV"):
        columns_of(path)


def test_T45_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"text\n\x81\x8d\xff\xff\n")
    with pytest.raises(ReportFileError, match="neither UTF-8 nor GB18030"):
        encoding_of(path)


def test_T46_signs_and_long_texts_survive_a_round_trip(tmp_path: Path) -> None:
    texts = ['=HYPERLINK("x")', "a\nb\r\nc", "\u202e\x00🦴", '"quoted", and; more', "x" * 10_000_000]
    for name in ("r.csv", "r.parquet"):
        path = tmp_path / name
        write_rows(path, ["text"], [{"text": text} for text in texts], [])
        assert [row["text"] for row in read_rows(path)] == texts
        assert path.stat().st_mode & 0o077 == 0


def test_T46_no_spreadsheet_takes_our_columns_for_formulas(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_text('text\n"=1+1 no fracture"\n', encoding="utf-8")
    label_file(source, target, shipped_labeller())
    (row,) = read_rows(target)
    assert (row["text"], row["evidence"]) == ("=1+1 no fracture", "'=1+1 no fracture")


def test_a_label_keeps_the_columns_that_were_there(tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.parquet"
    source.write_text("id,text,statement\n1,No fracture.,mine\n2,,\n", encoding="utf-8")
    labelled = label_file(source, target, shipped_labeller())
    assert labelled.renamed == ("ovf_statement",)
    assert labelled.counts == {"absent": 1, "unread": 1}
    assert columns_of(target)[:4] == ["id", "text", "statement", "ovf_statement"]
    assert [row["ovf_statement"] for row in read_rows(target)] == ["absent", "unread"]


def test_a_missing_column_names_those_there_are(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,report\n1,x\n", encoding="utf-8")
    with pytest.raises(MissingColumn, match="its columns are: id, report"):
        label_file(source, tmp_path / "out.csv", shipped_labeller())


@pytest.mark.parametrize("content", [b"text\na,b\n", b"PAR1 not really"])
def test_broken_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / ("r.parquet" if content.startswith(b"PAR1") else "r.csv")
    path.write_bytes(content)
    with pytest.raises(ReportFileError):
        list(read_rows(path))


@pytest.mark.parametrize(("encoding", "n_lost"), [("gb18030", 1), ("utf-8", 1), ("utf-8", 2)])
def test_T45_a_text_cut_in_a_sign_is_not_taken_for_another_encoding(
    tmp_path: Path, encoding: str, n_lost: int
) -> None:
    """One byte-cut row among many: read as Windows-1252, a whole hospital would say nothing."""
    path = tmp_path / "r.csv"
    rows = "".join(f"A{n},腰{n % 5 + 1}椎体压缩性骨折，双肺未见异常。\n" for n in range(50)).encode(encoding)
    cut = "A99,胸12椎体压缩".encode(encoding)[:-n_lost]
    path.write_bytes(b"accession_number,text\n" + rows + cut + b"\n" + rows)
    with pytest.raises(ReportFileError, match="but for some bytes"):
        encoding_of(path)


@pytest.mark.parametrize("encoding", ["big5", "shift_jis"])
def test_T45_another_script_is_not_taken_for_GB18030(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "r.csv"
    text = "腰椎壓迫性骨折，雙肺無異常" if encoding == "big5" else "腰椎の圧迫骨折を認める。肺に異常なし"
    path.write_bytes(("text\n" + f"{text}\n" * 40).encode(encoding))
    with pytest.raises(ReportFileError, match="encoding"):
        encoding_of(path)


def test_T45_a_quote_that_never_closes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text('accession_number,text\n1,"fine\nand long"\n2,"never closed\n3,swallowed\n4,swallowed\n')
    with pytest.raises(ReportFileError, match="quote"):
        list(read_rows(path))
    path.write_text('accession_number,text\n1,"fine\nand long"\n2,"with ""quotes""\nand lines"\n')
    assert [row["accession_number"] for row in read_rows(path)] == ["1", "2"]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Addendum 1", "addendum"),
        ("Preliminary Report", "preliminary"),
        ("Corrected Report", "corrected"),
        ("初步报告", "preliminary"),
        ("R", "preliminary"),
        ("W", "cancelled"),
        ("F", "final"),
    ],
)
def test_a_status_with_a_number_or_a_noun_is_known(word: str, status: str) -> None:
    report = read_report({"status": word})
    assert (report.status, report.has_unknown_status) == (status, False)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2024-01-31", (2024, 1, 31)),
        ("2024-01-31T09:30:05+08:00", (2024, 1, 31, 9, 30, 5)),
        ("20240131", (2024, 1, 31)),
        ("20240131093005", (2024, 1, 31, 9, 30, 5)),
        ("2024/1/3 9:05", (2024, 1, 3, 9, 5)),
        ("2024年1月31日 09:30", (2024, 1, 31, 9, 30)),
        ("31.01.2024", (2024, 1, 31)),
        ("2024-01-31 2:05PM", (2024, 1, 31, 14, 5)),
        ("2024-01-31 12:05 a.m.", (2024, 1, 31, 0, 5)),
        ("2024-01-31 14:05 pm", (2024, 1, 31, 14, 5)),
        (dt.date(2024, 1, 31), (2024, 1, 31)),
        ("1/2/2024", None),
        ("2024-02-31", None),
        ("yesterday", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_dates(given: object, expected: tuple[int, ...] | None) -> None:
    assert parse_date(given) == (expected and dt.datetime(*expected, tzinfo=dt.UTC))  # type: ignore[arg-type]


def test_a_row_is_read_with_its_habits() -> None:
    report = read_report(
        {"accession_number": 123.0, "report_date": "soon", "text": None, "status": "Verified"}
    )
    assert (report.accession_number, report.status, report.text) == ("123", "final", "")
    assert report.has_unreadable_date
    assert not report.has_unknown_status
    assert read_report({"status": "??"}).has_unknown_status
    assert "123" not in repr(report)


def test_versions_do_not_depend_on_their_order() -> None:
    day = dt.datetime(2024, 1, 1)
    versions = [
        Version("base", "final", day, 1, "L1 compression fracture."),
        Version("add", "addendum", day, 2, "On review no vertebral fracture."),
        Version("other", "final", day, 3, "Acute T8 compression fracture.", is_in_group=False),
    ]
    labels = label_versions(versions, shipped_labeller())
    assert {key: label.statement for key, label in labels.items()} == {
        "base": "present",
        "add": "absent",
        "other": "present",
    }
    assert label_versions(versions[::-1], shipped_labeller()) == labels
