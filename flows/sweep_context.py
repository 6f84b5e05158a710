"""Everything one sweep works with, put together once from the settings. Frozen; nothing here does the work."""

from __future__ import annotations

import datetime as dt
import os
import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from flows.errors import SettingsError
from flows.model_rows import model_row, shipped_point
from flows.pacs import archive_name
from flows.settings import Settings
from flows.staging import stage_rows
from flows.sweep_cohort import cohort_of
from flows.version import code_version
from models.config import ViewRecipe
from models.domain import DomainReference, read_domain
from models.registry import describe_model, portable_name, verify_model
from tasks.identity import Pseudonymizer, key_id_of, load_or_create_key
from tasks.instance import StudyInstances
from tasks.profile import Cohort, Profile, profile_digest, profile_named
from tasks.recipe import SlabRecipe, recipe_of_width
from tasks.select import READER_VERSION, StudySelection, select_study
from tasks.series import group_series
from tasks.shard_work import DecisionKeys, Limits, Provenance, ShardJob
from tasks.sources.base import Source
from warehouse.records import ModelRecord, OperatingPointRecord, RunRecord
from warehouse.store import Store


@dataclass(frozen=True, slots=True)
class SweepContext:
    """The fixed facts of one sweep."""

    settings: Settings
    run: RunRecord
    source: Source
    pseudonyms: Pseudonymizer
    profile: Profile
    cohort: Cohort
    keys: DecisionKeys
    provenance: Provenance
    slab_recipe: SlabRecipe
    view_recipe: ViewRecipe
    model: ModelRecord
    operating_point: OperatingPointRecord
    domain: DomainReference | None
    worker_model: str  # the model as every worker finds it, whatever its working directory
    slab_directory: Path | None
    staging_directory: Path

    @property
    def run_id(self) -> str:
        """Id of this run: the time and four random bytes, since clocks jump."""
        return self.run.run_id

    @property
    def archive_key(self) -> str:
        """Pseudonym of the archive."""
        return self.run.archive_key

    @property
    def limits(self) -> Limits:
        """Bounds on decoding one series."""
        return Limits(self.settings.series_memory_mb << 20, self.settings.series_timeout_s)

    def select(self, study: StudyInstances) -> StudySelection:
        """What this sweep's profile and cohort decide about one study."""
        return select_study(
            group_series(study),
            study=study,
            keys=self.pseudonyms,
            profile=self.profile,
            cohort=self.cohort,
            archive_key=self.archive_key,
            site=self.settings.site,
            run_id=self.run_id,
        )

    def job(self, name: str, studies: tuple[StudySelection, ...]) -> ShardJob:
        """A shard of this sweep. `name` is a pseudonym or a digest."""
        return ShardJob(
            name=name,
            staging_path=self.staging_directory / self.run_id / f"{name}.arrow",
            studies=studies,
            source=self.source,
            slab_directory=self.slab_directory,
            slab_recipe=self.slab_recipe,
            view_recipe=self.view_recipe,
            model=self.worker_model,
            keys=self.keys,
            provenance=self.provenance,
            limits=self.limits,
            stage=stage_rows,
            domain=self.domain,
        )


def make_context(archive: str, settings: Settings, source: Source, store: Store) -> SweepContext:
    """Read key, cohort and model, and put everything together. Raises SettingsError and ModelError."""
    key = load_or_create_key(store.paths.key)
    store.bind_key(key_id_of(key))
    pseudonyms = Pseudonymizer(key, settings.site)
    refuse_other_site(store, pseudonyms.archive_key(archive_name(archive)), settings.site)
    verify_model(settings.model)
    listing = describe_model(settings.model)
    profile = profile_named(settings.profile)
    cohort = cohort_of(archive, settings)
    slab_recipe = recipe_of_width(2 * settings.slab_half_width_mm)
    keys = DecisionKeys(
        profile_digest=profile_digest(profile, cohort, pseudonyms),
        reader_version=READER_VERSION,
        storage_recipe=slab_recipe.name,
        view_recipe=listing.view.name,
        model_digest=listing.digest,
    )
    run = _run(settings, pseudonyms.archive_key(archive_name(archive)), keys)
    return SweepContext(
        settings=settings,
        run=run,
        source=source,
        pseudonyms=pseudonyms,
        profile=profile,
        cohort=cohort,
        keys=keys,
        provenance=Provenance(run.run_id, run.code_version, run.settings_digest),
        slab_recipe=slab_recipe,
        view_recipe=listing.view,
        model=model_row(settings.model),
        operating_point=shipped_point(settings.model),
        domain=read_domain(settings.model),
        worker_model=portable_name(listing),
        slab_directory=_slab_directory(settings, store) if settings.keep_slabs else None,
        staging_directory=store.paths.staging,
    )


def refuse_other_site(store: Store, archive_key: str, site: str) -> None:
    """Pseudonyms of patients hold the site: another name would make two of everybody. Raises SettingsError."""
    with store.read_live() as connection:
        known = connection.execute(
            "SELECT site FROM archive WHERE archive_key = ? AND site <> ?", [archive_key, site]
        ).fetchall()
    if known:
        raise SettingsError(
            f"this archive was swept as site {known[0][0]}, not {site}: say --site {known[0][0]} (or OVF_SITE), since "
            "pseudonyms of patients hold the site"
        )


def _slab_directory(settings: Settings, store: Store) -> Path:
    return (settings.slabs or store.paths.directory / "slabs").absolute()


def _run(settings: Settings, archive_key: str, keys: DecisionKeys) -> RunRecord:
    now = dt.datetime.now(dt.UTC)
    return RunRecord(
        run_id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        archive_key=archive_key,
        site=settings.site,
        kind="sweep",
        state="running",
        started_at=now,
        finished_at=None,
        host=socket.gethostname(),
        pid=os.getpid(),
        code_version=code_version(),
        settings_digest=settings.digest,
        profile=settings.profile,
        profile_digest=keys.profile_digest,
        reader_version=keys.reader_version,
        storage_recipe=keys.storage_recipe,
        view_recipe=keys.view_recipe,
        model_digest=keys.model_digest,
    )
