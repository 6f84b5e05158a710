"""The domain reference: a distance of features, its limit, and its file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.domain import DOMAIN_FILE, fit_domain, limit_keeping, read_domain, write_domain
from models.registry import SHIPPED, ModelError, describe_model

DIGEST = describe_model("ovf-phantom-2").digest
SPREAD = np.diag([3.0, 1.0, 0.5])


def scans(n: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(7, 3)) @ SPREAD + [5.0, -1.0, 0.0] for _ in range(n)]


def test_distance_is_mahalanobis_and_its_limit_keeps_the_stated_share() -> None:
    reference = fit_domain(scans(400, 1), model_digest=DIGEST, fitted_on="made up")
    images = np.concatenate(scans(400, 1))
    covariance = np.cov(images.T, bias=True)
    away = images - images.mean(axis=0)
    textbook = np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away) / 3)
    assert reference.image_distances(images) == pytest.approx(textbook, rel=1e-3)
    assert np.mean(reference.image_distances(images) ** 2) == pytest.approx(1)
    # A change that is small in the wide direction is large in the narrow one.
    narrow, wide = reference.image_distances(np.array([[5.0, -1.0, 2.0], [7.0, -1.0, 0.0]]))
    assert narrow > 3 * wide
    held_out = np.array([reference.distance(scan) for scan in scans(300, 2)])
    limited = reference.with_limit(held_out, "made up")
    assert limited.limit is not None
    assert np.sum(held_out > limited.limit) == 3
    assert limited.domain_id == reference.domain_id
    assert (
        np.mean([limited.distance(scan + np.array([0, 0, 3.0])) > limited.limit for scan in scans(20, 3)])
        == 1
    )
    few = reference.with_limit(
        held_out[:99], "made up"
    )  # their largest would give up more than one in a hundred
    assert few.limit is None
    assert "99 scans (made up) are too few" in few.limit_rule
    assert not few.is_beyond(1e9)
    assert limit_keeping(np.arange(1.0, 11.0), 0.99) == 10
    assert limit_keeping(np.arange(1.0, 101.0), 0.99) == 99


def test_silent_features_do_not_make_every_whisper_foreign() -> None:
    silent = [np.hstack([scan, np.zeros((7, 2))]) for scan in scans(50, 1)]
    reference = fit_domain(silent, model_digest=DIGEST, fitted_on="made up")
    whisper = silent[0] + np.array([0, 0, 0, 0.001, 0])
    assert reference.distance(whisper) == pytest.approx(reference.distance(silent[0]), rel=0.05)


def test_file_keeps_every_number_and_refuses_what_is_none(tmp_path: Path) -> None:
    for name in ("manifest.json", "config.json"):
        (tmp_path / name).write_bytes((SHIPPED / "ovf-phantom-2" / name).read_bytes())
    assert read_domain(tmp_path) is None
    reference = fit_domain(scans(20, 1), model_digest=DIGEST, fitted_on="made up")
    write_domain(tmp_path, reference)
    again = read_domain(tmp_path)
    assert again is not None
    assert again.domain_id == reference.domain_id
    assert again.distance(scans(1, 9)[0]) == reference.distance(scans(1, 9)[0])
    write_domain(tmp_path, replace(reference, model_digest="0" * 64))
    with pytest.raises(ModelError, match="another model"):
        read_domain(tmp_path)
    write_domain(tmp_path, reference)
    values = json.loads((tmp_path / DOMAIN_FILE).read_text())
    for change in ({"limit": "far"}, {"mean": [0.0]}, {"extra": 1}, {"whitening": [[float("nan")] * 3] * 3}):
        (tmp_path / DOMAIN_FILE).write_text(json.dumps(values | change))
        with pytest.raises(ModelError):
            read_domain(tmp_path)
