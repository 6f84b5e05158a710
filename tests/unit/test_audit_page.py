"""The page of an audit: what every headline carries, what is never on it, and what it says when nobody has read."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import audit_page_numbers as made
import pytest

from estimates.audit_numbers import TARGET_CONDITION, AuditNumbers
from flows import audit_estimated, audit_prevalence
from flows.audit_verdicts import Endpoint
from reports import audit_headlines
from reports.audit_headlines import headlines
from reports.audit_page import render_audit_page
from reports.audit_worklist import PNG_START, Thumbnail

HOSTILE = "<script>alert('x')</script><img src=https://example.org/a onerror=alert(1)>\" onload=\"x"
CAVEAT = "simulated, not validated on patients"
PNG = PNG_START + b"rest of a picture"


class Elements(HTMLParser):
    """All elements with their attributes, the ids, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(params=["audited", "unread"])
def numbers(request: pytest.FixtureRequest) -> AuditNumbers:
    """With readings, and without."""
    return made.audited() if request.param == "audited" else made.unread()


def test_every_headline_carries_its_interval_and_what_it_rests_on(numbers: AuditNumbers) -> None:
    told = headlines(numbers)
    text = Elements(render_audit_page(numbers)).text
    assert any(each.is_shown for each in told)
    for each in told:
        rests_on = dict(each.rests_on)
        assert rests_on["target condition"] == TARGET_CONDITION
        assert list(rests_on) == ["target condition", "endpoint", "ages", "counted", "reference", "method"]
        assert all(rests_on.values())
        assert each.caveat == CAVEAT
        assert " ".join(each.sentence.split()) in text
        if each.is_shown:
            assert each.interval.startswith("95\N{NO-BREAK SPACE}% interval ")
            assert each.interval in each.sentence
        else:
            assert "Why: " in each.sentence
            assert not re.search(r"\d\s*%", each.sentence)
    assert text.count(CAVEAT) >= len(told)


def test_headlines_say_the_numbers() -> None:
    said = {
        each.title: each.sentence.replace("\N{NO-BREAK SPACE}", " ") for each in headlines(made.audited())
    }
    assert said["Prevalence"].startswith(
        "An estimated 12.3 % of the scanned patients have a vertebral fracture (95 % interval 11.1 to 13.5 %): "
        "about 123 of 1,000. With grade ≥ 1: 12.3 %"
    )
    assert "an estimated 70.0 % of the cases that have a report" in said["Missed, strict definition"]
    assert "an estimated 60.0 % of the cases that have a report" in said["Missed, lenient definition"]
    assert said["Flagged by the AI"] == (
        "The AI flagged 20.0 % of the scored patients (95 % interval 18.0 to 22.0 %): 200 of 1,000."
    )
    assert "Corrected prevalence" not in said


def test_without_readings_no_corrected_prevalence_and_the_reason() -> None:
    page = Elements(render_audit_page(made.unread()))
    assert f"Corrected prevalence: not given. Why: {made.REASON}." in page.text
    assert "Prevalence: not given. Why: no scan of this archive was read." in page.text
    assert "Missed, strict definition: not given." in page.text
    assert "Nobody has read a scan for this audit" in page.text
    assert "Missed diagnoses" not in page.text
    assert "Prevalence by" not in page.text
    wrong = made.number("prevalence", "corrected prevalence", 0.2)
    numbers = replace(made.unread(), numbers=(*made.shares(), wrong))
    with pytest.raises(ValueError, match="no corrected prevalence may be shown"):
        render_audit_page(numbers)


def test_a_model_validated_on_patients_has_no_caveat() -> None:
    numbers = made.audited()
    page = render_audit_page(replace(numbers, basis=replace(numbers.basis, is_simulated_only=False)))
    assert "simulated" not in Elements(page).text.lower()


def test_hidden_numbers_are_nowhere_on_the_page() -> None:
    numbers = made.audited()
    page = Elements(render_audit_page(numbers))
    rows = [row for row in re.findall(r"<tr>.*?</tr>", render_audit_page(numbers)) if ">2021<" in row]
    assert rows
    assert all(row.count("hidden*") == 4 for row in rows)  # units and three shares
    assert "Scored by the AI hidden*" in page.text
    assert "hidden* quarantined: decode" in page.text
    assert "* hidden: a count of <5, or one that would give such a count away." in page.text
    assert "Fewer than 5 were not evaluable" in page.text
    assert "None" not in page.text


def test_shown_small_counts_are_marked_as_for_inside() -> None:
    numbers = made.audited()
    page = Elements(render_audit_page(replace(numbers, basis=replace(numbers.basis, is_shown_small=True))))
    assert "For use inside the house only: small counts are shown." in page.text
    assert "3 were not evaluable" in page.text


