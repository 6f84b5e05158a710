"""`python -m benchmarks.audit_hospital FOLDER`: a simulated hospital, swept and audited, against its truth.

Makes the hospital (300 patients, 192² slices), sweeps it, imports its reports, draws a sample, has two simulated
readers read it from the truth (with errors of their own and an adjudicator), audits, and says whether the truth lies
inside the intervals and what the worklist's top holds. What lies in FOLDER already is not done again.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from estimates.audit_numbers import AuditNumbers
from flows.audit import AuditRequest, audit_numbers
from flows.audit_frame import FROM_AGE_YEARS, read_units
from flows.audit_verdicts import Endpoint
from phantom.hospital import make_hospital
from warehouse.store import Store

PATIENTS, SEED, COLUMNS = 300, 2026, 192
READS = 180  # of some 250 patient-days; fewer would not reach every cell
# What a reader does to the truth: misses a fracture of grade 1, 2, 3, calls one where there is none, is a grade off.
MISSES = (0.15, 0.04, 0.0)
INVENTS, MISGRADES = 0.02, 0.10
TOPS = (5, 10, 20)

Row = Mapping[str, str]


@dataclass(frozen=True)
class Finding:
    """The worst of a patient-day: what a reader would write on one row."""

    grade: int
    level: str
    is_depressed: bool  # an endplate, not the front wall alone
    cause: str

    @property
    def is_case(self) -> bool:
        """The primary endpoint."""
        return self.cause == "osteoporotic" and (self.grade >= 2 or (self.grade == 1 and self.is_depressed))


SOUND = Finding(0, "", is_depressed=False, cause="")


@dataclass(frozen=True)
class Unit:
    """A patient-day of the audit's frame with its truth."""

    study_keys: tuple[str, ...]
    finding: Finding
    said: str  # fracture, ambiguous, nothing, no report: by how the texts were put together
    is_known_before: bool


def main(arguments: list[str] | None = None) -> int:
    """Print truth and estimates; exit 1 when a truth lies outside its interval."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit_hospital", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patients", type=int, default=PATIENTS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--reads", type=int, default=READS)
    asked = parser.parse_args(arguments)
    hospital, warehouse = asked.folder / "hospital", asked.folder / "wh" / "warehouse.duckdb"
    if not (hospital / "truth_vertebrae.csv").exists():
        make_hospital(hospital, patients=asked.patients, seed=asked.seed, columns=COLUMNS)
    if not warehouse.exists():
        _ovf("sweep", str(hospital / "archive"), "--warehouse", str(warehouse))
    _ovf("reports", "import", str(hospital / "reports.csv"), "--warehouse", str(warehouse))
    listed = asked.folder / "reading-list.csv"
    drawn = ("--reads", str(asked.reads), "--seed", str(asked.seed), "--out", str(listed))
    _ovf("audit", "sample", *drawn, "--warehouse", str(warehouse))
    store = Store.open(warehouse, create=False)
    truth = _Truth(hospital)
    read = asked.folder / "readings.csv"
    _write(read, _readings(store, truth, np.random.default_rng(asked.seed)))
    _ovf("audit", "readings", str(read), "--warehouse", str(warehouse))
    _ovf("audit", "--out", str(asked.folder / "audit"), "--pictures", "12", "--warehouse", str(warehouse))
    return _compare(store, truth)


def _ovf(*words: str) -> None:
    print("$ ovf", *words, flush=True)
    subprocess.run([sys.executable, "-m", "flows.cli", *words], check=True)


class _Truth:
    """What the hospital's tables say, by study."""

    def __init__(self, hospital: Path) -> None:
        self._bodies: dict[str, list[Row]] = {}
        for row in _rows(hospital / "truth_vertebrae.csv"):
            self._bodies.setdefault(row["study_instance_uid"], []).append(row)
        self._studies = {row["study_instance_uid"]: row for row in _rows(hospital / "truth.csv")}

    def finding(self, uids: Iterable[str]) -> Finding:
        """The worst osteoporotic fracture of bodies shown whole; without one, another cause; else none."""
        bodies = [row for uid in uids for row in self._bodies[uid] if row["is_visible"] == "1"]
        found = [_finding(row) for row in bodies if row["grade"] != "0" or row["is_treated"] == "1"]
        return max(
            found, key=lambda one: (one.is_case, one.cause == "osteoporotic", one.grade), default=SOUND
        )

    def said(self, uids: Iterable[str]) -> str:
        """The strongest that the reports of a day say."""
        rows = [self._studies[uid] for uid in uids]
        if any(r["report_statement"] == "present" and r["report_wording"] == "fracture" for r in rows):
            return "fracture"
        if any(r["report_statement"] in ("present", "possible") for r in rows):
            return "ambiguous"
        return "no report" if all(r["report_statement"] == "no_report" for r in rows) else "nothing"


def _finding(row: Row) -> Finding:
    treated = row["is_treated"] == "1"
    cause = "treated" if treated else row["cause"] or "osteoporotic"
    grade = max(int(row["grade"]), int(treated))  # cement shows that there was a fracture
    return Finding(grade, row["level"], row["shape"] in ("biconcave", "crush"), cause)


