"""The reports of one study: a preliminary one, addenda, corrections; and what each says in the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from phantom.language.report_banks import Bank, choose, common_slots, fill, load_bank, pick, tidy
from phantom.language.report_claims import draw_claims, draw_spoken
from phantom.language.report_frame import Frame, draw_frame
from phantom.language.report_layout import lay_out, place_claims
from phantom.language.report_noise import apply_noise, draw_noise, to_traditional
from phantom.language.report_rates import ReportRates
from phantom.language.report_truth import Claim, Report, ReportCase, SpineFinding, truth_of

KINDS = ("single", "preliminary", "addendum", "corrected", "addendum_inside")
_MENTIONED = ("present", "possible")
_ADDENDUM_DAYS, _CORRECTED_DAYS = (1, 15), (0, 8)
NIGHT_ORGANS = 3  # a preliminary report goes through fewer
_SAME_STATEMENT_SHARE = 0.8  # of preliminary reports; chosen


@dataclass(frozen=True)
class Desk:
    """Where the reports of one study are written: what they share, and how to draw."""

    rng: np.random.Generator
    case: ReportCase
    rates: ReportRates
    bank: Bank
    frame: Frame
    spoken: tuple[SpineFinding, ...]
    noise: tuple[str, ...]

    def claims(self, statement: str) -> tuple[Claim, ...]:
        """Sentences for a statement."""
        allows_generic = not self.frame.breaks_other_bone
        return draw_claims(
            self.rng, self.case, statement, self.spoken, self.rates, allows_generic=allows_generic
        )

    def body(self, statement: str) -> tuple[str, tuple[Claim, ...]]:
        """A whole report without noise, and its claims."""
        frame = self.frame
        first, again = self.claims(statement), self.claims(statement)
        said = place_claims(self.rng, first, again, self.rates, is_brief=frame.layout == "brief")
        return lay_out(self.rng, frame, said, self.bank, self.case.coverage), said.claims

    def report(self, text: str, claims: tuple[Claim, ...], study_statement: str) -> Report:
        """A finished report: script, noise, truth."""
        text = to_traditional(text) if self.frame.script == "hant" else text
        truth = truth_of(claims)
        return Report(
            text=apply_noise(self.rng, text, self.noise, self.bank),
            statement=truth.statement,
            language=self.case.language,
            wording=truth.wording,
            levels=truth.levels,
            acuity=truth.acuity,
            treatment=truth.treatment,
            cause=truth.cause,
            traps=(*self.frame.traps, *truth.traps),
            noise=self.noise,
            script=self.frame.script,
            layout=self.frame.layout,
            is_sectioned=self.frame.layout in ("sectioned", "structured"),
            study_statement=study_statement,
        )


def open_desk(
    case: ReportCase,
    rates: ReportRates,
    frame_rng: np.random.Generator,
    claim_rng: np.random.Generator,
    noise_rng: np.random.Generator,
) -> Desk:
    """Draw what the reports of a study share. The frame has a generator of its own: it never sees the claims."""
    bank = load_bank(case.language)
    spoken = draw_spoken(claim_rng, case, rates)
    taken = frozenset(f.level for f in (*spoken, *case.findings))
    frame = draw_frame(frame_rng, case, bank, rates, taken=taken)
    return Desk(claim_rng, case, rates, bank, frame, spoken, draw_noise(noise_rng, case.language))


def draw_kind(rng: np.random.Generator, rates: ReportRates) -> str:
    """How many reports a study has and of what kind."""
    shares = (
        rates.preliminary_share,
        rates.addendum_share,
        rates.corrected_share,
        rates.addendum_inside_share,
    )
    return str(rng.choice(KINDS, p=(1 - sum(shares), *shares)))


def write_versions(desk: Desk, kind: str, statement: str) -> tuple[Report, ...]:
    """All reports of a study, in order of filing; the last one leaves the study at `statement`."""
    writers: dict[str, Callable[[Desk, str], tuple[Report, ...]]] = {
        "single": _single,
        "preliminary": _preliminary,
        "addendum": _addendum,
        "corrected": _corrected,
        "addendum_inside": _addendum_inside,
    }
    return writers[kind](desk, statement)


def _single(desk: Desk, statement: str) -> tuple[Report, ...]:
    text, claims = desk.body(statement)
    return (desk.report(text, claims, statement),)


def _preliminary(desk: Desk, statement: str) -> tuple[Report, ...]:
    first = statement
    if desk.rng.random() > _SAME_STATEMENT_SHARE:
        first = pick(desk.rng, [s for s in ("possible", "absent", "unmentioned") if s != statement])
    whole = desk.frame
    organs = tuple(o for k, o in enumerate(whole.organs) if k < NIGHT_ORGANS or o[1] in whole.trap_sentences)
    night = replace(desk, frame=replace(whole, layout="brief", organs=organs))
    text, claims = night.body(first)
    early = replace(night.report(text, claims, first), status="preliminary")
    return (early, *_single(desk, statement))


def _before(desk: Desk, statement: str) -> str:
    """What was said before an addendum or a correction; the same statement when that is about something else."""
    if desk.rng.random() > desk.rates.reversal_share:
        return statement
    earlier = {
        "present": ["unmentioned", "absent"],
        "possible": ["unmentioned"],
        "absent": ["present", "possible"],
    }
    return pick(desk.rng, earlier.get(statement, [statement]))


def _addendum_sentence(desk: Desk, before: str, statement: str) -> tuple[str, tuple[Claim, ...]]:
    """The sentence of an addendum and its claims; no claims when it is about something else."""
    texts = desk.bank.spine["addendum"]
    slots = common_slots(desk.rng, desk.case.language)
    if before == statement:
        return tidy(fill(choose(desk.rng, pick(desk.rng, texts["neutral"])), slots), desk.case.language), ()
    claim = desk.claims(statement)[0]
    if statement == "absent":
        template = pick(desk.rng, texts["denied"])
        if "{claim}" not in template:
            claim = replace(claim, wording="fracture", levels=())
        claim = replace(claim, wording="fracture")
    else:
        template = pick(desk.rng, texts["added"])
    text = fill(choose(desk.rng, template), slots | {"claim": claim.text})
    return tidy(text, desk.case.language), (claim,)


def _headed(desk: Desk, sentence: str) -> str:
    heading = pick(desk.rng, desk.bank.spine["addendum"]["heading"])
    heading = fill(heading, common_slots(desk.rng, desk.case.language))
    return f"{heading}{'' if desk.case.language == 'zh' else ' '}{sentence}"


def _addendum(desk: Desk, statement: str) -> tuple[Report, ...]:
    before = _before(desk, statement)
    text, claims = desk.body(before)
    sentence, added = _addendum_sentence(desk, before, statement)
    headed = _headed(desk, sentence)
    days = int(desk.rng.integers(*_ADDENDUM_DAYS))
    first = desk.report(text, claims, before)
    if desk.rng.random() < desk.rates.cumulative_share:
        later = desk.report(f"{text}\n\n{headed}", added or claims, statement)
    else:
        desk = replace(desk, frame=replace(desk.frame, traps=(), layout="brief"))
        later = desk.report(headed, added, statement)
    return first, replace(_reversing(later, before), status="addendum", offset_days=days)


def _corrected(desk: Desk, statement: str) -> tuple[Report, ...]:
    before = _before(desk, statement)
    text, claims = desk.body(before)
    new_text, new_claims = desk.body(statement)
    heading = pick(desk.rng, desk.bank.spine["addendum"]["corrected"])
    days = int(desk.rng.integers(*_CORRECTED_DAYS))
    first = desk.report(text, claims, before)
    later = desk.report(f"{heading}\n{new_text}", new_claims, statement)
    return first, replace(later, status="corrected", offset_days=days)


def _addendum_inside(desk: Desk, statement: str) -> tuple[Report, ...]:
    before = _before(desk, statement)
    text, claims = desk.body(before)
    sentence, added = _addendum_sentence(desk, before, statement)
    headed = _headed(desk, sentence)
    whole = f"{headed}\n{text}" if desk.rng.random() < 0.25 else f"{text}\n{headed}"
    return (_reversing(desk.report(whole, added or claims, statement), before),)


def _reversing(report: Report, before: str) -> Report:
    """Note that the text takes back what it said before."""
    is_reversal = report.study_statement != before
    return replace(report, traps=(*report.traps, "addendum_reverses")) if is_reversal else report
