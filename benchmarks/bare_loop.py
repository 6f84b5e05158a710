"""The same functions as a sweep in one loop: no Prefect, no Dask, no child process, one thread. The peer of row 5."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from flows.settings import read_settings
from flows.sweep_context import SweepContext, make_context
from tasks.crawl import crawl, read_here
from tasks.index import Index
from tasks.instance import StudyTicket
from tasks.select import StudySelection
from tasks.shard_work import SlabbedShard, SlabbedStudy, score_slabs, slab_path
from tasks.slab import slab_task
from tasks.sources import open_source
from warehouse.landing import LandingBatch
from warehouse.store import Store


def main(archive: str, warehouse: str, model: str) -> int:
    """Crawl, select, slab, score and land one archive; returns the number of scored studies."""
    settings = read_settings(warehouse=warehouse, model=model)
    source = open_source(archive)
    store = Store.open(settings.warehouse)
    context = make_context(archive, settings, source, store)
    store.land(LandingBatch.of([context.run, context.model, context.operating_point]))
    n_scored, shard = 0, list[SlabbedStudy]()
    with Index(store.paths.index / context.archive_key) as index:
        for _ in crawl(source, index, read_batch=read_here(source)):
            pass
        for selection in _selections(context, index, index.settled_studies(None)):
            shard.append(_slabbed(context, selection))
            if len(shard) == settings.shard_size:
                n_scored += _score(context, shard)
                shard = []
    n_scored += _score(context, shard)
    store.land_staging()
    store.publish()
    return n_scored


def _selections(
    context: SweepContext, index: Index, tickets: Iterator[StudyTicket]
) -> Iterator[StudySelection]:
    for ticket in tickets:
        selection = context.select(index.instances_of(ticket.study_instance_uid))
        index.set_revision(ticket, selection.study.study_revision)
        yield selection


def _slabbed(context: SweepContext, selection: StudySelection) -> SlabbedStudy:
    plan = selection.plans[0]
    assert context.slab_directory is not None
    path = slab_path(context.slab_directory, plan)
    slab = slab_task(plan, context.source, path, context.slab_recipe, context.view_recipe)
    return SlabbedStudy(selection, slab, plan)


def _score(context: SweepContext, shard: list[SlabbedStudy]) -> int:
    if not shard:
        return 0
    studies = tuple(study.selection for study in shard)
    job = context.job(studies[0].study.study_key, studies)
    return score_slabs(SlabbedShard(job, shard)).n_scored


if __name__ == "__main__":
    print(json.dumps({"n_scored": main(*sys.argv[1:4])}))
