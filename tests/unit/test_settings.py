"""Settings: a typo or an impossible value stops at the start and names its key (T52)."""

from pathlib import Path

import pytest

from flows.errors import Exit, SettingsError, exit_code_of
from flows.settings import read_settings


def test_T52_unknown_setting_in_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVF_WORKRES", "2")
    with pytest.raises(SettingsError, match="OVF_WORKRES"):
        read_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("profile", "strickt"),
        ("min_age", -1),
        ("since", "2020/01/01"),
        ("workers", 0),
        ("series_timeout_s", "nan"),
    ],
)
def test_T52_impossible_value_is_named(name: str, value: object) -> None:
    with pytest.raises(SettingsError, match=name):
        read_settings(**{name: value})


def test_T52_settings_end_with_exit_10() -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(profile="none such")
    assert exit_code_of(caught.value) is Exit.SETTINGS


def test_environment_is_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVF_SITE", "north")
    monkeypatch.setenv("OVF_MIN_AGE", "50")
    settings = read_settings(site="south", min_age=None)
    assert (settings.site, settings.min_age) == ("south", 50)


def test_digest_ignores_where_and_how_fast_but_not_what() -> None:
    plain = read_settings().digest
    assert read_settings(workers=7, warehouse="elsewhere/w.duckdb").digest == plain
    assert read_settings(profile="strict").digest != plain


def test_digest_follows_the_content_of_a_cohort_file_not_its_name(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    one.write_text("A\n")
    two.write_text("A\n")
    other.write_text("B\n")
    digests = [read_settings(cohort=path).digest for path in (one, two, other)]
    assert digests[0] == digests[1] != digests[2]
