"""Reports in a real warehouse: stored, linked, labelled, counted; twice is once."""

from __future__ import annotations

import csv
import stat
from pathlib import Path
from typing import Any

import duckdb
import pytest
import warehouse_rows as rows
from stores import copied

from flows.report_import import ImportCounts, import_reports
from flows.report_label import label_file
from flows.report_relabel import differences
from flows.report_summary import diff_lines, import_lines
from tasks.identity import Pseudonymizer, load_or_create_key
from tasks.statements import Labeller, lexicon_with, shipped_labeller
from warehouse.checks import run_checks
from warehouse.landing import LandingBatch
from warehouse.queries import query
from warehouse.store import Store

PRESENT = "FINDINGS: Compression fracture of L1. IMPRESSION: L1 compression fracture, chronic."
ABSENT = "FINDINGS: No vertebral fracture."


def row(accession: str | None = "ACC-a", text: str = PRESENT, **others: Any) -> dict[str, Any]:
    return {"accession_number": accession, "report_date": "2020-03-01", "text": text} | others


@pytest.fixture(scope="module")
def two_studies(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A warehouse with studies a, b (patients a, b) and two studies of one accession number. Copied, never changed."""
    store = Store.open(tmp_path_factory.mktemp("studies") / "w.duckdb")
    for name in ("a", "b"):
        store.land(rows.one_scored_study(name))
    twins = [
        rows.records.StudyIdentity(f"study-t{n}", f"patient-{n}", f"1.2.{n}", "ACC-t") for n in ("a", "b")
    ]
    archive = rows.archive(n_files=40, n_studies=2, n_series=4)
    store.land(LandingBatch(archives=[archive], runs=[rows.run()], study_identities=twins))
    return store


@pytest.fixture
def store(two_studies: Store, tmp_path: Path) -> Store:
    return copied(two_studies, tmp_path / "w")


def load(store: Store, *given: dict[str, Any], labeller: Labeller | None = None) -> ImportCounts:
    return import_reports(store, given, labeller or shipped_labeller())


def ask(store: Store, sql: str) -> list[tuple[Any, ...]]:
    with store.read_live_identified() as connection:
        return connection.execute(sql).fetchall()


def statements(store: Store) -> dict[str, str]:
    return dict(ask(store, "SELECT study_key, statement FROM current_statement"))


def tables(store: Store) -> list[list[tuple[Any, ...]]]:
    names = ("report", "report_statement", "lexicon", "identity.report_text", "identity.report_evidence")
    return [ask(store, f"SELECT * FROM {name} ORDER BY ALL") for name in names]


def test_reports_are_linked_and_labelled(store: Store) -> None:
    counts = load(
        store,
        row(),
        row("ACC-b", ABSENT, patient_id="PID-b", status="final", report_id="R1", reader_group=" night "),
    )
    assert ask(store, "SELECT study_key, reader_group FROM current_report ORDER BY 1") == [
        ("study-a", None), ("study-b", "night"),
    ]  # fmt: skip
    assert statements(store) == {"study-a": "present", "study-b": "absent"}
    assert (counts.n_rows, counts.n_new, counts.n_known) == (2, 2, 0)
    assert counts.ended == {("linked", None): 2}
    with store.read() as connection:
        exported = connection.execute(query("export_scores"), {"model_digest": None}).fetchall()
    assert {line[0]: line[-1] for line in exported} == {"study-a": "present", "study-b": "absent"}


def test_T46_importing_twice_changes_nothing(store: Store) -> None:
    given = [row(), row("ACC-b", ABSENT), row("ACC-none"), row(None), row()]
    first = load(store, *given)
    before = tables(store)
    second = load(store, *given)
    assert tables(store) == before
    assert (first.n_new, first.n_known) == (4, 1)
    assert (second.n_new, second.n_known, second.n_rows) == (0, 5, 5)
    assert second.changes == []


@pytest.mark.parametrize(
    ("given", "outcome", "reason"),
    [
        (row("ACC-none"), "pending", "link_no_study"),
        (row(None), "quarantined", "link_no_accession"),
        (row(patient_id="PID-b"), "quarantined", "link_patient"),
        (row("ACC-t"), "quarantined", "link_ambiguous"),
        (row(status="cancelled"), "excluded", "report_cancelled"),
        (row(" ACC-a "), "linked", None),
        (row("ACC-t", patient_id="PID-b"), "linked", None),
    ],
)
def test_T46_every_report_ends_linked_or_with_a_reason(
    store: Store, given: dict[str, Any], outcome: str, reason: str | None
) -> None:
    counts = load(store, given)
    assert counts.ended == {(outcome, reason): 1}
    assert sum(counts.ended.values()) == counts.n_new
    with store.read_live() as connection:
        assert [
            result for result in run_checks(connection) if not result.passed and "report" in result.name
        ] == []


def test_T46_another_patients_report_is_no_version_of_this_one(store: Store) -> None:
    load(store, row(text=ABSENT), row(patient_id="PID-b", report_date="2020-05-01"))
    assert statements(store) == {"study-a": "absent"}


def test_one_accession_number_of_two_studies_is_two_reports(store: Store) -> None:
    load(
        store,
        row("ACC-t", ABSENT, patient_id="PID-a"),
        row("ACC-t", PRESENT, patient_id="PID-b", report_date="2020-03-02"),
        row("ACC-t", "Phoned to the ward.", patient_id="PID-a", status="addendum", report_date="2020-03-03"),
    )
    assert statements(store) == {"study-ta": "absent", "study-tb": "present"}


def test_a_report_that_came_before_its_study_finds_it_later(store: Store) -> None:
    load(store, row("ACC-c"))
    assert statements(store) == {}
    store.land(rows.one_scored_study("c"))
    counts = load(store)
    assert counts.ended == {("linked", None): 1}
    assert statements(store) == {"study-c": "present"}


# Versions of one report, as they come: date, status, text; and what they say together.
VERSIONS = [
    ([("2020-03-01", "final", PRESENT), ("2020-03-02", "corrected", ABSENT)], "absent"),
    ([("2020-03-02", "corrected", ABSENT), ("2020-03-01", "final", PRESENT)], "absent"),
    ([("2020-03-01", "final", ABSENT), ("2020-03-01", "corrected", PRESENT)], "present"),
    ([("2020-03-01", "final", ABSENT), ("2020-03-05", "preliminary", PRESENT)], "absent"),
    ([("2020-03-01", "final", PRESENT), ("2020-03-02", "cancelled", ABSENT)], "present"),
    ([("2020-03-01", "final", PRESENT), ("2020-03-02", "addendum", "Phoned to the ward.")], "present"),
    ([("2020-03-01", "final", ABSENT), ("2020-03-02", "addendum", "L1 compression fracture is seen.")], "present"),
    ([("2020-03-01", "final", PRESENT), ("2020-03-02", "addendum", "There is no vertebral fracture.")], "absent"),
    ([("2020-03-02", "addendum", "There is no vertebral fracture."), ("2020-03-01", "final", PRESENT)], "absent"),
    ([("2020-03-01", "final", PRESENT), ("2020-03-02", "addendum", PRESENT + " Phoned.")], "present"),
]  # fmt: skip


@pytest.mark.parametrize("is_split", [False, True])
def test_T46_the_newest_final_version_counts(tmp_path: Path, is_split: bool) -> None:
    """One study for each of VERSIONS; `is_split`: the second versions come in another file."""
    store = Store.open(tmp_path / "w.duckdb")
    for number in range(len(VERSIONS)):
        store.land(rows.one_scored_study(f"v{number}"))
    files = [
        [
            row(f"ACC-v{number}", text, report_date=date, status=status)
            for number, (versions, _) in enumerate(VERSIONS)
            for date, status, text in [versions[place]]
        ]
        for place in range(2)
    ]
    for given in files if is_split else [files[0] + files[1]]:
        load(store, *given)
    assert statements(store) == {f"study-v{number}": said for number, (_, said) in enumerate(VERSIONS)}
    assert ask(store, "SELECT count(*) FROM report") == [(2 * len(VERSIONS),)]


def test_a_preliminary_report_alone_states_nothing(store: Store) -> None:
    load(store, row(status="preliminary"))
    assert statements(store) == {}


def test_T46_an_empty_report_states_nothing(store: Store) -> None:
    counts = load(store, row(text="  "), row("ACC-b", None))  # type: ignore[arg-type]
    assert counts.n_empty == 2
    assert statements(store) == {"study-a": "unread", "study-b": "unread"}
    with store.read() as connection:
        exported = connection.execute(query("export_scores"), {"model_digest": None}).fetchall()
    assert [line[-1] for line in exported] == [None, None]


HOSTILE = [
    '=HYPERLINK("http://x","y") L1 compression fracture',
    "<img src=x onerror=alert(1)> L1 compression fracture",
    "'; DROP TABLE report; -- L1 compression fracture",
    "\ufeffL1 compression fracture \u202egnirts \x00 🦴",
    "L1 compression fracture. " + "Lungs are clear. " * 600_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=["formula", "html", "sql", "signs", "10 MB"])
def test_T46_hostile_texts_are_stored_as_text(store: Store, text: str) -> None:
    load(store, row(text=text))
    assert ask(store, "SELECT text FROM identity.report_text") == [(text,)]
    assert statements(store) == {"study-a": "present"}


def test_texts_and_numbers_stay_out_of_the_warehouse(store: Store) -> None:
    sentinel = "Zanzibarova"
    load(store, row("ACC-a", f"{sentinel}: L1 compression fracture.", patient_id="PID-a", report_id="R-99"))
    for path in (store.paths.warehouse, store.paths.published, store.paths.ledger):
        content = path.read_bytes()
        assert not [name for name in (sentinel, "ACC-a", "PID-a", "R-99") if name.encode() in content], (
            path.name
        )
    assert stat.S_IMODE(store.paths.identity.stat().st_mode) == 0o600
    assert ask(store, "SELECT evidence FROM identity.report_evidence") == [
        (f"{sentinel}: L1 compression fracture.",)
    ]


def test_nothing_that_is_printed_names_anybody(store: Store) -> None:
    counts = load(store, row(), row(patient_id="PID-b"), row("ACC-x", report_date="1/2/2020", status="odd"))
    printed = "\n".join(import_lines(counts, "utf-8"))
    assert "3 rows (utf-8) = 3 new reports + 0 known already + 0 of erased patients" in printed
    assert "1 of the new ones have a date that cannot be read" in printed
    assert "another patient than its study" in printed
    assert not [name for name in ("ACC", "PID", "L1") if name in printed]


SITE_RULES = """
[[rule]]
id = "site-word"
role = "fracture"
is_vertebral = true
phrases = ["spondylofractura"]
"""


def test_another_lexicon_writes_only_what_it_changes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "site.toml"
    path.write_text(SITE_RULES, encoding="utf-8")
    site = Labeller(lexicon_with(path))
    load(store, row(), row("ACC-b", "Spine: spondylofractura of T12."))
    changes = list(differences(store, site))
    assert [(c.before, c.after) for c in changes] == [("unmentioned (none)", "present (fracture)")]
    assert statements(store) == {"study-a": "present", "study-b": "unmentioned"}
    hidden, shown = ("\n".join(diff_lines(changes, identified=told)) for told in (False, True))
    assert "ACC-b" not in hidden
    assert "ACC-b\tunmentioned (none) → present (fracture)\tSpine: spondylofractura of T12." in shown

    load(store, labeller=site)
    assert statements(store) == {"study-a": "present", "study-b": "present"}
    by_lexicon = ask(store, "SELECT count(*) FROM report_statement GROUP BY lexicon_digest ORDER BY 1")
    assert by_lexicon == [(1,), (2,)]
    load(store)
    assert statements(store) == {"study-a": "present", "study-b": "unmentioned"}
    assert list(differences(store, shipped_labeller())) == []


def test_a_forgotten_patient_leaves_no_report(store: Store) -> None:
    load(store, row(), row("ACC-b", ABSENT), row("ACC-new", patient_id="PID-a"))
    store.forget(patient_id="PID-a")
    assert statements(store) == {"study-b": "absent"}
    assert ask(store, "SELECT accession_number FROM identity.report_text") == [("ACC-b",)]
    assert ask(store, "SELECT count(*) FROM report") == [(1,)]
    assert b"L1 compression fracture" not in store.paths.identity.read_bytes()


def test_a_forgotten_patient_of_an_issuer_is_known_by_the_ID_that_a_report_gives(store: Store) -> None:
    """Reports name no issuer. An ID that somebody has who stays is theirs."""
    names = Pseudonymizer(load_or_create_key(store.paths.key), "north")
    known = {
        (patient_id, issuer): rows.records.PatientIdentity(
            str(names.patient_key(patient_id, issuer)), "north", patient_id, issuer
        )
        for patient_id, issuer in (("PID-i", "EAST"), ("PID-k", "EAST"), ("PID-k", "WEST"))
    }
    store.land(LandingBatch(patient_identities=list(known.values())))
    for gone in ("PID-i", "PID-k"):
        store.forget(patient_id=gone, issuer="EAST")
    counts = load(store, row("ACC-i", patient_id="PID-i"), row("ACC-k", patient_id="PID-k"))
    assert (counts.n_rows, counts.n_new, counts.n_forgotten) == (2, 1, 1)
    assert ask(store, "SELECT patient_id FROM identity.report_text") == [("PID-k",)]


def test_a_forgotten_patient_takes_nobody_elses_report_along(store: Store) -> None:
    load(store, row("ACC-t", PRESENT, patient_id="PID-a"), row("ACC-t", ABSENT, patient_id="PID-b"))
    store.forget(patient_id="PID-a")
    assert statements(store) == {"study-tb": "absent"}


def test_a_link_is_settled_again_when_the_archive_says_otherwise(store: Store) -> None:
    load(store, row(), row("ACC-b", ABSENT, patient_id="PID-b"))
    assert statements(store) == {"study-a": "present", "study-b": "absent"}
    other = rows.records.StudyIdentity(
        "study-x", "patient-b", "1.2.9", "ACC-a"
    )  # another site's, of the same number
    store.land(LandingBatch(study_identities=[other]))
    with duckdb.connect(str(store.paths.identity)) as connection:
        connection.execute("UPDATE study_identity SET patient_key = 'patient-a' WHERE study_key = 'study-b'")
    load(store)
    assert statements(store) == {}
    ended = "SELECT outcome, reason, study_key FROM report ORDER BY ALL"
    assert ask(store, ended) == [
        ("quarantined", "link_ambiguous", None),
        ("quarantined", "link_patient", None),
    ]


def test_works_on_the_file_as_it_is_written(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "reports.csv"
    with path.open("w", encoding="gb18030", newline="") as file:
        writer = csv.DictWriter(file, ["text", "accession_number", "report_date"])
        writer.writeheader()
        writer.writerow(
            {
                "text": "腰1椎体压缩性骨折。\n“陈旧性”",
                "accession_number": "ACC-a",
                "report_date": "2020年3月1日",
            }
        )
    from tasks.report_files import read_rows

    load(store, *read_rows(path))
    assert statements(store) == {"study-a": "present"}
    assert label_file(path, tmp_path / "out.csv", shipped_labeller()).encoding == "gb18030"
