"""Pseudonyms: same in, same out; nothing without the key; a key that others can read is refused."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tasks.identity import KeyFileError, Pseudonymizer, key_id_of, load_key, load_or_create_key

KEY = bytes(range(32))


def test_pseudonyms_are_stable_across_versions() -> None:
    """Written down once: a change here orphans every warehouse in the field."""
    keys = Pseudonymizer(KEY, "north")
    assert keys.patient_key("123", None) == "75d9b8535aea12633e1f1baa9952cd30"
    assert keys.study_key("1.2.3") == "bca7184cfa72236d4968c0c742ac7dcc"
    assert keys.series_key("1.2.3.4") == "5ca52f7b2da9000179499fbe479d2798"
    assert keys.series_key("1.2.3.4", "kernel=B70f") == "d1bf25c11d6b19a871d855e5691ed019"
    assert keys.archive_key("/archive") == "fa7beb56cdf66a2bd3a9e4f8465f2607"


def test_a_patient_without_an_id_has_no_pseudonym() -> None:
    keys = Pseudonymizer(KEY, "north")
    assert keys.patient_key(None, "issuer") is None
    assert keys.patient_key("   ", None) is None


def test_padding_does_not_make_another_patient() -> None:
    keys = Pseudonymizer(KEY, "north")
    assert keys.patient_key("123 ", None) == keys.patient_key("123", "")


def test_site_and_issuer_tell_patients_apart_but_not_studies() -> None:
    north, south = Pseudonymizer(KEY, "north"), Pseudonymizer(KEY, "south")
    assert north.patient_key("123", None) != south.patient_key("123", None)
    assert north.patient_key("123", "A") != north.patient_key("123", "B")
    assert north.study_key("1.2.3") == south.study_key("1.2.3")


def test_parts_cannot_run_into_each_other() -> None:
    keys = Pseudonymizer(KEY, "north")
    assert keys.patient_key("23", "1") != keys.patient_key("3", "12")
    assert keys.series_key("1.2", "3") != keys.series_key("1.23", None)


def test_another_key_gives_other_pseudonyms() -> None:
    assert Pseudonymizer(KEY, "n").study_key("1") != Pseudonymizer(bytes(32), "n").study_key("1")


def test_undecodable_identifiers_are_accepted() -> None:
    assert Pseudonymizer(KEY, "n").patient_key("A\udcff", None)


def test_the_pseudonymizer_travels_to_workers_and_does_not_show_its_key() -> None:
    keys = Pseudonymizer(KEY, "north")
    assert pickle.loads(pickle.dumps(keys)) == keys
    assert KEY.hex() not in repr(keys)
    assert "\\x01\\x02" not in repr(keys)


def test_a_key_is_made_once_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "identity.key"
    key = load_or_create_key(path)
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_create_key(path) == key
    assert [file.name for file in path.parent.iterdir()] == ["identity.key"]


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "identity.key"
    load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_or_create_key(path)


@pytest.mark.parametrize(
    "content", [b"", b"{}", b'{"key_id": "x", "key": "00"}', b'{"key_id": "x", "key": 1}']
)
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "identity.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="damaged"):
        load_key(path)


def test_a_changed_digit_of_the_key_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    key = load_or_create_key(path)
    other = ("0" if key.hex()[0] != "0" else "1") + key.hex()[1:]
    path.write_text(path.read_text().replace(key.hex(), other))
    with pytest.raises(KeyFileError, match="damaged"):
        load_key(path)


def test_a_key_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    path.mkdir(mode=0o700)
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_key(path)


def test_whoever_makes_the_key_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "identity.key"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(load_or_create_key, [path] * 16))
    assert found == {load_key(path)}


def test_key_file_errors_survive_pickling() -> None:
    error = KeyFileError("identity.key", "is damaged: put its backup back")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_the_key_id_says_nothing_about_the_key() -> None:
    assert key_id_of(KEY) not in KEY.hex()
    assert key_id_of(KEY) != key_id_of(bytes(32))
