"""The page of an audit: one HTML file that needs nothing else, to read and to print. Pure: numbers in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from estimates.audit_numbers import AuditNumbers
from reports.audit_headlines import headlines
from reports.audit_methods import methods, versions
from reports.audit_sections import sections
from reports.audit_tables import flow_table, follow_up_table, further_tables, sample_table
from reports.audit_words import noun
from reports.audit_worklist import Thumbnail, worklists
from reports.figures.flow import flow_picture
from reports.page import page_template

NO_THUMBNAILS: Mapping[str, Thumbnail] = MappingProxyType({})


def render_audit_page(numbers: AuditNumbers, *, thumbnails: Mapping[str, Thumbnail] = NO_THUMBNAILS) -> str:
    """The page as HTML. All text is escaped; nothing is loaded from elsewhere; no script.

    `numbers` as they may be shown (`flows.audit.audit_numbers` has hidden small cells). `thumbnails`: series key → PNG
    files. Identities appear when the rows of the worklist carry them. ValueError when a thumbnail is no PNG, or
    when a corrected prevalence is shown that nothing supports.
    """
    basis = numbers.basis
    return page_template("audit.html").render(
        basis=basis,
        noun=noun(basis),
        warnings=_warnings(numbers),
        headlines=headlines(numbers),
        flow=flow_picture(numbers.waterfall),
        flow_table=flow_table(numbers.waterfall),
        sections=sections(numbers),
        sample=sample_table(numbers.cells),
        further=further_tables(numbers),
        follow_up=follow_up_table(numbers.follow_up),
        worklists=worklists(numbers, thumbnails),
        methods=methods(numbers),
        versions=versions(basis),
    )


def _warnings(numbers: AuditNumbers) -> tuple[str, ...]:
    """What a reader must know before any number."""
    basis = numbers.basis
    told = []
    if basis.caveat:
        told.append(
            f"{basis.caveat[0].upper()}{basis.caveat[1:]}: the AI has learned from simulated scans only. Its flags and "
            "probabilities may be wrong on patients in ways that nobody has measured."
        )
    if not basis.n_read:
        told.append("Nobody has read a scan for this audit: there is no prevalence and no missed rate below.")
    told += basis.changes
    if basis.is_shown_small:
        told.append("For use inside the house only: small counts are shown.")
    if any(row.patient_id or row.accession_numbers for row in numbers.worklist):
        told.append("Contains identified patients: keep it safe.")
    return tuple(told)
