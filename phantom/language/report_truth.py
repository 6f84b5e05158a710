"""What a report is drawn from (`ReportCase`) and what is true of its text (`Report`), by construction."""

from __future__ import annotations

from dataclasses import dataclass

STATEMENTS = ("present", "possible", "absent", "unmentioned", "no_report")
WORDINGS = ("none", "ambiguous", "fracture")
ACUITIES = ("", "old", "unchanged", "new")
STATUSES = ("preliminary", "final", "addendum", "corrected")
LEVELS = tuple(f"T{k}" for k in range(1, 13)) + tuple(f"L{k}" for k in range(1, 6))
# What a scan of each coverage shows, when the caller does not say.
LEVELS_SHOWN = {
    "chest": LEVELS[:13],
    "abdomen-pelvis": LEVELS[9:],
    "chest-abdomen-pelvis": LEVELS,
    "spine": LEVELS,
}


@dataclass(frozen=True)
class SpineFinding:
    """A vertebral body with something a report may speak of.

    `grade` is Genant's (0-3), `cause` one of osteoporotic, traumatic, pathological. `was_known`: an earlier
    report of the same patient named it. `loss`: largest share of an intact height lost; None: drawn by grade.
    """

    level: str
    grade: int
    shape: str = "wedge"
    cause: str = "osteoporotic"
    is_recent: bool = False
    is_treated: bool = False
    was_known: bool = False
    loss: float | None = None


@dataclass(frozen=True)
class ReportCase:
    """One study as its reporting radiologist meets it. Empty strings and tuples are drawn or looked up.

    `layout`: plain, sectioned, structured (English only), brief. `script`: hans or hant (Chinese only).
    `comparison`: what the report compares with, such as "CT 2019-03-12".
    """

    findings: tuple[SpineFinding, ...] = ()
    coverage: str = "chest"
    language: str = "en"
    age_years: int = 70
    sex: str = "F"
    levels_shown: tuple[str, ...] = ()
    has_prior: bool = False
    comparison: str = ""
    layout: str = ""
    script: str = ""

    @property
    def shown(self) -> tuple[str, ...]:
        """Levels that the scan shows."""
        return self.levels_shown or LEVELS_SHOWN[self.coverage]


@dataclass(frozen=True)
class Claim:
    """One sentence about vertebral bodies, and what it states. `acuity` is new, unchanged, old or empty."""

    text: str
    statement: str
    wording: str
    levels: tuple[str, ...] = ()
    acuity: str = ""
    treatment: str = ""
    cause: str = ""
    is_generic: bool = False  # denies every fracture, not one of vertebral bodies
    trap: str = ""  # what about its wording might mislead a labeller


@dataclass(frozen=True)
class Report:
    """One report and the truth about its text.

    `statement`: the strongest standing statement about vertebral fracture or deformity (one of STATEMENTS); what an
    addendum inside the text takes back does not stand; history and indication never count. `wording`: "fracture",
    "ambiguous" (deformity, wedging, height loss, collapse) or "none". `levels`: those that a standing statement
    names. `acuity`: the most pressing of new, unchanged, old, as far as the text says one. `treatment`:
    vertebroplasty, kyphoplasty, cement. `traps`: names of sentences that a labeller might fall for.
    `study_statement`: what the reports of the study say together once this one is filed.
    """

    text: str
    statement: str
    language: str
    wording: str = "none"
    levels: tuple[str, ...] = ()
    acuity: str = ""
    treatment: str = ""
    cause: str = ""
    traps: tuple[str, ...] = ()
    noise: tuple[str, ...] = ()
    script: str = ""
    layout: str = "plain"
    is_sectioned: bool = False
    status: str = "final"
    offset_days: int = 0
    study_statement: str = ""


def strongest(claims: tuple[Claim, ...]) -> str:
    """The statement that wins: present over possible over absent over unmentioned."""
    stated = {c.statement for c in claims}
    return next((s for s in STATEMENTS[:3] if s in stated), "unmentioned")


@dataclass(frozen=True)
class TextTruth:
    """What the standing claims of a text say together; fields as in `Report`."""

    statement: str
    wording: str
    levels: tuple[str, ...]
    acuity: str
    treatment: str
    cause: str
    traps: tuple[str, ...]


def truth_of(claims: tuple[Claim, ...]) -> TextTruth:
    """The truth that follows from the claims with the strongest statement."""
    statement = strongest(claims)
    leading = tuple(c for c in claims if c.statement == statement)
    named = {level for c in leading for level in c.levels}
    return TextTruth(
        statement=statement,
        wording=max((c.wording for c in leading), key=WORDINGS.index, default="none"),
        levels=tuple(level for level in LEVELS if level in named),
        acuity=max((c.acuity for c in leading), key=ACUITIES.index, default=""),
        treatment=next((c.treatment for c in leading if c.treatment), ""),
        cause=next((c.cause for c in leading if c.cause not in ("", "osteoporotic")), ""),
        traps=tuple(dict.fromkeys(c.trap for c in claims if c.trap)),
    )
