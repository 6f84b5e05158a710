"""Pictures for the worklist of an audit: the most suspicious slice of each kept slab, plain and under its heat map."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from duckdb import DuckDBPyConnection as Connection
from numpy.typing import NDArray
from PIL import Image

from estimates.audit_numbers import AuditNumbers
from flows.publish_heat import ScoredSeries
from reports.audit_worklist import Thumbnail
from tasks.publish_capture import Frame, SuspiciousSlice, framed_rgb, grey_rgb, heated_rgb
from warehouse.queries import query

# A heat map is some 150 images' worth of scoring: seconds a scan, and a page has to end.
SECONDS_AT_MOST = 300.0
HEIGHT_PIXELS = 480  # twice what the page shows, so that print stays sharp
LOW_HU, HIGH_HU = -150.0, 650.0  # narrower than the models' window: small pictures of old bone would be dark
DEPTH_MM_PER_MM = 0.5  # depth shown for each mm of height: the spine and what lies around it
COLOURS = 96  # of a heat map's palette


@dataclass(frozen=True, slots=True)
class KeptSlab:
    """A series whose slab was kept when it was scored."""

    series_key: str
    series_revision: str


class MakesPictures(Protocol):
    """Finds the most suspicious slice of a kept slab (`flows.publish_heat.Pictures` does)."""

    def of(self, result: ScoredSeries, /) -> SuspiciousSlice | None:
        """None when the slab is gone or unreadable."""


def kept_slabs(connection: Connection, numbers: AuditNumbers, n: int) -> tuple[KeptSlab, ...]:
    """The first `n` rows of the worklist that have a slab, in turn from each list, the likeliest first."""
    if n <= 0 or not numbers.worklist:
        return ()
    ordered = sorted(numbers.worklist, key=lambda row: (row.place, row.list != "missed"))
    keys = list(dict.fromkeys(row.series_key for row in ordered if row.series_key))
    asked = {"series_keys": keys, "model_digest": numbers.basis.model_digest}
    revisions = dict(connection.execute(query("audit_kept_slabs"), asked).fetchall())
    return tuple(KeptSlab(key, revisions[key]) for key in keys if key in revisions)[:n]


def thumbnails(
    slabs: Sequence[KeptSlab],
    pictures: MakesPictures,
    *,
    seconds: float = SECONDS_AT_MOST,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Thumbnail]:
    """Series key → pictures. A slab that is gone has none; after `seconds` no further one is begun."""
    made: dict[str, Thumbnail] = {}
    end = time.monotonic() + seconds
    for done, slab in enumerate(slabs, start=1):
        if time.monotonic() >= end:
            break
        suspicious = pictures.of(slab)
        if suspicious is not None:
            made[slab.series_key] = thumbnail(suspicious)
        if progress is not None:
            progress(done, len(slabs))
    return made


def thumbnail(suspicious: SuspiciousSlice) -> Thumbnail:
    """Two small PNG files of one slice: all of its height, and half as much depth around the heat."""
    columns = _columns(suspicious.heat_zy)
    plain = grey_rgb(suspicious.slice_zy_hu[:, columns], LOW_HU, HIGH_HU)
    heated = framed_rgb(heated_rgb(plain, suspicious.heat_zy[:, columns]), _within(suspicious.heard, columns))
    return Thumbnail(_png(plain, is_grey=True), _png(heated, is_grey=False))


def _within(frame: Frame | None, columns: slice) -> Frame | None:
    """A frame in these columns of its picture; None where it lies beside them."""
    if frame is None or frame.right < columns.start or frame.left >= columns.stop:
        return None
    left, right = (min(max(edge, columns.start), columns.stop - 1) - columns.start for edge in frame[2:])
    return frame._replace(left=left, right=right)


def _columns(heat_zy: NDArray[np.float32]) -> slice:
    """Pixels are square: the share of depth is one of pixels as well."""
    rows, columns = heat_zy.shape
    width = min(columns, max(1, round(rows * DEPTH_MM_PER_MM)))
    heat = np.maximum(heat_zy, 0).sum(axis=0)
    middle = float(np.average(np.arange(columns), weights=heat)) if heat.any() else columns / 2
    first = round(min(max(0.0, middle - width / 2), columns - width))
    return slice(first, first + width)


def _png(picture: NDArray[np.uint8], *, is_grey: bool) -> bytes:
    image = Image.fromarray(picture)
    width = max(1, round(image.width * HEIGHT_PIXELS / image.height))
    image = image.resize((width, HEIGHT_PIXELS), Image.Resampling.LANCZOS)
    image = image.convert("L") if is_grey else image.quantize(COLOURS)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
