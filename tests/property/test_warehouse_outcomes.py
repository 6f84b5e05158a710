"""The views and pending_studies against a naive oracle in plain Python, on small random warehouses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import duckdb
import pytest
import warehouse_rows as rows
from duckdb import DuckDBPyConnection as Connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warehouse import schema
from warehouse.decisions import DecisionKey, known_answers, pending_studies, requeue
from warehouse.insert import insert_all
from warehouse.landing import LandingBatch, to_arrow
from warehouse.reasons import message_for
from warehouse.tables import WAREHOUSE_TABLES, Table

ARCHIVES = ("archive-1", "archive-2")
REVISIONS = ("r1", "r2")
KEYS = tuple(
    DecisionKey(profile, reader, "storage-1", "view-1", model)
    for profile, reader in (("profile-1", "reader-1"), ("profile-2", "reader-1"), ("profile-2", "reader-2"))
    for model in ("model-1", "model-2")
)
SELECTION_REASONS = ("too_short", "localizer", "dims", "io", "unstable")
# Many studies in few warehouses: emptying and filling one costs more than comparing.
MOST_STUDIES = 8
REJECTION_REASONS = ("decode", "not_evaluable", "worker_died")
BEST_FIRST = ("scored", "pending", "failed", "waiting", "quarantined", "excluded")
Rows = dict[str, list[Any]]


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Connection]:
    with duckdb.connect(config={"threads": 1}) as connection:
        schema.migrate(connection, schema.WAREHOUSE)
        yield connection


def random_batch(chance: Random) -> LandingBatch:
    """Two archives that share studies; revisions, profiles, readers and models that come and go."""
    batch = LandingBatch(models=[rows.model(key) for key in KEYS[:2]])
    batch.operating_points = [rows.operating_point(key=key) for key in KEYS[:2] if chance.random() < 0.8]
    for number in range(chance.randrange(5)):
        batch.runs.append(rows.run(f"run-{number}", hours=chance.randrange(3), key=chance.choice(KEYS)))
    for study_key in (f"study-{number}" for number in range(chance.randrange(1, MOST_STUDIES + 1))):
        series_keys = [f"{study_key}-{number}" for number in range(chance.randrange(1, 4))]
        for archive_key in ARCHIVES:
            if chance.random() < 0.7:
                study = rows.study(
                    study_key,
                    archive_key=archive_key,
                    revision=chance.choice(REVISIONS),
                    n_files=chance.randrange(6, 16),
                )
                batch.studies.append(study)
        for series_key in series_keys:
            for revision in REVISIONS:
                n_instances = chance.randrange(1, 3)
                n_files = n_instances + chance.randrange(3)
                batch.series.append(
                    rows.series(
                        series_key, study_key, revision=revision, n_instances=n_instances, n_files=n_files
                    )
                )
        decide(batch, study_key, series_keys, chance)
    for number, archive_key in enumerate(ARCHIVES):
        found = rows.archive(
            archive_key,
            n_files=chance.randrange(20, 40),
            n_studies=chance.randrange(4),
            n_series=chance.randrange(6),
            is_complete=number == 0,
        )
        batch.archives.append(found)
    batch.file_counts.append(rows.records.FileCountRecord(ARCHIVES[0], "excluded", "not_dicom", 3))
    return batch


def decide(batch: LandingBatch, study_key: str, series_keys: list[str], chance: Random) -> None:
    """Selections of some revisions by some profiles; scores and rejections of some series."""
    for revision in REVISIONS:
        for key in (KEYS[0], KEYS[2], KEYS[4]):
            if chance.random() < 0.3:
                continue
            ranks = chance.sample(range(1, 9), len(series_keys))
            share_left_out = chance.choice((0.2, 0.5, 1.0))
            for series_key, rank in zip(series_keys, ranks, strict=True):
                reason = chance.choice(SELECTION_REASONS) if chance.random() < share_left_out else None
                batch.selections.append(
                    rows.selection(
                        series_key,
                        study_key,
                        revision=revision,
                        series_revision=revision,
                        rank=rank,
                        reason=reason,
                        n_checks_passed=chance.randrange(3),
                        key=key,
                    )
                )
    for series_key in series_keys:
        for revision in REVISIONS:
            for key in KEYS:
                draw = chance.random()
                if draw < 0.15:
                    batch.scores.append(
                        rows.score(series_key, revision=revision, key=key, logit=chance.gauss(0, 2))
                    )
                elif draw < 0.4:
                    reason = chance.choice(REJECTION_REASONS)
                    batch.rejections.append(rows.rejection(series_key, reason, revision=revision, key=key))


def fill(connection: Connection, batch: LandingBatch) -> Rows:
    """Empty the tables, land the batch, and read back what is there now."""
    for table in WAREHOUSE_TABLES:
        connection.execute(f"DELETE FROM {table.name}").fetchall()
    insert_all(connection, WAREHOUSE_TABLES, to_arrow(batch))
    return {table.name: read(connection, table) for table in WAREHOUSE_TABLES}


def read(connection: Connection, table: Table) -> list[Any]:
    names = ", ".join(f'"{name}"' for name in table.columns)
    found = connection.execute(f"SELECT {names} FROM {table.name}").fetchall()
    return [table.record(*row) for row in found]


# --- the oracle


@dataclass(frozen=True)
class Ending:
    """Where one series of one archive ends, by the oracle."""

    outcome: str
    reason: str | None
    message: str | None
    selection: Any
    is_waiting: bool = False


def age(tables: Rows, names: tuple[str, ...], values: tuple[str, ...]) -> tuple[object, ...]:
    """Sorts decisions from the oldest to the newest: by their newest run, then by name."""
    starts = [
        run.started_at for run in tables["run"] if tuple(getattr(run, name) for name in names) == values
    ]
    return (bool(starts), max(starts) if starts else None, values) if starts else (False, 0, values)


def current(tables: Rows, study: Any) -> list[Any]:
    """The selections of a study's current revision by the newest profile and reader."""
    of_study = [
        one
        for one in tables["selection"]
        if (one.study_key, one.study_revision) == (study.study_key, study.study_revision)
    ]
    names = ("profile_digest", "reader_version")
    pairs = {(one.profile_digest, one.reader_version) for one in of_study}
    newest = max(pairs, key=lambda pair: age(tables, names, pair), default=None)
    return [one for one in of_study if (one.profile_digest, one.reader_version) == newest]


