"""How far a scan lies from everything a model has seen: a distance in the space of its 32 features per image.

Fitted on the images of scans that the model was trained or validated on (never of its test set). The reference is
numbers beside the model (`domain.json`), outside its digest: another one scores nothing again, since the features of
every score are kept. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.registry import SHIPPED, ModelError, find_model, read_manifest, read_part

DOMAIN_FILE = "domain.json"
# Features are rounded to this many digits in the file, so that its digest does not hang on the last bit.
DIGITS = 9
# Added to the variance in every direction, as a share of the average one. The features of a trained model lie
# almost in a plane (ovf-phantom-1: 99 % of their variance in two directions), and what is foreign shows in the other
# thirty. Measured on it: with a hundredth (the shrinkage of Ledoit and Wolf asks for as much) a skull, water and air
# lie inside the limit; with this share outside.
RIDGE_SHARE = 1e-5
# A model excludes about one scan in a hundred of its own kind; fewer would blind the limit, more would waste scans.
KEPT_SHARE = 0.99
LEAST_FOR_LIMIT = 100  # 1 / (1 - KEPT_SHARE): with fewer even the largest distance keeps less than that


@dataclass(frozen=True)
class DomainReference:
    """Where the images of known scans lie: `distance` is 1 for an average image, whatever the number of features."""

    model_digest: str  # of the model whose features these are
    mean: NDArray[np.float64]  # (k,)
    whitening: NDArray[
        np.float64
    ]  # (k, k), lower triangle: |whitening @ (x − mean)|² is the squared distance
    limit: float | None  # a scan farther away is not evaluable; None: no limit chosen yet
    limit_rule: str  # how it was chosen, in words
    fitted_on: str  # which scans
    n_scans: int

    @property
    def domain_id(self) -> str:
        """Names the yardstick, not the limit: distances with the same id can be compared."""
        numbers = json.dumps([self.model_digest, _rounded(self.mean), _rounded(self.whitening)])
        return hashlib.sha256(numbers.encode()).hexdigest()[:16]

    def image_distances(self, slice_features: NDArray[np.floating]) -> NDArray[np.float64]:
        """slice_features (n, k) → Mahalanobis distance of each image over √k, (n,).

        Sums run in a fixed order, without BLAS: the same features give the same bits on every machine.
        ValueError for another number of features.
        """
        features = np.asarray(slice_features, np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.mean) or not len(features):
            raise ValueError(f"features are (images, {len(self.mean)}) for this reference, one image or more")
        away = np.einsum("ij,nj->ni", self.whitening, features - self.mean)
        squared = np.einsum("ni,ni->n", away, away) / len(self.mean)
        return np.asarray(np.sqrt(squared), np.float64)

    def distance(self, slice_features: NDArray[np.floating]) -> float:
        """Of a scan: the median over its images, so that one odd tile (a hip, metal) does not speak for all."""
        return float(np.median(self.image_distances(slice_features)))

    def is_beyond(self, distance: float) -> bool:
        """Whether a scan so far away is not evaluable."""
        return self.limit is not None and distance > self.limit

    def with_limit(self, distances: NDArray[np.floating], chosen_on: str) -> DomainReference:
        """The same yardstick with the limit that keeps `KEPT_SHARE` of these scans (validation data).

        Without one where they are too few: the largest of n distances gives up about 1 in n + 1 scans of their kind.
        """
        if len(distances) < LEAST_FOR_LIMIT:
            few = f"none: {len(distances)} scans ({chosen_on}) are too few, {LEAST_FOR_LIMIT} are needed"
            return replace(self, limit=None, limit_rule=few)
        rule = f"keeps {KEPT_SHARE:.0%} of {len(distances)} scans ({chosen_on})"
        return replace(self, limit=limit_keeping(distances, KEPT_SHARE), limit_rule=rule)


def limit_keeping(distances: NDArray[np.floating], share: float) -> float:
    """The smallest of these distances that at least `share` of them do not exceed. ValueError when there is none."""
    ordered = np.sort(np.asarray(distances, np.float64))
    if not len(ordered) or not np.isfinite(ordered).all() or not 0 < share <= 1:
        raise ValueError("a limit needs finite distances, and a share above 0")
    return float(ordered[min(len(ordered), math.ceil(share * len(ordered) - 1e-9)) - 1])


def fit_domain(
    features_of_scans: Sequence[NDArray[np.floating]], *, model_digest: str, fitted_on: str
) -> DomainReference:
    """features_of_scans: per scan (n, k), n ≥ 1 → a reference without a limit; every scan weighs the same.

    ValueError for fewer than two scans, or features that never differ.
    """
    if len(features_of_scans) < 2:
        raise ValueError("a reference needs two scans or more")
    scans = [np.asarray(one, np.float64) for one in features_of_scans]
    images = np.concatenate(scans)
    weights = np.concatenate([np.full(len(one), 1.0 / len(one) / len(scans)) for one in scans])
    mean = weights @ images
    centred = images - mean
    covariance = np.einsum("n,ni,nj->ij", weights, centred, centred)
    spread = float(np.trace(covariance)) / len(mean)
    if spread <= 0:
        raise ValueError("all features are constant: nothing to measure a distance by")
    ridge = RIDGE_SHARE * spread * np.eye(len(mean))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance + ridge))
    away = centred @ whitening.T
    whitening /= np.sqrt(weights @ (away**2).sum(axis=1) / len(mean))  # an average image lies at distance 1
    return DomainReference(
        model_digest=model_digest,
        mean=np.array(_rounded(mean)),
        whitening=np.array(_rounded(whitening)),
        limit=None,
        limit_rule="none",
        fitted_on=fitted_on,
        n_scans=len(scans),
    )


def read_domain(id_or_path: str | Path, root: Path = SHIPPED) -> DomainReference | None:
    """The reference kept beside a model; None for a model that has none. ModelError for a damaged or foreign one."""
    directory = find_model(id_or_path, root)
    if not (directory / DOMAIN_FILE).is_file():
        return None
    try:
        values = json.loads(read_part(directory / DOMAIN_FILE))
        mean, whitening = (np.array(values.pop(name), np.float64) for name in ("mean", "whitening"))
        reference = DomainReference(mean=mean, whitening=whitening, **values)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{DOMAIN_FILE} is not a domain reference") from error
    _check(reference, read_manifest(directory)["model_digest"])
    return reference


def _check(reference: DomainReference, model_digest: str) -> None:
    k = len(reference.mean) if reference.mean.ndim == 1 else -1
    is_finite = np.isfinite(reference.mean).all() and np.isfinite(reference.whitening).all()
    limit = reference.limit
    if reference.whitening.shape != (k, k) or not is_finite:
        raise ModelError(f"{DOMAIN_FILE} is not a domain reference")
    if limit is not None and not (isinstance(limit, float | int) and math.isfinite(limit) and limit > 0):
        raise ModelError(f"the limit in {DOMAIN_FILE} is no distance")
    if reference.model_digest != model_digest:
        raise ModelError(f"{DOMAIN_FILE} belongs to another model: fit it again for this one")


def write_domain(directory: Path, reference: DomainReference) -> None:
    """Keep a reference beside its model."""
    values = {
        "model_digest": reference.model_digest,
        "fitted_on": reference.fitted_on,
        "n_scans": reference.n_scans,
        "limit": reference.limit,
        "limit_rule": reference.limit_rule,
        "mean": _rounded(reference.mean),
        "whitening": _rounded(reference.whitening),
    }
    (directory / DOMAIN_FILE).write_text(json.dumps(values, indent=1) + "\n")


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """Numbers to `DIGITS` significant digits, as nested lists."""
    found: list[float] = np.vectorize(lambda value: float(f"{value:.{DIGITS}g}"), otypes=[float])(
        values
    ).tolist()
    return found
