"""Writes an audit: its numbers as tables, and the page. For the command and for the monthly deployment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from estimates.audit_numbers import AuditNumbers
from flows.audit_export import write_tables
from reports.audit_page import NO_THUMBNAILS, render_audit_page
from reports.audit_worklist import Thumbnail
from warehouse.paths import replace_file

PAGE = "index.html"


def write_audit(
    numbers: AuditNumbers,
    out: Path,
    *,
    is_identified: bool = False,
    thumbnails: Mapping[str, Thumbnail] = NO_THUMBNAILS,
) -> int:
    """Write the tables and the page into `out`, owner-only; returns the number of tables."""
    written = write_tables(numbers, out, is_identified=is_identified)
    replace_file(out / PAGE, render_audit_page(numbers, thumbnails=thumbnails).encode())
    return len(written)
