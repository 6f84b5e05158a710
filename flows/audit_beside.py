"""Estimates beside the audit's own: Begg-Greenes, prediction-powered, Chapman, errors of the readers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from estimates.audit_cells import AiResult, Definition, Frame
from estimates.audit_estimates import prevalence
from estimates.audit_limits import MonteCarlo
from estimates.audit_numbers import AuditBasis, Number, number_of, refused_number
from estimates.audit_reads import AuditReads, CellReads
from estimates.capture import chapman
from estimates.prediction_powered import PoweredStratum, prediction_powered_share
from estimates.reader_error import reader_error_table
from estimates.result import Estimate, Refused
from estimates.verification import VerifiedGroup, begg_greenes
from flows.audit_estimated import Place, tried
from flows.audit_frame import scores_of
from flows.audit_reads import ReadSample, cell_of, finding_label, is_case, labelled_reads
from flows.audit_verdicts import CASE_CLASSES, Agreement, Endpoint, Settled

# Assumed errors of the readers; four readers of the same 50 CTs called 24 to 38 % of them positive.
READER_SENSITIVITIES = (0.85, 0.90, 0.95, 1.0)
READER_SPECIFICITIES = (0.95, 0.98, 1.0)


@dataclass(frozen=True, slots=True)
class CurrentFrame:
    """The units of the warehouse now, when they are those the sample was drawn from."""

    units: pa.Table
    frame: Frame


def numbers_beside(
    sample: ReadSample, current: CurrentFrame | None, basis: AuditBasis, how: MonteCarlo
) -> list[Number]:
    """All of them, for both endpoints, and the agreement of the readers."""
    numbers = _agreement(sample.agreement)
    for endpoint in Endpoint:
        reads, unread = labelled_reads(sample, CASE_CLASSES[endpoint], finding_label(endpoint))
        if unread:
            place = Place("beside", "all estimates beside", endpoint)
            numbers.append(_refusal(place, f"{len(unread)} cells have no verdict that counts"))
            continue
        numbers += [*_begg_greenes(reads, endpoint, how), _chapman(reads, endpoint)]
        numbers.append(_prediction_powered(sample, current, endpoint, basis))
        numbers += [*_reader_errors(reads, endpoint), *_unjudged(sample, endpoint, how)]
    return numbers


def _refusal(place: Place, reason: str) -> Number:
    return refused_number(reason, section=place.section, quantity=place.quantity, endpoint=place.endpoint)


def _agreement(agreement: Agreement) -> list[Number]:
    found = [agreement.endpoint_kappa, agreement.grade_kappa]
    numbers = [number_of(kappa, section="agreement") for kappa in found if kappa is not None]
    if agreement.why_not is not None:
        return [refused_number(agreement.why_not, section="agreement", quantity="kappa")]
    return numbers


def _begg_greenes(reads: AuditReads, endpoint: Endpoint, how: MonteCarlo) -> list[Number]:
    """Groups are the report results; each stratum of score is one, since it was read with its own fraction."""
    cases = reads.cases().astype(int)
    groups = []
    for row, found in zip(reads.cells, cases.tolist(), strict=True):
        if row.cell.is_scored:
            counts = (row.n_units, row.n_read, found)
            is_flagged = row.cell.ai is AiResult.FLAGGED
            groups.append(VerifiedGroup(*counts, 0, 0, 0) if is_flagged else VerifiedGroup(0, 0, 0, *counts))
    places = [
        Place("beside", f"{name} of the AI, Begg-Greenes", endpoint)
        for name in ("sensitivity", "specificity")
    ]
    try:
        found_pair = begg_greenes(groups, given="scored units", how=how)
    except Refused as error:
        return [_refusal(place, str(error)) for place in places]
    return [tried(place, partial(_same, one)) for place, one in zip(places, found_pair, strict=True)]


def _same(estimate: Estimate) -> Estimate:
    return estimate


def _chapman(reads: AuditReads, endpoint: Endpoint) -> Number:
    """Weighted true cases on the list of the reports, on that of the AI, and on both."""
    weighted = {row.cell: row.n_units / row.n_read * sum(row.cases) for row in reads.cells}
    reported = sum(n for cell, n in weighted.items() if cell.is_reported(Definition.LENIENT))
    flagged = sum(n for cell, n in weighted.items() if cell.ai is AiResult.FLAGGED)
    both = sum(
        n
        for cell, n in weighted.items()
        if cell.ai is AiResult.FLAGGED and cell.is_reported(Definition.LENIENT)
    )
    lists = round(reported), round(flagged), min(round(both), round(reported), round(flagged))
    given = (
        "weighted true cases on the lists of reports (lenient) and AI; sampling error is not in the limits"
    )
    return tried(Place("beside", "cases, Chapman", endpoint), partial(chapman, *lists, given=given))


def _prediction_powered(
    sample: ReadSample, current: CurrentFrame | None, endpoint: Endpoint, basis: AuditBasis
) -> Number:
    place = Place("beside", "prevalence, prediction-powered", endpoint)
    if current is None:
        return _refusal(place, "the frame has changed since the sample was drawn")
    given = f"probabilities of all {basis.n_units} units, readings of {len(sample.judged)}"
    try:
        strata = powered_strata(sample, current, endpoint)
        return tried(place, partial(prediction_powered_share, strata, given=given))
    except ValueError as error:  # a cell with a single reading
        return _refusal(place, str(error))


def powered_strata(sample: ReadSample, current: CurrentFrame, endpoint: Endpoint) -> list[PoweredStratum]:
    """One stratum a cell: readings with their probabilities, and those of all other units (0: not scored)."""
    scores = np.nan_to_num(scores_of(current.units))
    read_keys = pa.array([unit.unit_key for unit, _ in sample.judged], pa.string())
    is_read = np.asarray(pc.is_in(current.units["unit_key"], value_set=read_keys).to_numpy(), dtype=bool)
    strata = []
    for record in sample.cells:
        place = current.frame.cells.index(cell_of(record))
        judged = [(unit, verdict) for unit, verdict in sample.judged if unit.cell == record.cell]
        strata.append(
            PoweredStratum(
                np.array([is_case(verdict, endpoint) for _, verdict in judged], dtype=np.float64),
                np.array([unit.probability or 0.0 for unit, _ in judged], dtype=np.float64),
                scores[(current.frame.cell_of == place) & ~is_read],
            )
        )
    return strata


def _reader_errors(reads: AuditReads, endpoint: Endpoint) -> list[Number]:
    numbers = []
    for definition in Definition:
        table = reader_error_table(reads, definition, READER_SENSITIVITIES, READER_SPECIFICITIES)
        for row in table:
            assumed = f"readers: Se {row.reader_sensitivity:.2f}, Sp {row.reader_specificity:.2f}"
            shares = (("missed-diagnosis rate", row.missed_rate), ("prevalence", row.prevalence))
            for quantity, value in shares[: 2 if definition is Definition.STRICT else 1]:
                place = (endpoint, definition if quantity != "prevalence" else "")
                numbers.append(_assumed(quantity, place, assumed, value))
    return numbers


def _assumed(quantity: str, place: tuple[str, str], assumed: str, value: float | None) -> Number:
    endpoint, definition = place
    if value is None:
        return refused_number(
            "the readings contradict this assumption",
            section="sensitivity",
            quantity=quantity,
            endpoint=endpoint,
            definition=definition,
            dimension="readers' error",
            category=assumed,
        )
    method = "each cell by Rogan-Gladen with the assumed error; a sensitivity analysis without limits"
    where = ("sensitivity", quantity, endpoint, definition, "readers' error", assumed)
    return Number(*where, value, None, None, None, None, 0.95, method, assumed)


def _unjudged(sample: ReadSample, endpoint: Endpoint, how: MonteCarlo) -> list[Number]:
    """Prevalence if all cases without a verdict (not evaluable, unsettled) were none, and if all were cases."""
    pending = {Settled.NOT_EVALUABLE, Settled.UNSETTLED}
    open_cells = [
        unit.cell
        for unit in sample.units
        if (verdict := sample.verdicts.get(unit.case_id)) is not None and verdict.settled in pending
    ]
    if not open_cells:
        return []
    numbers = []
    for is_full, end in ((False, "none"), (True, "cases")):
        place = Place("bounds", f"prevalence, readings without verdict counted as {end}", endpoint)
        numbers.append(tried(place, partial(_filled, sample, endpoint, open_cells, is_full, how)))
    return numbers


def _filled(
    sample: ReadSample, endpoint: Endpoint, open_cells: Sequence[int], is_full: bool, how: MonteCarlo
) -> Estimate:
    reads, _ = labelled_reads(
        sample, ("case",), lambda _, verdict: "case" if is_case(verdict, endpoint) else None
    )
    numbers = {cell_of(record): record.cell for record in sample.cells}
    rows = []
    for row in reads.cells:
        more = open_cells.count(numbers[row.cell])
        cases = (row.cases[0] + (more if is_full else 0),)
        rows.append(CellReads(row.cell, row.n_units, row.n_read + more, cases))
    return prevalence(AuditReads(("case",), tuple(rows)), how=how)
