"""What a slab is to be, as one frozen record."""

from __future__ import annotations

from dataclasses import dataclass, replace

STORAGE_RECIPE = "sag21-3mm-0p8mm-j2k10"


@dataclass(frozen=True, slots=True)
class SlabRecipe:
    """What a slab is to be. Another recipe needs another name: the name is part of every score's key."""

    name: str = STORAGE_RECIPE
    pixel_mm: float = 0.8  # under half the 2.5 mm that tell a grade 1 loss (20 % of a 20 mm body is 4 mm)
    slice_mm: float = 3.0  # thickness and distance of the slices
    half_width_mm: float = 30.0  # centres of the first and last slice from the middle
    margin_mm: float = 12.0  # air kept in front of and behind the body
    n_body_slices: int = 9  # full slices that are looked at to find the body

    @property
    def n_slices(self) -> int:
        """Odd: the middle slice is centred on the middle."""
        return 2 * round(self.half_width_mm / self.slice_mm) + 1


DEFAULT_RECIPE = SlabRecipe()


def recipe_of_width(width_mm: float) -> SlabRecipe:
    """The recipe for slabs of another width, such as 30 mm to halve their disk. Its name says the number of slices.

    ValueError when the width holds less than the slices that a model reads (18 mm).
    """
    if width_mm < 18:
        raise ValueError("a slab under 18 mm holds less than a model reads")
    half_width_mm = DEFAULT_RECIPE.slice_mm * round(width_mm / 2 / DEFAULT_RECIPE.slice_mm)
    recipe = replace(DEFAULT_RECIPE, half_width_mm=half_width_mm)
    return replace(recipe, name=STORAGE_RECIPE.replace("sag21", f"sag{recipe.n_slices}"))
