"""Settings, read once here (environment, then the command line); below flows everything takes plain arguments."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from flows.errors import SettingsError

ENV_PREFIX = "OVF_"
TRACEBACK_VARIABLE = "OVF_TRACEBACK"  # show the traceback of an unexpected error; no setting of a sweep
# How a PACS lets us in. Read where it is asked (flows/pacs.py): no setting, so in no digest and no parameter.
SECRET_VARIABLES = ("OVF_PACS_USER", "OVF_PACS_PASSWORD", "OVF_PACS_TOKEN")
DEFAULT_MODEL = "ovf-phantom-2"  # the shipped one
DEFAULT_WAREHOUSE = Path("ovf-warehouse/warehouse.duckdb")

# Settings that say where and how fast, not what: they change no result and stay out of the settings digest.
_OPERATIONAL = frozenset(
    {
        "warehouse",
        "slabs",
        "workers",
        "scheduler",
        "tls_ca",
        "tls_cert",
        "tls_key",
        "gpu",
        "worker_wait_s",
        "shard_size",
        "shard_mb",
        "wave_files",
        "stable_s",
        "progress",
    }
)
_LATER = ("body_part", "description", "station")


class Settings(BaseSettings):
    """Everything a sweep can be told. Each field is also an environment variable `OVF_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, extra="forbid", frozen=True)

    warehouse: Path = DEFAULT_WAREHOUSE
    site: str = Field(
        "main", min_length=1, max_length=64, description="name of the hospital; part of a patient's pseudonym"
    )
    slabs: Path | None = Field(None, description="where slabs are kept; default: slabs/ beside the warehouse")
    keep_slabs: bool = True
    slab_half_width_mm: float = Field(
        30.0, ge=9.0, le=60.0, description="half of the width that a kept slab covers"
    )
    model: str = Field(DEFAULT_MODEL, description="id of a shipped model, or a folder with one")
    profile: Literal["strict", "lenient"] = "lenient"
    min_age: int = Field(18, ge=0, le=120)
    since: str | None = Field(None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    until: str | None = Field(None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    cohort: Path | None = None
    opt_out: Path | None = None
    accept_no_meta: bool = False
    workers: int | None = Field(None, ge=1, le=1024, description="local Dask workers; default: one a core")
    scheduler: str | None = Field(None, description="address of a Dask scheduler; default: a local cluster")
    tls_ca: Path | None = Field(None, description="for tls://: certificate of the cluster's authority, PEM")
    tls_cert: Path | None = Field(None, description="for tls://: our certificate, PEM")
    tls_key: Path | None = Field(None, description="for tls://: the key of our certificate, PEM, no password")
    gpu: Literal["auto", "required", "label"] = Field(
        "auto", description="label: a worker that declares GPU=1 scores, with or without a GPU"
    )
    worker_wait_s: float = Field(
        300.0, gt=0, description="how long a sweep waits for a scheduler or workers that went away"
    )
    shard_size: int = Field(32, ge=1, le=4096, description="studies a shard at most")
    shard_mb: int = Field(4096, ge=1, description="megabytes of image files a shard at most")
    series_timeout_s: float = Field(600.0, gt=0, description="decoding and resampling one series at most")
    series_memory_mb: int = Field(6144, ge=512, description="memory for decoding one series at most")
    wave_files: int = Field(20_000, ge=1)
    stable_s: float = Field(5.0, ge=0, description="a file younger than this may still be being written")
    progress: Literal["auto", "plain", "none"] = "auto"

    # which series are looked at, by patterns such as *abdomen*, separated by commas; of any kind of archive
    body_part: str | None = None
    description: str | None = None
    station: str | None = None

    # a PACS (docs/pacs.md)
    pacs_modality: str = Field("CT", pattern=r"^[A-Za-z]{2,16}$", description="of the studies asked for; any")
    pacs_calling: str = Field("OVF", min_length=1, max_length=16, description="our application entity title")
    pacs_receiver: str | None = Field(
        None, description="[HOST:]PORT of our receiver, where only C-MOVE works"
    )
    pacs_credentials: Path | None = Field(None, description="file with user:password or a bearer token")
    pacs_ca: Path | None = Field(None, description="certificates that may have signed the PACS's")
    pacs_cert: Path | None = Field(None, description="our certificate")
    pacs_key: Path | None = Field(None, description="the key of our certificate")
    pacs_parallel: int = Field(2, ge=1, le=32, description="associations or requests at once")
    pacs_rate: float = Field(5.0, gt=0, le=1000, description="questions a second at most")
    pacs_window: str | None = Field(None, description="hours in which the PACS is asked, such as 22:00-06:00")
    pacs_timeout_s: float = Field(60.0, gt=0, description="longest silence of the PACS")
    pacs_tries: int = Field(4, ge=1, le=20, description="tries of one question that the PACS began to answer")
    pacs_patience_s: float = Field(900.0, gt=0, description="how long the PACS may not answer at all")
    pacs_most_answers: int = Field(500, ge=2, description="answers to one query that count as cut short")
    pacs_recheck_days: int = Field(14, ge=0, description="younger studies are asked about in full each time")
    pacs_spool_mb: int = Field(8192, ge=1, description="megabytes of fetched files on disk at once")

    @property
    def digest(self) -> str:
        """Digest of the settings that can change a result; stands in every score."""
        values = self.model_dump(mode="json", exclude={*_OPERATIONAL, *_pacs_settings()})
        for name in _LATER:
            if values[name] is None:  # so that a digest from before this setting existed stays
                del values[name]
        for name in ("cohort", "opt_out"):
            path = getattr(self, name)
            if path is not None:  # the content counts, not where it lies
                values[name] = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]

    def days(self) -> tuple[dt.date | None, dt.date | None]:
        """`since` and `until`. Raises SettingsError for a day that is none, and for a range that holds none."""
        since, until = self._day("since"), self._day("until")
        if since is not None and until is not None and since > until:
            raise SettingsError(f"settings since, until: a range from {since} to {until} holds no day")
        return since, until

    def _day(self, name: str) -> dt.date | None:
        text = getattr(self, name)
        try:
            return dt.date.fromisoformat(text) if text else None
        except ValueError as error:
            raise SettingsError(f"setting {name}: {error}") from None


def _pacs_settings() -> set[str]:
    """How a PACS is asked changes no result."""
    return {name for name in Settings.model_fields if name.startswith("pacs_")}


def read_settings(**given: object) -> Settings:
    """Environment first, what was given on the command line over it (None means: not given).

    Raises SettingsError naming the key that is wrong, also for an `OVF_` variable that does not exist.
    """
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields}
    known |= {TRACEBACK_VARIABLE, *SECRET_VARIABLES}
    unknown = sorted(name for name in os.environ if name.startswith(ENV_PREFIX) and name.upper() not in known)
    if unknown:
        raise SettingsError(f"unknown setting {unknown[0]} in the environment: see `ovf sweep --help`")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise SettingsError(f"setting {key}: {first['msg']}") from error