def test_hostile_names_stay_text() -> None:
    numbers = made.audited()
    strata = tuple(replace(r, category=HOSTILE) if r.dimension == "site" else r for r in numbers.strata)
    told = tuple(replace(n, category=HOSTILE) if n.dimension == "site" else n for n in numbers.numbers)
    listed = tuple(replace(row, site=HOSTILE, study_key=HOSTILE) for row in numbers.worklist)
    steps = tuple(replace(s, reason=HOSTILE) if s.reason else s for s in numbers.waterfall)
    basis = replace(numbers.basis, model_id=HOSTILE, lexicon_names=HOSTILE)
    hostile = replace(numbers, basis=basis, strata=strata, numbers=told, worklist=listed, waterfall=steps)
    page = Elements(render_audit_page(hostile))
    plain = Elements(render_audit_page(numbers))
    assert [tag for tag, _ in page.found if tag != "text"] == [tag for tag, _ in plain.found if tag != "text"]
    assert not page.named("script")
    assert not any(name.startswith("on") for _, attributes in page.found for name in attributes)
    assert HOSTILE in page.text


def test_the_page_loads_nothing(numbers: AuditNumbers) -> None:
    page = Elements(render_audit_page(numbers, thumbnails={"series-1": Thumbnail(PNG, PNG)}))
    assert not re.search(r"https?:|//[a-z]|url\(|@import", render_audit_page(numbers))
    for tag, attributes in page.found:
        assert tag not in {"script", "link", "iframe", "object", "form", "base"}
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "#").startswith("#")
    policy = [each["content"] for each in page.named("meta") if each.get("http-equiv")]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert page.open == []


def test_pictures_speak_to_those_who_do_not_see_them(numbers: AuditNumbers) -> None:
    page = Elements(render_audit_page(numbers, thumbnails={"series-1": Thumbnail(PNG, PNG)}))
    ids = [attributes["id"] for _, attributes in page.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = page.named("svg")
    assert len(drawings) >= 4
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set((drawing["aria-labelledby"] or "").split()) <= set(ids)
    assert [bool(image["alt"]) for image in page.named("img")] == [True, True]
    links = {(link["href"] or "")[1:] for link in page.named("a")}
    assert links <= set(ids)


def test_identities_appear_only_when_the_rows_carry_them() -> None:
    numbers = made.audited()
    plain = Elements(render_audit_page(numbers)).text
    assert "PatientID" not in plain
    assert "Contains identified patients" not in plain
    named = tuple(
        replace(row, patient_id="PID-1", accession_numbers="ACC-1", study_date="2020-01-02")
        for row in numbers.worklist
    )
    identified = Elements(render_audit_page(replace(numbers, worklist=named))).text
    assert "Contains identified patients: keep it safe." in identified
    assert all(each in identified for each in ("PID-1", "ACC-1", "2020-01-02"))


def test_probabilities_from_simulated_scans_promise_no_yield_before_people_have_read() -> None:
    unread = Elements(render_audit_page(made.unread())).text
    assert "How many cases they hold cannot be said" in unread
    assert "reads per case" not in unread
    assert (
        "2 scans, the likeliest first. Reading all of them is expected to find 2.0 cases, 1.1 reads per case"
        in (Elements(render_audit_page(made.audited())).text)
    )


def test_old_ages_are_pooled_and_pictures_must_be_png() -> None:
    assert "90 and over" in Elements(render_audit_page(made.audited())).text
    with pytest.raises(ValueError, match="no PNG"):
        render_audit_page(made.audited(), thumbnails={"series-2": Thumbnail(b"GIF89a")})


def test_methods_and_versions_come_from_the_numbers() -> None:
    text = Elements(render_audit_page(made.audited())).text
    for said in (
        "Audit A1 drew 600 of 48,611 patients at random (seed 77) from 1 cells",
        "590 cases have a verdict, by up to 2 blinded readers each",
        "Missed-diagnosis rate: method of missed.",
        "Shares and prevalence: method of prevalence.",
        "vista at operating point op-7 (probability 0.375 and over is a flag)",
    ):
        assert said in text
    for version in ("d1g357", "l3x1c0n", "9.8.7", "who-2000-2025"):
        assert version in text
    unread = Elements(render_audit_page(made.unread())).text
    assert "No sample was drawn and nobody has read a scan of this archive" in unread
    assert "method of missed" not in unread


def test_an_archive_without_anything_still_has_a_page() -> None:
    empty = replace(made.unread(), waterfall=(), strata=(), cells=(), numbers=(), follow_up=(), worklist=())
    page = Elements(render_audit_page(empty))
    assert page.open == []
    assert "Nobody has read a scan for this audit" in page.text


def test_names_of_quantities_are_those_of_the_audit() -> None:
    """The page may not import flows: here both are looked at."""
    assert audit_headlines.PREVALENCE == audit_estimated.PREVALENCE
    assert audit_headlines.MISSED_RATE == audit_estimated.MISSED_RATE
    assert audit_headlines.CORRECTED == audit_prevalence.CORRECTED
    assert audit_headlines.FLAGGED_SHARE == audit_prevalence.FLAGGED_SHARE
    assert audit_headlines.REPORTED_SHARE == audit_prevalence.REPORTED_SHARE
    assert audit_headlines.primary(made.audited()) == Endpoint.PRIMARY