def answer(tables: Rows, chosen: Any) -> Any:
    """The newest score or rejection that counts for an eligible series; None when there is none."""
    names = ("storage_recipe", "view_recipe", "model_digest")
    scores = [
        one
        for one in tables["score"]
        if (one.series_key, one.series_revision) == (chosen.series_key, chosen.series_revision)
    ]
    same = ("series_key", "series_revision", "profile_digest", "reader_version")
    rejections = [
        one for one in tables["rejection"] if all(getattr(one, n) == getattr(chosen, n) for n in same)
    ]
    return max(
        scores + rejections,
        key=lambda one: (age(tables, names, tuple(getattr(one, n) for n in names)), one in scores),
        default=None,
    )


def endings(tables: Rows, study: Any) -> list[Ending]:
    """Where each series of a study ends."""
    decided = [
        (one, answer(tables, one) if one.outcome == "eligible" else None) for one in current(tables, study)
    ]
    found = []
    for chosen, told in decided:
        before = [other for one, other in decided if one.rank and chosen.rank and one.rank < chosen.rank]
        if chosen.outcome != "eligible":
            found.append(Ending(chosen.outcome, chosen.reason, chosen.message, chosen))
        elif told is not None and hasattr(told, "logit"):
            found.append(Ending("scored", None, None, chosen))
        elif told is not None:
            found.append(Ending(told.outcome, told.reason, told.message, chosen))
        elif any(hasattr(other, "logit") for other in before):
            found.append(Ending("excluded", "not_chosen", message_for("not_chosen"), chosen))
        else:
            is_waiting = any(getattr(other, "outcome", None) == "failed" for other in before)
            found.append(Ending("pending", None, None, chosen, is_waiting))
    return found


def instances(tables: Rows, ending: Ending) -> Any:
    key = (ending.selection.series_key, ending.selection.series_revision)
    return next(one for one in tables["series"] if (one.series_key, one.series_revision) == key)


def study_ending(tables: Rows, study: Any) -> tuple[object, ...]:
    """Outcome, reason and series of a study: the best of its series, and of those the closest."""

    def place(one: Ending) -> tuple[object, ...]:
        state = "waiting" if one.is_waiting else one.outcome
        size = instances(tables, one).n_instances
        rank = one.selection.rank or 1_000_000
        return (
            BEST_FIRST.index(state),
            rank,
            -one.selection.n_checks_passed,
            -size,
            one.selection.series_key,
        )

    found = min(endings(tables, study), key=place, default=None)
    if found is None:
        return ("pending", None, None)
    return (found.outcome, found.reason, found.selection.series_key)


