"""Builds the numbers of an audit by hand, for tests of its page: two sites, two ages, one hidden group."""

from __future__ import annotations

from dataclasses import replace

from estimates.audit_numbers import (
    REFUSED,
    SUPPRESSED,
    AuditBasis,
    AuditNumbers,
    CellRow,
    FollowRow,
    Number,
    StratumRow,
    WaterfallStep,
    WorklistRow,
)
from estimates.audit_suppression import NOTE

PRIMARY, ANY_GRADE = "grade >= 2, or grade 1 with endplate depression", "grade >= 1"
REASON = "the weights were trained on simulated scans and nobody has read a scan of this archive"
# Values that stand nowhere else, so that a test can look for them in the page.
HIDDEN_UNITS, SHOWN_UNITS = 3, 48_611

BASIS = AuditBasis(
    model_id="vista",
    model_digest="d1g357",
    is_simulated_only=True,
    operating_point_id="op-7",
    threshold=0.375,
    lexicon_digest="l3x1c0n",
    lexicon_names="en, zh",
    rule="first",
    from_age_years=50,
    audit_id="A1",
    seed=77,
    n_units=SHOWN_UNITS,
    n_drawn=600,
    n_read=590,
    n_not_evaluable=3,
    n_unsettled=7,
    n_readers=2,
    is_frame_unchanged=True,
    code_version="9.8.7",
    standard="who-2000-2025",
    is_shown_small=False,
)


def number(
    section: str,
    quantity: str,
    value: float,
    *,
    endpoint: str = "",
    definition: str = "",
    dimension: str = "all",
    category: str = "all",
) -> Number:
    """A shown number with limits of a tenth around it, of 1000."""
    return Number(
        section,
        quantity,
        endpoint,
        definition,
        dimension,
        category,
        value,
        value * 0.9,
        value * 1.1,
        1000 * value,
        1000,
        0.95,
        f"method of {section}",
        f"who was counted for {quantity}",
    )


def hidden(shown: Number) -> Number:
    gone = dict.fromkeys(("value", "low", "high", "numerator", "denominator"))
    return replace(shown, **gone, conditioned_on="", status=SUPPRESSED, note=NOTE)  # type: ignore[arg-type]


def refused(quantity: str, section: str, endpoint: str = "", reason: str = REASON) -> Number:
    place = (section, quantity, endpoint, "", "all", "all")
    return Number(*place, None, None, None, None, None, 0.95, "", "", REFUSED, reason)


GROUPS = [
    ("all", "all", SHOWN_UNITS),
    ("sex", "F", 24_000),
    ("sex", "M", 24_611),
    ("age", "50-59", 20_000),
    ("age", "60-69", 28_611),
    ("age and sex", "50-59, F", 10_000),
    ("year", "2020", 48_608),
    ("year", "2021", None),
    ("site", "north", 48_611),
    ("scanner", "Maker One", 48_611),
    ("coverage", "under 250 mm", 48_611),
]


def strata() -> tuple[StratumRow, ...]:
    return tuple(
        StratumRow(dimension, category, True, n, n and 200, n and n - 200, 0, 0, 0, 0, 0, 0)
        for dimension, category, n in GROUPS
    )


def shares() -> list[Number]:
    """Flagged and reported shares in the order of the strata; those of a hidden group are hidden."""
    found = []
    for i, (dimension, category, n) in enumerate(GROUPS):
        place = {"dimension": dimension, "category": category}
        for quantity, definition, base in (
            ("flagged share", "", 0.2),
            ("reported share", "strict", 0.05),
            ("reported share", "lenient", 0.1),
        ):
            share = number("prevalence", quantity, base + i / 1000, definition=definition, **place)
            found.append(share if n else hidden(share))
    return found


def readings() -> list[Number]:
    """What people found: by endpoint, definition, grade and group."""
    found = []
    for endpoint in (PRIMARY, ANY_GRADE):
        found.append(number("prevalence", "prevalence", 0.123, endpoint=endpoint))
        found.append(number("accuracy", "sensitivity of the AI", 0.811, endpoint=endpoint))
        found.append(number("accuracy", "specificity of the AI", 0.912, endpoint=endpoint))
        for definition, base in (("strict", 0.7), ("lenient", 0.6)):
            told = {"endpoint": endpoint, "definition": definition}
            found.append(number("missed", "missed-diagnosis rate", base, **told))
            for i, (dimension, category) in enumerate(
                (("grade", "grade 2"), ("grade", "grade 3"), ("year", "2020"), ("site", "north"))
            ):
                place = {"dimension": dimension, "category": category}
                found.append(number("missed", "missed-diagnosis rate", base + i / 100, **told, **place))
            how = {"dimension": "report", "category": "silent"}
            found.append(number("missed", "share of missed", 0.44, **told, **how))
        error = {"dimension": "readers' error", "category": "readers: Se 0.85, Sp 0.95"}
        found.append(number("sensitivity", "prevalence", 0.2, endpoint=endpoint, **error))
    found.append(number("agreement", "kappa of the primary endpoint", 0.8))
    return found


def audited() -> AuditNumbers:
    """An audit that people have read."""
    return AuditNumbers(
        BASIS,
        (
            WaterfallStep("found", None, None, 60_000),
            WaterfallStep("ct", None, None, 60_000),
            WaterfallStep("eligible", None, None, 59_000),
            WaterfallStep("eligible", "excluded", "body_part", 1_000),
            WaterfallStep("scored", None, None, None),
            WaterfallStep("scored", "quarantined", "decode", None),
        ),
        strata(),
        (CellRow("flagged", "not_reported", 0, None, None, 900, 100, 98, None),),
        (*shares(), *readings()),
        (FollowRow("not_reported", True, 5, False, 40, 90, None),),
        tuple(_listed(place) for place in (1, 2)),
    )


def _listed(place: int) -> WorklistRow:
    return WorklistRow(
        "missed",
        place,
        f"study-{place}",
        f"series-{place}",
        "north",
        2020,
        93,
        "F",
        "absent",
        0.9,
        place,
        1.1,
        False,
    )


def unread() -> AuditNumbers:
    """The same archive before anybody has read a scan: weights from simulated scans only."""
    basis = replace(
        BASIS, audit_id=None, seed=None, n_drawn=0, n_read=0, n_readers=0, n_not_evaluable=0, n_unsettled=0
    )
    nothing = [
        refused("corrected prevalence", "prevalence"),
        refused("prevalence", "prevalence", PRIMARY, "no scan of this archive was read"),
        refused("missed-diagnosis rate", "missed", PRIMARY, "no scan of this archive was read"),
    ]
    numbers = (*shares(), *nothing)
    return replace(audited(), basis=replace(basis, is_frame_unchanged=None), cells=(), numbers=numbers)
