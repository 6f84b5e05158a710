"""The deformation that lowers one vertebral body of a real scan, as pure functions of place.

All movement is along z, the length of the patient. `TwinField.sunk_mm` says, for every voxel of the deformed scan,
how much higher its tissue lay in the real one. Within the column: nothing moves below the disc under the body; the body
shrinks between its endplates, which move as rigid plates; both discs take up what their neighbours leave free; all
above sinks by one distance. Away from the column the same sinking is spread over a longer stretch, and fades to
nothing in front of the spine (organs, great vessels) and to its sides, so that no edge is torn.

A sham has the same sinking folded to less than half a slice: every voxel lies as far from the nearest slice as in
its twin, so that interpolation smooths both alike, and no height changes.

Each piece is monotone in z, and pieces are mixed by weights that do not depend on z: nothing ever folds over.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from phantom.real.vertebra_marks import Line, VertebraMark, disc_of, line_z
from phantom.vertebrae.vertebra import RIM

Floats = npt.NDArray[np.float64]
Three = tuple[float, float, float]

LEAST_DISC_MM = 2.0
LEAST_DISC_SHARE = (
    0.6  # of a disc's height at the rims that stays: chosen by eye, discs rarely narrow beside a fracture
)
PLATE_MM = 2.0  # an endplate with the bone or disc at it moves as one piece: about its blur in a thick slice
OWN_MARGIN_MM, OWN_FADE_MM = (
    1.5,
    7.0,
)  # around the body: its cortex moves with it; then, within the canal, the rest
COLUMN_MARGIN_MM, COLUMN_FADE_MM = 3.0, 15.0
SPREAD_MM = 25.0  # beyond the neighbouring endplates: half the height of a lumbar level
FRONT_FADE_MM = (15.0, 120.0)  # in front of the bodies the sinking fades between these: aorta, then bowel
SIDE_FADE_MM = (40.0, 140.0)  # from the midline: transverse processes and rib heads move with the column
SMOOTHING_MM = 0.5
SUPERELLIPSE = 2.5  # outline of a body in the axial plane, between ellipse and box


@dataclass(frozen=True)
class Lowering:
    """How one body is lowered. `shares` are lost of the (anterior, middle, posterior) height, 0 for a sham."""

    shape: str
    shares: Three
    upper_share: float = 0.65  # of the loss that the upper endplate takes
    lateral_tilt: float = 0.0  # more loss on the left (positive) by this share at the body's side

    @property
    def loss(self) -> float:
        """The largest share lost."""
        return max(self.shares)


@dataclass(frozen=True)
class Site:
    """A body between its neighbours' endplates, millimetres; lines as in VertebraMark."""

    mark: VertebraMark
    above: Line  # lower endplate of the body above
    below: Line  # upper endplate of the body below
    column_y_mm: tuple[float, float]  # front and back of this body and its neighbours

    def levels_mm(self, y_mm: float | Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """z of the endplate below, of this body's lower and upper endplate, and of the endplate above, at y.

        In front of the body and behind it they stay as they are at its walls: lines that meet there are no folds.
        """
        front, back = self.mark.y_anterior_mm, self.mark.y_posterior_mm
        y = np.clip(np.asarray(y_mm, float), front - OWN_MARGIN_MM, back + OWN_MARGIN_MM)
        lower, upper = line_z(self.mark.lower_yz_mm, y), line_z(self.mark.upper_yz_mm, y)
        below = np.minimum(line_z(self.below, y), lower - LEAST_DISC_MM)
        above = np.maximum(line_z(self.above, y), upper + LEAST_DISC_MM)
        return below, lower, upper, above

    def depths_mm(self) -> Floats:
        """Places y from wall to wall at which discs are watched."""
        return np.linspace(
            self.mark.y_anterior_mm - OWN_MARGIN_MM, self.mark.y_posterior_mm + OWN_MARGIN_MM, 15
        )

    def rims_mm(self) -> Floats:
        """y where anterior, middle and posterior height are measured."""
        return self.mark.y_mm + self.mark.half_depth_mm * np.array([-RIM, 0.0, RIM])


def site_of(marks: tuple[VertebraMark, ...], index: int) -> Site:
    """The site of one of the marks (head to foot); a neighbour that is not marked is put a usual disc away."""
    mark = marks[index]
    rims = (mark.y_anterior_mm, mark.y_posterior_mm)
    height = float(np.mean(line_z(mark.upper_yz_mm, mark.y_mm) - line_z(mark.lower_yz_mm, mark.y_mm)))
    disc = disc_of(mark.level, height)
    upper = marks[index - 1] if index > 0 else None
    lower = marks[index + 1] if index + 1 < len(marks) else None
    above = shifted(mark.upper_yz_mm, disc)
    below = shifted(mark.lower_yz_mm, -disc)
    near: list[VertebraMark] = []
    if upper is not None and upper.z_mm - mark.z_mm < 1.8 * (height + disc):
        above, near = upper.lower_yz_mm, [*near, upper]
    if lower is not None and mark.z_mm - lower.z_mm < 1.8 * (height + disc):
        below, near = lower.upper_yz_mm, [*near, lower]
    front = min([rims[0], *(other.y_anterior_mm for other in near)])
    back = max([rims[1], *(other.y_posterior_mm for other in near)])
    return Site(mark, above, below, (front, back))


def shifted(line: Line, dz_mm: float) -> Line:
    """An endplate line higher by so much."""
    return tuple((y, z + dz_mm) for y, z in line)


@dataclass(frozen=True)
class TwinField:
    """Where the tissue of a deformed scan comes from. Make it with `twin_field` and `sham_field`."""

    site: Site
    lowering: Lowering
    sinking_mm: float  # of everything above, at the column
    lower_shift_mm: float  # by which the body as a whole goes down besides its loss
    fold_mm: float | None = None  # slice spacing of a sham
    fold_sign: float = 1.0

    @property
    def is_sham(self) -> bool:
        """Whether no height changes."""
        return self.fold_mm is not None

    @cached_property
    def heights_mm(self) -> Three:
        """Anterior, middle and posterior height of the body as it was."""
        _, lower, upper, _ = self.site.levels_mm(self.site.rims_mm())
        a, m, p = (upper - lower).tolist()
        return (a, m, p)

    @cached_property
    def heights_after_mm(self) -> Three:
        """The three heights as the field leaves them, from the endplates it moves."""
        y = self.site.rims_mm()
        x = np.full(3, self.site.mark.x_mm)
        lower, upper = self.endplates_after_mm(x, y)
        a, m, p = (upper - lower).tolist()
        return (a, m, p)

    def endplates_after_mm(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """z of the lower and upper endplate of the lowered body at (x, y)."""
        _, lower, upper, _ = self.site.levels_mm(y_mm)
        up, down = self._endplate_moves(x_mm, y_mm)
        return lower + up, upper + down

    def sinking_at_mm(self, x_mm: float | Floats, y_mm: float | Floats) -> Floats:
        """How far all that lies above sinks at (x, y); negative in a sham that rises."""
        sinking = self.sinking_mm * _fade(self.site, np.asarray(x_mm, float), np.asarray(y_mm, float))
        return sinking if self.fold_mm is None else self.fold_sign * fold(sinking, self.fold_mm)

    def own_weight(self, x_mm: Floats, y_mm: Floats) -> Floats:
        """1 within the body's outline seen from above, 0 away from it."""
        mark = self.site.mark
        away = _outside_mm(mark, mark.y_anterior_mm, mark.y_posterior_mm, x_mm, y_mm)
        return 1 - _smoothstep((away - OWN_MARGIN_MM) / OWN_FADE_MM)

    def depth_inside_mm(self, x_mm: Floats, y_mm: Floats) -> Floats:
        """About how far inside the body's walls a place lies; negative outside."""
        mark = self.site.mark
        return -_outside_mm(mark, mark.y_anterior_mm, mark.y_posterior_mm, x_mm, y_mm)

    def sunk_mm(self, z_mm: Floats, x_mm: Floats, y_mm: Floats) -> Floats:
        """By how much the tissue at every place (z, y, x) of the deformed scan lay higher; arrays are 1-D.

        Its z in the real scan is z + this, and rises with z.
        """
        y, x = np.meshgrid(np.asarray(y_mm, float), np.asarray(x_mm, float), indexing="ij")
        z = np.asarray(z_mm, float)[:, None, None]
        own, near, sinking = self.own_weight(x, y), self._column_weight(x, y), self.sinking_at_mm(x, y)
        sunk = near * self._tight(z, y, sinking) + (1 - near) * self._spread(z, sinking)
        columns = np.flatnonzero(own.any(axis=0))
        if columns.size:
            part = np.s_[:, columns[0] : columns[-1] + 1]
            taps = [self._body(z + dz, x[part], y[part]) for dz in (-SMOOTHING_MM, 0.0, SMOOTHING_MM)]
            inside = np.s_[:, :, columns[0] : columns[-1] + 1]
            sunk[inside] += own[part] * (np.mean(taps, axis=0) - sunk[inside])
        return np.asarray(sunk)

    def knots_mm(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """Six places (6, …) from the endplate below to that above in the deformed scan, and how far down each came.

        Between them the movement is linear; the second to third and the fourth to fifth hold an endplate.
        """
        below, lower, upper, above = self.site.levels_mm(y_mm)
        up, down = self._endplate_moves(x_mm, y_mm)
        sinking = self._body_sinking(x_mm)
        discs = [(lower - below, lower + up - below), (above - upper, above - sinking - upper - down)]
        low_rim, high_rim = (np.minimum(PLATE_MM, 0.3 * np.minimum(*disc)) for disc in discs)
        inner = np.minimum(PLATE_MM, 0.2 * (upper + down - lower - up))
        source = [
            below + low_rim,
            lower - low_rim,
            lower + inner,
            upper - inner,
            upper + high_rim,
            above - high_rim,
        ]
        moves = [np.zeros_like(below), up, up, down, down, -sinking]
        return np.stack([s + m for s, m in zip(source, moves, strict=True)]), -np.stack(moves)

    def _body_sinking(self, x_mm: Floats) -> Floats:
        return np.broadcast_to(self.sinking_at_mm(self.site.mark.x_mm, self.site.mark.y_mm), x_mm.shape)

    def _endplate_moves(self, x_mm: Floats, y_mm: Floats) -> tuple[Floats, Floats]:
        """How far up the lower and the upper endplate go (the upper: negative)."""
        _, lower, upper, _ = self.site.levels_mm(y_mm)
        lost = (upper - lower) * self._share_at(x_mm, y_mm)
        up = (1 - self.lowering.upper_share) * lost - self.lower_shift_mm
        return up, -self.lowering.upper_share * lost - self.lower_shift_mm

    def _share_at(self, x_mm: Floats, y_mm: Floats) -> Floats:
        mark = self.site.mark
        shares = profile(self.lowering.shares, (y_mm - mark.y_mm) / mark.half_depth_mm)
        side = np.clip((x_mm - mark.x_mm) / mark.half_width_mm, -1, 1)
        return shares * (1 + self.lowering.lateral_tilt * side)

    def _body(self, z: Floats, x: Floats, y: Floats) -> Floats:
        """How much higher the tissue lay, within the outline of the body."""
        places, moves = self.knots_mm(x, y)
        risen = moves[0] + np.zeros_like(z)
        for k in range(5):
            share = np.clip((z - places[k]) / (places[k + 1] - places[k]), 0, 1)
            risen = risen + share * (moves[k + 1] - moves[k])
            if k == 2 and self.fold_mm is not None:
                wave = min(0.25 * self.fold_mm, 0.06 * min(self.heights_mm))
                risen = risen + wave * np.sin(np.pi * share) ** 2
        return np.asarray(risen)

    def _tight(self, z: Floats, y: Floats, sinking: Floats) -> Floats:
        """Between the neighbours' endplates, so that they keep their form; linear."""
        below, _, _, above = self.site.levels_mm(y)
        low, high = below + 0.5 * LEAST_DISC_MM, above - 0.5 * LEAST_DISC_MM - sinking
        return np.asarray(sinking * np.clip((z - low) / (high - low), 0, 1))

    def _spread(self, z: Floats, sinking: Floats) -> Floats:
        """Over a longer stretch, for arches, muscles, vessels and organs."""
        below, _, _, above = (float(v) for v in self.site.levels_mm(self.site.mark.y_mm))
        low, high = below - SPREAD_MM, above + SPREAD_MM - sinking
        return np.asarray(sinking * _smoothstep((z - low) / (high - low)))

    def _column_weight(self, x: Floats, y: Floats) -> Floats:
        away = _outside_mm(self.site.mark, *self.site.column_y_mm, x, y)
        return 1 - _smoothstep((away - COLUMN_MARGIN_MM) / COLUMN_FADE_MM)


def twin_field(site: Site, lowering: Lowering) -> TwinField:
    """The field of a lowered body. How far all above sinks follows from the rims of both discs.

    A disc keeps the mean height of its rims, but nowhere less than `LEAST_DISC_SHARE` of its height.
    """
    y, rims, mark = site.depths_mm(), site.rims_mm(), site.mark
    below, lower, upper, above = site.levels_mm(y)
    lost = (upper - lower) * profile(lowering.shares, (y - mark.y_mm) / mark.half_depth_mm)
    spare = (1 - LEAST_DISC_SHARE) * np.stack([lower - below, above - upper])
    # A tilt takes from one side what it gives the other: no more than a quarter of the thinner disc.
    most_tilt = 0.6 * float(spare.min()) / max(float(lost.max()), 1e-6)
    tilt = float(np.clip(lowering.lateral_tilt, -most_tilt, most_tilt))
    at_rims = np.interp(rims, y, lost)[[0, 2]].mean()
    by_upper, by_lower = lowering.upper_share * lost, (1 - lowering.upper_share) * lost
    shift = min(float((1 - lowering.upper_share) * at_rims), float((by_lower + spare[0]).min()))
    sinking = min(float(lowering.upper_share * at_rims), float((by_upper + spare[1]).min()))
    return TwinField(site, replace(lowering, lateral_tilt=tilt), shift + sinking, shift)


def sham_field(twin: TwinField, slice_spacing_mm: float, sign: float = 1.0) -> TwinField:
    """The sham of a twin: its sinking folded to at most half a slice, the body moved as one piece by half of that.

    `sign` says whether all above sinks or rises; it is turned where a disc would be narrowed too much.
    """
    below, lower, upper, above = twin.site.levels_mm(twin.site.depths_mm())
    spare = (1 - LEAST_DISC_SHARE) * float(np.minimum(lower - below, above - upper).min())
    folded = float(fold(np.asarray(twin.sinking_mm), slice_spacing_mm))
    if sign * folded > 2 * spare:
        sign = -sign
    still = replace(twin.lowering, shares=(0.0, 0.0, 0.0), lateral_tilt=0.0)
    shift = 0.5 * sign * folded
    return replace(twin, lowering=still, lower_shift_mm=shift, fold_mm=slice_spacing_mm, fold_sign=sign)


def fold(distance_mm: Floats, period_mm: float) -> Floats:
    """A distance folded into ± half a period, always as far from the nearest multiple of the period as before."""
    phase = np.mod(distance_mm / period_mm + 0.5, 2.0) - 0.5  # -0.5 … 1.5
    return np.asarray(np.where(phase > 0.5, 1.0 - phase, phase) * period_mm)


def profile(shares: Three, v: Floats) -> Floats:
    """Share lost at v (-1 front, 1 back): a straight line through both rims and a dish between them."""
    anterior, middle, posterior = shares
    at = np.clip(v / RIM, -1, 1)
    rims = 0.5 * (anterior + posterior)
    return np.asarray(rims + 0.5 * (posterior - anterior) * at + (middle - rims) * (1 - at**2) ** 1.5)


def _outside_mm(mark: VertebraMark, front_mm: float, back_mm: float, x_mm: Floats, y_mm: Floats) -> Floats:
    """About how far a place lies outside an outline seen from above; negative inside."""
    half_depth = 0.5 * (back_mm - front_mm)
    v = np.abs(y_mm - 0.5 * (front_mm + back_mm)) / half_depth
    u = np.abs(x_mm - mark.x_mm) / mark.half_width_mm
    radius = (u**SUPERELLIPSE + v**SUPERELLIPSE) ** (1 / SUPERELLIPSE)
    return np.asarray((radius - 1) * min(half_depth, mark.half_width_mm))


def _fade(site: Site, x_mm: Floats, y_mm: Floats) -> Floats:
    """Share of the sinking that is left away from the column."""
    ahead = site.column_y_mm[0] - y_mm
    aside = np.abs(x_mm - site.mark.x_mm)
    front = 1 - _smoothstep((ahead - FRONT_FADE_MM[0]) / (FRONT_FADE_MM[1] - FRONT_FADE_MM[0]))
    side = 1 - _smoothstep((aside - SIDE_FADE_MM[0]) / (SIDE_FADE_MM[1] - SIDE_FADE_MM[0]))
    return front * side


def _smoothstep(t: Floats) -> Floats:
    s = np.clip(t, 0, 1)
    return np.asarray(s * s * (3 - 2 * s))