def file_endings(tables: Rows, study: Any) -> Counter[tuple[str, str | None]]:
    """Files of a study by outcome and reason."""
    found = endings(tables, study)
    if not found:
        return Counter({("pending", None): study.n_files})
    sizes = [(instances(tables, one).n_files, instances(tables, one).n_instances) for one in found]
    is_by_files = sum(size[0] for size in sizes) <= study.n_files
    counts: Counter[tuple[str, str | None]] = Counter()
    for one, size in zip(found, sizes, strict=True):
        counts[one.outcome, one.reason] += size[0] if is_by_files else size[1]
    counts["excluded", "duplicate"] += study.n_files - counts.total()
    return counts


def is_decided(tables: Rows, study: Any, key: DecisionKey) -> bool:
    """Whether nothing is left to do for a study under a decision key."""
    of_study = [
        one
        for one in tables["selection"]
        if (one.study_key, one.study_revision) == (study.study_key, study.study_revision)
        and (one.profile_digest, one.reader_version) == (key.profile_digest, key.reader_version)
    ]
    if not of_study or any(one.outcome in ("failed", "pending") for one in of_study):
        return False
    for chosen in sorted((one for one in of_study if one.outcome == "eligible"), key=lambda one: one.rank):
        told = tell(tables, chosen, key)
        if told == "scored":
            return True
        if told is None:
            return False
    return True


def tell(tables: Rows, chosen: Any, key: DecisionKey) -> str | None:
    """Scored or finally rejected under just this key."""
    recipe = ("storage_recipe", "view_recipe", "model_digest")
    series = (chosen.series_key, chosen.series_revision)

    def fits(one: Any, names: tuple[str, ...]) -> bool:
        return (one.series_key, one.series_revision) == series and all(
            getattr(one, name) == getattr(key, name) for name in names
        )

    if any(fits(one, recipe) for one in tables["score"]):
        return "scored"
    both = (*recipe, "profile_digest", "reader_version")
    final = [one.outcome for one in tables["rejection"] if fits(one, both) and one.outcome != "failed"]
    return final[0] if final else None


# --- the comparison

many = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(seed=st.integers(0, 1 << 32))
def test_series_end_where_the_oracle_says(warehouse: Connection, seed: int) -> None:
    tables = fill(warehouse, random_batch(Random(seed)))
    expected = [
        (study.archive_key, study.study_key, one.selection.series_key, one.outcome, one.reason, one.message)
        for study in tables["study"]
        for one in endings(tables, study)
    ]
    found = warehouse.execute(
        "SELECT archive_key, study_key, series_key, outcome, reason, message FROM series_outcome"
    ).fetchall()
    assert Counter(found) == Counter(expected)


@many
@given(seed=st.integers(0, 1 << 32))
def test_studies_and_files_end_where_the_oracle_says(warehouse: Connection, seed: int) -> None:
    tables = fill(warehouse, random_batch(Random(seed)))
    expected = [
        (study.archive_key, study.study_key, *study_ending(tables, study)) for study in tables["study"]
    ]
    found = warehouse.execute(
        "SELECT archive_key, study_key, outcome, reason, series_key FROM study_outcome"
    ).fetchall()
    assert Counter(found) == Counter(expected)
    files: Counter[tuple[str, str, str | None]] = Counter({(ARCHIVES[0], "excluded", "not_dicom"): 3})
    for study in tables["study"]:
        for (outcome, reason), n_files in file_endings(tables, study).items():
            files[study.archive_key, outcome, reason] += n_files
    told = warehouse.execute("SELECT archive_key, outcome, reason, n_files FROM file_outcome").fetchall()
    assert {row[:3]: row[3] for row in told if row[3]} == {key: n for key, n in files.items() if n}
    assert conserved(warehouse) == expected_conservation(warehouse)


def conserved(connection: Connection) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM conservation ORDER BY archive_key, level").fetchall()


def expected_conservation(connection: Connection) -> list[tuple[object, ...]]:
    """The conservation view from the detailed views."""
    counted: Counter[tuple[str, str, str]] = Counter()
    for level, n in (("file", "sum(n_files)"), ("series", "count(*)"), ("study", "count(*)")):
        for archive_key, outcome, n_ended in connection.execute(
            f"SELECT archive_key, outcome, {n} FROM {level}_outcome GROUP BY ALL"
        ).fetchall():
            counted[archive_key, level, outcome] = int(n_ended)
    expected = []
    for archive_key, is_complete, *found in connection.execute(
        "SELECT archive_key, is_crawl_complete, n_files_found, n_series_found, n_studies_found "
        "FROM archive ORDER BY archive_key"
    ).fetchall():
        for level, n_found in zip(("file", "series", "study"), found, strict=True):
            ends = ("scored", "excluded", "quarantined", "failed", "pending")
            counts = [counted[archive_key, level, outcome] for outcome in ends]
            verdict = n_found == sum(counts) if is_complete else None
            expected.append((archive_key, level, n_found, *counts, verdict))
    return expected


