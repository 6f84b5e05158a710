"""Every agreed way to fail: its exit code, and a message that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_missing_archive_ends_with_11(ovf, tmp_path: Path) -> None:
    done = ovf.inside("sweep", tmp_path / "no-such-archive", expect=11)
    assert done.stderr.startswith("ovf: ")


def test_T52_unknown_setting_ends_with_10(ovf, tmp_path: Path) -> None:
    done = ovf.inside("sweep", tmp_path, "--profile", "strickt", expect=10)
    assert "profile" in done.stderr


def test_unknown_option_ends_with_2(ovf, tmp_path: Path) -> None:
    ovf.inside("sweep", tmp_path, "--wrokers", "2", expect=2)


def test_unknown_model_ends_with_13(ovf, tmp_path: Path) -> None:
    done = ovf.inside("sweep", tmp_path, "--model", "ovf-of-tomorrow", expect=13)
    assert "model" in done.stderr


def test_T51_altered_weights_end_with_13(ovf, untrained_model: Path, tmp_path: Path) -> None:
    altered = tmp_path / "altered"
    altered.mkdir()
    for path in untrained_model.iterdir():
        (altered / path.name).write_bytes(path.read_bytes())
    weights = bytearray((altered / "model.safetensors").read_bytes())
    weights[-100] ^= 1
    (altered / "model.safetensors").write_bytes(bytes(weights))
    archive = tmp_path / "archive"
    archive.mkdir()
    done = ovf.inside("sweep", archive, "--model", altered, expect=13)
    assert "altered" in done.stderr


@pytest.mark.parametrize(
    "verb", [["status"], ["check"], ["export", "scores", "--out", "s.csv"], ["backup", "copy"]]
)
def test_verbs_without_a_warehouse_say_so(ovf, verb: list[str]) -> None:
    done = ovf.inside(*verb, expect=10)
    assert "ovf sweep" in done.stderr


def test_no_scheduler_ends_with_10_and_does_not_hang(ovf, hospital: Path) -> None:
    done = ovf("sweep", hospital / "archive", "--scheduler", "tcp://127.0.0.1:9", expect=10)
    assert "127.0.0.1:9" in done.stderr


@pytest.mark.parametrize(
    "verb",
    [
        "sweep",
        "status",
        "export scores",
        "requeue",
        "check",
        "migrate",
        "backup",
        "forget",
        "demo",
        "train",
        "model list",
    ],
)
def test_every_verb_has_help_with_an_example(ovf, verb: str) -> None:
    assert "Example: ovf " in " ".join(ovf.inside(*verb.split(), "--help").stdout.split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "2021-01-01", "--until", "2020-01-01"], "holds no day"),
        (["--opt-out", "nowhere.txt"], "setting opt_out"),
    ],
)
def test_a_wrong_cohort_is_named(ovf, tmp_path: Path, words: list[str], told: str) -> None:
    """Before anything is decided: a typo must not exclude a whole archive."""
    archive = tmp_path / "archive"
    archive.mkdir()
    assert told in ovf.inside("sweep", archive, *words, expect=10).stderr
