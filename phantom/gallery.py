"""The gallery of a simulated hospital: mid-spine pictures with the truth drawn over them, in one HTML page.

A radiologist can open it anywhere and say what looks wrong: no file beside it, nothing is fetched.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from phantom.slabs import PhantomSlab
from phantom.truth import VertebraTruth, has_hardware
from phantom.vertebrae.vertebra import OSTEOPOROTIC, PATHOLOGICAL, TRAUMATIC, Vertebra

# What a scan can be an example of, the rarest first: a full gallery drops pictures of the most frequent.
KINDS = ("hardware", "pathological", "traumatic", "fracture", "imitator", "sound")
WINDOW_HU = (-250, 750)  # a bone window: centre 250, width 1000
MOST_PICTURES = 48
WEBP_QUALITY = 70  # some 40 kB a picture
SHOWN_LOSS = 0.08  # losses are written beside a level from here on; imitators begin there
SKIN_HU = -300
_COLOURS = {
    "sound": "#4fc3b0",
    "imitator": "#8fd14f",
    "grade-1": "#ffe14d",
    "grade-2": "#ff9a3c",
    "grade-3": "#ff4d4d",
    "traumatic": "#ff66d9",
    "pathological": "#b48cff",
    "treated": "#59a8ff",
}
_MEANINGS = {
    "sound": "no fracture",
    "imitator": "imitates a fracture",
    "grade-1": "grade 1",
    "grade-2": "grade 2",
    "grade-3": "grade 3",
    "traumatic": "traumatic fracture",
    "pathological": "fracture by metastasis",
    "treated": "cement or screws",
}


@dataclass(frozen=True)
class Mark:
    """The outline of one body in the picture's pixels, and what is written beside it."""

    look: str
    points: str
    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Picture:
    """One scan as the gallery shows it. `gray` is (rows, columns), 0-255."""

    title: str
    family: str
    kinds: tuple[str, ...]
    facts: tuple[str, ...]
    gray: NDArray[np.uint8]
    marks: tuple[Mark, ...]

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.gray.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.gray.shape[0])

    @property
    def data(self) -> str:
        """The picture as WebP, in base64."""
        out = io.BytesIO()
        Image.fromarray(self.gray).save(out, "WEBP", quality=WEBP_QUALITY)
        return base64.b64encode(out.getvalue()).decode("ascii")


class Selection:
    """The pictures of a page that has room for `limit` only, evenly over the kinds."""

    def __init__(self, limit: int = MOST_PICTURES) -> None:
        self.limit = limit
        self.pictures: list[Picture] = []

    def wants(self, kind: str) -> bool:
        """Whether a picture of that kind would be kept."""
        counts = self._counts()
        return len(self.pictures) < self.limit or counts[kind] + 1 < max(counts.values(), default=0)

    def add(self, picture: Picture) -> None:
        """Keep a picture; the newest of the most frequent kind goes when there are too many."""
        self.pictures.append(picture)
        if len(self.pictures) > self.limit:
            kind = self._counts().most_common(1)[0][0]
            newest = max(i for i, each in enumerate(self.pictures) if each.kinds[0] == kind)
            del self.pictures[newest]

    def _counts(self) -> Counter[str]:
        return Counter(each.kinds[0] for each in self.pictures)


def shown_kinds(slab: PhantomSlab) -> tuple[str, ...]:
    """What a slab is an example of, from the bodies that it shows whole."""
    return kinds_of([body for body in slab.vertebrae if body.is_visible])


def kinds_of(shown: Sequence[VertebraTruth | Vertebra]) -> tuple[str, ...]:
    """What a scan that shows these bodies is an example of, the rarest first."""
    found = {
        "hardware": any(has_hardware(body) for body in shown),
        "pathological": any(body.cause == PATHOLOGICAL for body in shown),
        "traumatic": any(body.cause == TRAUMATIC for body in shown),
        "fracture": any(body.cause == OSTEOPOROTIC for body in shown),
        "imitator": any(body.imitators for body in shown),
    }
    return tuple(kind for kind in KINDS if found.get(kind)) or ("sound",)


def picture_of(slab: PhantomSlab, *, title: str, family: str, facts: Sequence[str]) -> Picture:
    """A slab's picture along the middle of its spine, with the truth."""
    hu, labels = along_spine(slab)
    rows, columns = _inside(hu)
    hu, labels = hu[rows, columns], labels[rows, columns]
    low, high = WINDOW_HU
    gray = np.clip((hu - low) * (255.0 / (high - low)), 0, 255).astype(np.uint8)
    marks = [_mark(labels == body.label, body) for body in slab.vertebrae if (labels == body.label).any()]
    return Picture(title, family, shown_kinds(slab), tuple(facts), gray, tuple(marks))