def _units(store: Store, truth: _Truth, model_digest: str, rule: str) -> list[Unit]:
    with store.read_identified() as connection:
        uids = dict(
            connection.execute("SELECT study_key, study_instance_uid FROM identity.study_identity").fetchall()
        )
        rows = read_units(connection, model_digest, rule, FROM_AGE_YEARS).to_pylist()
    return [_unit(row, [uids[key] for key in row["study_keys"]], truth) for row in rows]


def _unit(row: Mapping[str, Any], uids: Sequence[str], truth: _Truth) -> Unit:
    return Unit(tuple(row["study_keys"]), truth.finding(uids), truth.said(uids), bool(row["is_known_before"]))


def _readings(store: Store, truth: _Truth, rng: np.random.Generator) -> Iterator[dict[str, str]]:
    """Two readers who open the scans of each drawn case, and a third where one of them erred."""
    with store.read_identified() as connection:
        cases = connection.execute(
            "SELECT case_id, list(study_instance_uid) "
            "FROM (SELECT case_id, position, unnest(study_keys) AS study_key FROM audit_unit) "
            "JOIN identity.study_identity USING (study_key) GROUP BY case_id, position ORDER BY position"
        ).fetchall()
    for case_id, uids in cases:
        right = truth.finding(uids)
        readings = [_read(right, rng) for _ in range(2)]
        for reader, seen in zip("AB", readings, strict=True):
            yield _reading(case_id, reader, seen, adjudication="")
        if any(seen != right for seen in readings):
            yield _reading(case_id, "C", right, adjudication="yes")


def _read(right: Finding, rng: np.random.Generator) -> Finding:
    chance, other = rng.random(2)
    if right.cause not in ("", "osteoporotic"):
        return right
    if right.grade == 0:
        return Finding(1, "T12", is_depressed=False, cause="osteoporotic") if chance < INVENTS else SOUND
    if chance < MISSES[right.grade - 1]:
        return SOUND
    grade = right.grade
    if other < MISGRADES:
        grade = min(3, max(1, grade + (1 if chance > 0.5 else -1)))
    return Finding(grade, right.level, right.is_depressed, right.cause)


def _reading(case_id: str, reader: str, seen: Finding, *, adjudication: str) -> dict[str, str]:
    return {
        "case_id": case_id,
        "reader": reader,
        "grade": str(seen.grade),
        "level": seen.level,
        "endplate_depression": "yes" if seen.is_depressed and seen.grade else "",
        "cause": seen.cause,
        "adjudication": adjudication,
    }


def _compare(store: Store, truth: _Truth) -> int:
    with store.read() as connection:
        numbers = audit_numbers(connection, AuditRequest(is_showing_small=True, worklist_length=100_000))
    units = _units(store, truth, numbers.basis.model_digest, numbers.basis.rule)
    cases = [unit for unit in units if unit.finding.is_case]
    missable = [unit for unit in cases if unit.said != "no report" and not unit.is_known_before]
    strict = [unit for unit in missable if unit.said != "fracture"]
    lenient = [unit for unit in missable if unit.said == "nothing"]
    print(f"\n{len(units)} patient-days in the frame, {numbers.basis.n_read} read, {len(cases)} cases")
    held = [
        _line(numbers, "prevalence", None, len(cases), len(units)),
        _line(numbers, "missed-diagnosis rate", "strict", len(strict), len(missable)),
        _line(numbers, "missed-diagnosis rate", "lenient", len(lenient), len(missable)),
    ]
    _worklist(numbers, lenient)
    return 0 if all(held) else 1


def _line(numbers: AuditNumbers, quantity: str, definition: str | None, k: int, n: int) -> bool:
    asked = {"definition": definition} if definition else {}
    found = numbers.find(quantity, endpoint=Endpoint.PRIMARY.value, dimension="all", **asked)
    if found.value is None or found.low is None or found.high is None:
        print(f"{quantity} {definition or ''}: {found.status}, {found.note}")
        return False
    is_inside = found.low <= k / n <= found.high
    print(
        f"{quantity} {definition or ''}: truth {k}/{n} = {k / n:.1%}, estimate {found.value:.1%} "
        f"({found.low:.1%} to {found.high:.1%}): {'inside' if is_inside else 'OUTSIDE'}"
    )
    return is_inside


def _worklist(numbers: AuditNumbers, missed: Sequence[Unit]) -> None:
    """How many of the cases that no report mentions stand at the top of the list, and in all of it."""
    keys = {key for unit in missed for key in unit.study_keys}
    listed = [row.study_key in keys for row in numbers.worklist if row.list == "missed"]
    print(
        f"worklist: {len(listed)} rows hold {sum(listed)} of the {len(missed)} cases that no report mentions"
    )
    for top in TOPS:
        print(f"  first {min(top, len(listed))}: {sum(listed[:top])}")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, rows: Iterable[Mapping[str, str]]) -> None:
    found = list(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


if __name__ == "__main__":
    sys.exit(main())