@many
@given(seed=st.integers(0, 1 << 32))
def test_pending_studies_are_those_the_oracle_says(warehouse: Connection, seed: int) -> None:
    tables = fill(warehouse, random_batch(Random(seed)))
    archive_key = ARCHIVES[0]
    held = [study for study in tables["study"] if study.archive_key == archive_key]
    asked: list[tuple[str, str | None]] = [(study.study_key, study.study_revision) for study in held]
    asked += [("study-new", "r1"), ("study-unread", None)]
    wanted = [(one.series_key, one.series_revision) for one in tables["series"]]
    for key in KEYS:
        expected = {study.study_key for study in held if not is_decided(tables, study, key)}
        expected |= {"study-new", "study-unread"}
        assert pending_studies(warehouse, archive_key, asked, key) == expected
        told = {pair: tell(tables, one, key) for pair, one in zip(wanted, tables["series"], strict=True)}
        assert known_answers(warehouse, wanted, key) == {pair: end for pair, end in told.items() if end}
    changed = [(study.study_key, "another revision") for study in held]
    assert pending_studies(warehouse, archive_key, changed, KEYS[0]) == {study.study_key for study in held}


@many
@given(seed=st.integers(0, 1 << 32))
def test_requeued_studies_are_pending_again(warehouse: Connection, seed: int) -> None:
    chance = Random(seed)
    tables = fill(warehouse, random_batch(chance))
    reason = chance.choice((*SELECTION_REASONS, *REJECTION_REASONS))
    key = chance.choice(KEYS)
    held = [study for study in tables["study"] if study.archive_key == ARCHIVES[0]]
    concerned = {
        study.study_key
        for study in held
        for one in current(tables, study)
        if one.reason == reason
        and (one.profile_digest, one.reader_version) == (key.profile_digest, key.reader_version)
    }
    n_scores = len(tables["score"])
    requeue(warehouse, reason)
    asked = [(study.study_key, study.study_revision) for study in held]
    assert concerned <= pending_studies(warehouse, ARCHIVES[0], asked, key)
    counted = warehouse.execute(
        "SELECT (SELECT count(*) FROM score), (SELECT count(*) FROM rejection WHERE reason = $reason), "
        "(SELECT count(*) FROM selection WHERE reason = $reason)",
        {"reason": reason},
    ).fetchall()
    assert counted == [(n_scores, 0, 0)]


@many
@given(seed=st.integers(0, 1 << 32))
def test_export_has_one_row_per_study_and_no_score_without_one(warehouse: Connection, seed: int) -> None:
    tables = fill(warehouse, random_batch(Random(seed)))
    for model_digest in (None, "model-2"):
        found = warehouse.execute("SELECT * FROM export_scores(?::VARCHAR)", [model_digest])
        names = [column[0] for column in found.description]
        exported = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        assert sorted(row["study_key"] for row in exported) == sorted({s.study_key for s in tables["study"]})
        for row in exported:
            is_scored = row["outcome"] == "scored"
            assert is_scored == (row["model_id"] is not None) == (row["n_slices"] is not None)
            assert is_scored or (row["probability"] is None and row["flagged"] is None)
            assert is_scored or row["outcome"] == "pending" or (row["reason"] and row["message"])
            assert is_scored == (row["model_digest"] is not None)
            assert model_digest is None or row["model_digest"] in (None, model_digest)
            assert model_digest is None or row["model_id"] in (None, f"name of {model_digest}")


@many
@given(seed=st.integers(0, 1 << 32))
def test_landing_in_any_parts_and_again_ends_the_same(warehouse: Connection, seed: int) -> None:
    """Whole, in two parts in either order, or twice: the same rows, whatever failed in between."""
    chance = Random(seed)
    batch = random_batch(chance)
    whole = fill(warehouse, batch)
    failed = replace(batch)
    failed.rejections = [
        replace(one, outcome="failed", reason="worker_died", message=message_for("worker_died"))
        for one in batch.rejections
        if chance.random() < 0.5 and one.outcome != "failed"
    ]
    for table in WAREHOUSE_TABLES:
        warehouse.execute(f"DELETE FROM {table.name}").fetchall()
    for part in chance.choice(([failed, batch], [batch, failed], [failed, batch, batch])):
        insert_all(warehouse, WAREHOUSE_TABLES, to_arrow(part))
    for table in WAREHOUSE_TABLES:
        again = read(warehouse, table)
        assert Counter(map(repr, again)) == Counter(map(repr, whole[table.name])), table.name