def along_spine(slab: PhantomSlab) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """HU and labels (rows, columns) on the surface through the middles of the bodies, linear between slices."""
    labels = slab.vertebra_label_xzy
    per_row = (labels > 0).sum(axis=2).astype(float)  # (x, rows)
    weight = per_row.sum(axis=0)
    with_body = np.flatnonzero(weight)
    n_slices, n_rows = per_row.shape
    if len(with_body):
        middle = (per_row * np.arange(n_slices)[:, None]).sum(axis=0)[with_body] / weight[with_body]
        where = _smooth(np.interp(np.arange(n_rows), with_body, middle))
    else:
        where = np.full(n_rows, (n_slices - 1) / 2)
    low = np.clip(where.astype(int), 0, n_slices - 2)
    share = (where - low)[:, None]
    row = np.arange(n_rows)
    hu = (1 - share) * slab.slab_xzy_hu[low, row] + share * slab.slab_xzy_hu[low + 1, row]
    return hu.astype(np.float32), labels[np.clip(np.rint(where).astype(int), 0, n_slices - 1), row]


def _smooth(values: NDArray[np.float64], reach: int = 30) -> NDArray[np.float64]:
    """A running mean over the height of about two bodies."""
    padded = np.pad(values, reach, mode="edge")
    return np.convolve(padded, np.full(2 * reach + 1, 1 / (2 * reach + 1)), mode="valid")


def _inside(hu: NDArray[np.float32]) -> tuple[slice, slice]:
    """Rows and columns that hold the patient, with a little air around."""
    body = hu > SKIN_HU
    columns = np.flatnonzero(body.mean(axis=0) > 0.05)
    if not len(columns):
        return slice(None), slice(None)
    return slice(None), slice(max(0, int(columns[0]) - 6), int(columns[-1]) + 7)


def _mark(mask: NDArray[np.bool_], body: VertebraTruth) -> Mark:
    """Outline of a mask from its first and last row in every column: bodies have no holes and no overhangs."""
    columns = np.flatnonzero(mask.any(axis=0))
    top = mask[:, columns].argmax(axis=0)
    bottom = len(mask) - mask[::-1, columns].argmax(axis=0)
    right = int(columns[-1]) + 1
    edge = [*zip(columns, top, strict=True), (right, int(top[-1]))]
    back = [(right, int(bottom[-1])), *zip(columns[::-1], bottom[::-1], strict=True)]
    points = " ".join(f"{x},{y}" for x, y in edge + back)
    middle = 0.5 * (float(top.mean()) + float(bottom.mean()))
    return Mark(_look(body), points, right + 8.0, middle + 4.0, _text(body))


def _look(body: VertebraTruth) -> str:
    if has_hardware(body):
        return "treated"
    if body.cause in (TRAUMATIC, PATHOLOGICAL):
        return body.cause
    if body.grade:
        return f"grade-{body.grade}"
    return "imitator" if body.imitators else "sound"


def _text(body: VertebraTruth) -> str:
    return f"{body.level} {body.loss:.0%}" if body.loss >= SHOWN_LOSS else body.level


def facts_of(slab: PhantomSlab, *, age_years: float, sex: str) -> tuple[str, ...]:
    """Lines below a picture: who, how scanned, what is there."""
    scan = slab.acquisition
    found = [
        f"{body.level} {body.cause} {body.shape}, grade {body.grade}, {body.loss:.0%} lost"
        for body in slab.vertebrae
        if body.is_visible and body.cause
    ]
    shown = [body for body in slab.vertebrae if body.is_visible]
    imitators = {name for body in shown for name in body.imitators}
    disturbances = {name for body in shown for name in body.disturbances}
    return (
        f"{sex}, {age_years:.0f} years, {slab.coverage}",
        f"{scan.thickness_mm:g} mm slices every {scan.spacing_mm:.3g} mm, pixel {scan.in_plane_mm:.2f} mm, "
        f"{scan.kernel} kernel, {scan.kvp} kV, noise {scan.noise_hu:.0f} HU",
        *found,
        *_named("imitates", imitators),
        *_named("disturbs", disturbances),
    )


def _named(what: str, names: set[str]) -> list[str]:
    listed = ", ".join(name.replace("_", " ") for name in sorted(names))
    return [f"{what}: {listed}"] if names else []


def write_gallery(path: Path, pictures: Sequence[Picture], *, title: str, n_total: int) -> None:
    """Write the page. `n_total` says of how many scans the pictures were chosen."""
    text = resources.files("phantom").joinpath("gallery.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined).from_string(text)
    kinds = Counter(kind for each in pictures for kind in each.kinds)
    path.write_text(
        page.render(
            title=title,
            n_total=n_total,
            pictures=pictures,
            window=WINDOW_HU,
            colours=_COLOURS,
            meanings=_MEANINGS,
            kinds={kind: kinds[kind] for kind in reversed(KINDS) if kinds[kind]},
            families=dict(sorted(Counter(each.family for each in pictures).items())),
        ),
        encoding="utf-8",
    )
