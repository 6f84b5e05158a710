"""Cells, strata, allocation and drawing: fixed by the seed, blind to the order of the units."""

from __future__ import annotations

import numpy as np
import pytest

from estimates.audit_cells import (
    AiResult,
    Cell,
    Definition,
    Frame,
    ReportResult,
    build_frame,
    patient_days,
    score_edges,
)
from estimates.audit_design import MIN_READS, allocate, draw_sample, plan_audit, planned_shares

FLAGGED, NEGATIVE, UNSCORED = AiResult.FLAGGED, AiResult.NOT_FLAGGED, AiResult.NOT_SCORED
SAYS, AMBIGUOUS, SILENT, NONE = (
    ReportResult.FRACTURE,
    ReportResult.AMBIGUOUS,
    ReportResult.NOT_REPORTED,
    ReportResult.NO_REPORT,
)


def frame(n: int = 5_000, seed: int = 0) -> tuple[list[str], Frame]:
    rng = np.random.default_rng(seed)
    score = rng.normal(size=n)
    ai = [UNSCORED if rng.random() < 0.05 else FLAGGED if s > 1.5 else NEGATIVE for s in score]
    report = rng.choice([SAYS, AMBIGUOUS, SILENT, NONE], n, p=[0.05, 0.03, 0.89, 0.03]).tolist()
    score[[a is UNSCORED for a in ai]] = np.nan
    return [f"unit-{i:05d}" for i in range(n)], build_frame(ai, [ReportResult(r) for r in report], score)


def test_only_the_double_negatives_are_split_by_score() -> None:
    _, found = frame()
    split = [cell for cell in found.cells if cell.stratum > 0]
    assert {(cell.ai, cell.report) for cell in split} == {(NEGATIVE, SILENT)}
    assert len(split) == 2  # three strata, the lowest is 0
    assert len(found.cells) == 3 * 4 + 2
    sizes = dict(zip(found.cells, found.sizes, strict=True))
    thirds = [sizes[Cell(NEGATIVE, SILENT, i)] for i in range(3)]
    assert [round(size / sum(thirds), 2) for size in thirds] == [0.6, 0.3, 0.1]
    assert sum(found.sizes) == 5_000


def test_equal_scores_make_fewer_strata() -> None:
    assert score_edges([0.5] * 100) == ()
    assert score_edges([0.0] * 70 + [1.0] * 30) == (1.0,)
    assert score_edges([]) == ()


def test_definitions_of_reported() -> None:
    ambiguous = Cell(FLAGGED, AMBIGUOUS)
    assert ambiguous.is_reported(Definition.LENIENT)
    assert not ambiguous.is_reported(Definition.STRICT)
    assert not Cell(FLAGGED, NONE).has_report
    assert not Cell(UNSCORED, SAYS).is_scored


def test_a_scored_unit_needs_a_score() -> None:
    with pytest.raises(ValueError, match="needs a score"):
        build_frame([NEGATIVE], [SILENT], [float("nan")])
    with pytest.raises(ValueError, match="AI result"):
        build_frame([NEGATIVE], [SILENT, SAYS], [0.1])
    with pytest.raises(ValueError, match="no ReportResult is called silent"):
        build_frame(["flagged"], ["silent"], [0.1])


def test_texts_of_a_table_do_as_well() -> None:
    found = build_frame(["flagged", "not_scored"], ["no_report", "fracture"], [0.9, float("nan")])
    assert found.cells == (Cell(FLAGGED, NONE), Cell(UNSCORED, SAYS))
    assert found.cell_of.tolist() == [0, 1]


def test_two_accessions_of_one_day_are_one_unit() -> None:
    found = patient_days(
        ["b", "a", "a", "a"],
        ["2020-01-02", "2020-01-01", "2020-01-01", "2020-01-02"],
        [FLAGGED, NEGATIVE, UNSCORED, UNSCORED],
        [NONE, SILENT, SAYS, SILENT],
        [0.9, 0.2, float("nan"), float("nan")],
    )
    assert list(zip(found.patient, found.day, strict=True)) == [
        ("a", "2020-01-01"),
        ("a", "2020-01-02"),
        ("b", "2020-01-02"),
    ]
    assert found.ai == (NEGATIVE, UNSCORED, FLAGGED)
    assert found.report == (SAYS, SILENT, NONE)
    assert found.score[0] == 0.2
    assert np.isnan(found.score[1])


