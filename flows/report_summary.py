"""What `ovf reports import` and `ovf reports diff` print. Counts only, unless identified lines are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from flows.report_import import ImportCounts
from flows.report_relabel import Change
from warehouse.reasons import message_for, reason_of


def import_lines(counts: ImportCounts, encoding: str) -> Iterator[str]:
    """Where every row of the file ended, then where all reports of the warehouse stand."""
    yield (
        f"{counts.n_rows:,} rows ({encoding}) = {counts.n_new:,} new reports "
        f"+ {counts.n_known:,} known already + {counts.n_forgotten:,} of erased patients, not stored"
    )
    if counts.n_empty:
        yield f"{counts.n_empty:,} of the new ones have no text: nothing was read, nothing is stated"
    if counts.n_unreadable_dates:
        yield f"{counts.n_unreadable_dates:,} of the new ones have a date that cannot be read (write YYYY-MM-DD)"
    if counts.n_unknown_statuses:
        yield f"{counts.n_unknown_statuses:,} of the new ones have a status nobody knows; they count as final"
    yield f"reports in the warehouse: {sum(counts.ended.values()):,}"
    for (outcome, reason), n in sorted(counts.ended.items(), key=lambda item: (item[0][1] or "", item[0][0])):
        why = f": {message_for(reason)} → {reason_of(reason).next_step}" if reason else ""
        yield f"  {n:,} {outcome}{why}"
    n_studies = sum(n for _, _, n in counts.statements)
    yield f"studies with a report that counts: {n_studies:,}"
    for statement, wording, n in counts.statements:
        yield f"  {n:,} {statement}" + (f" ({wording})" if wording != "none" else "")
    if counts.changes:
        yield from diff_lines(counts.changes, identified=False)


def diff_lines(changes: Sequence[Change], *, identified: bool) -> Iterator[str]:
    """Counts by old and new label; with `identified`, each report with its evidence."""
    yield f"{len(changes):,} reports have another label"
    pairs = Counter((change.before, change.after) for change in changes)
    for (before, after), n in sorted(pairs.items(), key=lambda item: (-item[1], item[0])):
        yield f"  {n:,}: {before} → {after}"
    if identified:
        for change in changes:
            evidence = " ".join(change.evidence.split())
            yield f"{change.accession_number or '(none)'}\t{change.before} → {change.after}\t{evidence}"
