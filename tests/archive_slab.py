"""The whole way of one series, from files on disk to its slab, as a sweep goes it."""

from __future__ import annotations

from pathlib import Path

from tasks.header import read_headers
from tasks.identity import Pseudonymizer
from tasks.instance import Instance, StudyInstances
from tasks.profile import DEFAULT_PROFILE, Cohort
from tasks.select import select_study
from tasks.series import group_series
from tasks.slab import Slab, build_slab
from tasks.sources import open_source


def slab_of(archive: Path) -> Slab:
    """The slab of the only series of a folder of files or zips."""
    source = open_source(str(archive))
    refs = [listing.ref(entry) for listing in source.walk() for entry in listing.entries]
    members = [
        listing.ref(entry)
        for ref in refs
        if ref.path.endswith(b".zip") and ref.member is None
        for listing in source.members(ref)
        for entry in listing.entries
    ]
    found = tuple(item for item in read_headers(source, members or refs) if isinstance(item, Instance))
    study = StudyInstances(found[0].study_instance_uid, found, len(found), 0, frozenset(), ())
    selection = select_study(
        group_series(study),
        study=study,
        keys=Pseudonymizer(b"k" * 32, "site"),
        profile=DEFAULT_PROFILE,
        cohort=Cohort(),
        archive_key="archive",
        site="site",
        run_id="run",
    )
    assert len(selection.plans) == 1, [record.reason for record in selection.selections]
    return build_slab(selection.plans[0], source)
