"""Takes objects that were published, returns the note that rejects them (IHE IOCM: a Key Object Selection). Pure.

A PACS that follows the IHE profile Imaging Object Change Management hides what the note names; others show the note.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import KeyObjectSelectionDocumentStorage, SecondaryCaptureImageStorage

from tasks.publish_facts import (
    MANUFACTURER,
    SERIES_NUMBERS,
    UNVERIFIED,
    ObjectUids,
    Reference,
    SourceSeries,
    put_in_study,
    stand_in,
)


def note_reference(uids: ObjectUids, rejected: Sequence[Reference]) -> Reference:
    """Where the note that rejects these objects will lie."""
    uids_rejected = sorted(each.sop_instance_uid for each in rejected)
    return Reference.made_of(KeyObjectSelectionDocumentStorage, uids, "rejection", *uids_rejected)


def build_note(
    rejected: Sequence[Reference],
    source: SourceSeries,
    *,
    place: Reference,
    at: dt.datetime,
    test_system: str | None,
) -> Dataset:
    """The note, ready to be sent. Title: (113001, DCM, Rejected for Quality Reasons), CID 7011."""
    objects = [_object(source, each) for each in rejected]
    made = KeyObjectSelectionDocument(
        evidence=objects,
        content=KeyObjectSelection(
            document_title=codes.DCM.RejectedForQualityReasons,
            referenced_objects=objects,
            description=f"Withdrawn: {UNVERIFIED}",
        ),
        series_instance_uid=place.series_instance_uid,
        series_number=SERIES_NUMBERS["rejection"],
        sop_instance_uid=place.sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
    )
    return put_in_study(made, source, at, test_system)


def _object(source: SourceSeries, reference: Reference) -> Dataset:
    """Images are told from documents by their size, which highdicom looks for."""
    dataset = stand_in(source, reference)
    if reference.sop_class_uid == SecondaryCaptureImageStorage:
        dataset.Rows = dataset.Columns = 1
    return dataset
