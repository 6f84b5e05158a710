"""The flow of the monthly audit: the numbers of the archive as they stand, as a page and tables, and one artifact."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from flows.audit import AuditRequest, audit_numbers
from flows.audit_files import PAGE, write_audit
from flows.audit_summary import headline_text
from flows.errors import SettingsError
from warehouse.store import Store

ARTIFACT = "ovf-audit"


@flow(name="monthly-audit", persist_result=False, retries=0, validate_parameters=False)
def monthly_audit(warehouse: str, out: str, request: dict[str, Any] | None = None) -> str:
    """Write the audit into a folder of the month below `out`; returns the path of its page.

    `request` holds fields of `flows.audit.AuditRequest`. Reads the published copy, so it may run during a sweep.
    Raises SettingsError, WarehouseMissing.
    """
    try:
        asked = AuditRequest(**(request or {}))
    except TypeError as error:
        raise SettingsError(f"request of the audit: {error}") from error
    folder = Path(out) / f"{dt.datetime.now(dt.UTC):%Y-%m}"
    store = Store.open(Path(warehouse), create=False)
    with store.read_identified() if asked.is_identified else store.read() as connection:
        numbers = audit_numbers(connection, asked)
    write_audit(numbers, folder, is_identified=asked.is_identified)
    create_markdown_artifact(
        f"```\n{headline_text(numbers)}\n```", key=ARTIFACT, description=f"Audit of {folder.name}"
    )
    return str(folder / PAGE)