def test_allocation_sums_and_keeps_its_limits() -> None:
    _, found = frame()
    reads = allocate(found.cells, found.sizes, planned_shares(found.cells), 600)
    assert sum(reads) == 600
    for n, size in zip(reads, found.sizes, strict=True):
        assert min(MIN_READS, size) <= n <= size


def test_allocation_is_neymans_when_nothing_binds() -> None:
    """Two cells without a report have equal influence: reads go with N·√(p(1−p))."""
    cells = (Cell(FLAGGED, NONE), Cell(NEGATIVE, NONE))
    reads = allocate(cells, (1_000, 10_000), (0.5, 0.01), 500, min_reads=1)
    wanted = 1_000 * 0.5, 10_000 * (0.01 * 0.99) ** 0.5
    assert reads[0] / reads[1] == pytest.approx(wanted[0] / wanted[1], rel=0.02)


def test_more_reads_than_units_read_everything() -> None:
    _, found = frame(400)
    assert allocate(found.cells, found.sizes, planned_shares(found.cells), 600) == found.sizes


def test_too_few_reads_are_an_error() -> None:
    _, found = frame()
    with pytest.raises(ValueError, match="need at least"):
        plan_audit(found, 100, seed=1)


def test_the_sample_is_what_was_designed() -> None:
    ids, found = frame()
    design = plan_audit(found, 600, seed=7)
    drawn = draw_sample(ids, found, design)
    assert design.n_reads == 600 == len(set(drawn.units.tolist()))
    assert np.bincount(drawn.cell_of, minlength=len(found.cells)).tolist() == [
        r.n_reads for r in design.cells
    ]
    assert (found.cell_of[drawn.units] == drawn.cell_of).all()
    assert (np.diff(drawn.cell_of) != 0).mean() > 0.5  # the reading list does not go cell by cell
    assert design.cells[0].fraction == design.cells[0].n_reads / design.cells[0].n_units


def test_the_sample_depends_on_the_seed_and_not_on_the_order() -> None:
    ids, found = frame()
    design = plan_audit(found, 600, seed=7)
    first = [ids[i] for i in draw_sample(ids, found, design).units]
    order = np.random.default_rng(0).permutation(len(ids))
    shuffled = Frame(found.cells, found.cell_of[order], found.edges)
    moved = [ids[i] for i in order]
    assert [moved[i] for i in draw_sample(moved, shuffled, design).units] == first
    other = plan_audit(found, 600, seed=8)
    assert [ids[i] for i in draw_sample(ids, found, other).units] != first


def test_a_changed_frame_and_a_double_unit_are_errors() -> None:
    ids, found = frame()
    design = plan_audit(found, 600, seed=7)
    with pytest.raises(ValueError, match="frame changed"):
        draw_sample(ids[:-1], Frame(found.cells, found.cell_of[:-1], found.edges), design)
    with pytest.raises(ValueError, match="twice"):
        draw_sample([*ids[:-1], ids[0]], found, design)


def test_every_unit_of_a_cell_is_as_likely_as_the_next() -> None:
    ids, found = frame(1_000)
    counts = np.zeros(1_000)
    for seed in range(60):
        counts[draw_sample(ids, found, plan_audit(found, 400, seed=seed)).units] += 1
    design = plan_audit(found, 400, seed=0)
    for place, row in enumerate(design.cells):
        mean = counts[found.cell_of == place].mean() / 60
        assert mean == pytest.approx(row.fraction)
        if row.fraction < 1 and row.n_units > 100:
            spread = counts[found.cell_of == place].var() / (60 * row.fraction * (1 - row.fraction))
            assert 0.6 < spread < 1.5  # binomial: 1
