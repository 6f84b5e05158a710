"""Puts a frame and the claims together as text: plain, sectioned, structured by organ, or brief."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from phantom.language.report_banks import Bank, pick
from phantom.language.report_frame import Frame
from phantom.language.report_rates import ReportRates
from phantom.language.report_truth import Claim, strongest

_BONES_FIRST = ("spine",)
_NO_IMPRESSION_SHARE = 0.1  # of sectioned reports; chosen
_MENTIONED = ("present", "possible")


@dataclass(frozen=True)
class Said:
    """Which claims stand in the findings and which in the impression."""

    findings: tuple[Claim, ...]
    impression: tuple[Claim, ...]

    @property
    def claims(self) -> tuple[Claim, ...]:
        """All of them."""
        return self.findings + self.impression


def place_claims(
    rng: np.random.Generator,
    first: tuple[Claim, ...],
    again: tuple[Claim, ...],
    rates: ReportRates,
    *,
    is_brief: bool,
) -> Said:
    """Share the claims out. `again`: the same statement in other words, for the impression."""
    luck = rng.random()
    if not first or is_brief:
        return Said(first, ())
    repeated = rates.repeated_share if first[0].statement in _MENTIONED else rates.repeated_share / 5
    if luck < rates.impression_only_share:
        return Said((), first)
    if luck < rates.impression_only_share + repeated:
        return Said(first, again)
    return Said(first, ())


def lay_out(rng: np.random.Generator, frame: Frame, said: Said, bank: Bank, coverage: str) -> str:
    """The text of a report, with line breaks as the layout has them."""
    build = {"sectioned": _sectioned, "structured": _structured, "plain": _plain, "brief": _brief}[
        frame.layout
    ]
    return build(rng, frame, said, bank, coverage in _BONES_FIRST)


def _bones(rng: np.random.Generator, frame: Frame, said: Said) -> list[str]:
    """Sentences about bones; the claims stand before or after the harmless ones."""
    claims = [c.text for c in said.findings]
    others = list(frame.bone_sentences)
    if frame.normal_bones and not (frame.breaks_other_bone or strongest(said.claims) in _MENTIONED):
        others.insert(0, frame.normal_bones)
    return claims + others if rng.random() < 0.5 else others + claims


def _join(sentences: list[str], language: str) -> str:
    return ("" if language == "zh" else " ").join(s for s in sentences if s)


def _impression_lines(rng: np.random.Generator, frame: Frame, said: Said, bank: Bank) -> list[str]:
    lead = pick(rng, bank.spine["impression_lead"]["present"])
    claims = [c.text for c in said.impression]
    if lead and claims and said.impression[0].statement == "present" and not said.impression[0].trap:
        claims[0] = lead + claims[0]
    others = list(frame.impression)
    lines = claims + others if rng.random() < 0.4 else others + claims
    return lines or [frame.impression_normal]


def _numbered(rng: np.random.Generator, lines: list[str], language: str) -> str:
    style = int(rng.integers(3))
    if len(lines) == 1 or style == 0:
        return "\n".join(lines)
    if language == "zh":
        mark = "、" if style == 1 else "."
        return "\n".join(f"{k}{mark}{line}" for k, line in enumerate(lines, start=1))
    return "\n".join(f"{k}{'.' if style == 1 else ')'} {line}" for k, line in enumerate(lines, start=1))


def _heading(frame: Frame, name: str, language: str, is_upper: bool) -> str:
    heading = frame.headings[name]
    if language == "zh":
        return f"【{heading}】" if is_upper else f"{heading}："
    return f"{heading.upper() if is_upper else heading.capitalize()}:"


def _sectioned(rng: np.random.Generator, frame: Frame, said: Said, bank: Bank, bones_first: bool) -> str:
    language = bank.language
    is_upper, has_break, is_short = (
        rng.random() < 0.7,
        rng.random() < 0.5,
        language == "zh" and rng.random() < 0.6,
    )
    organs, bones = [text for _, text in frame.organs], _bones(rng, frame, said)
    body = _join(bones + organs if bones_first else organs + bones, language)
    impression = _numbered(rng, _impression_lines(rng, frame, said, bank), language)
    has_impression = bool(said.impression) or rng.random() > _NO_IMPRESSION_SHARE
    sections = [
        ("history", frame.history),
        ("technique", "" if is_short else frame.technique),
        ("comparison", "" if is_short else frame.comparison),
        ("findings", body),
        ("impression", impression if has_impression else ""),
    ]
    after = "\n" if has_break else ("" if language == "zh" else " ")
    between = "\n\n" if has_break and language == "en" else "\n"
    return between.join(f"{_heading(frame, n, language, is_upper)}{after}{t}" for n, t in sections if t)


def _structured(rng: np.random.Generator, frame: Frame, said: Said, bank: Bank, bones_first: bool) -> str:
    language = bank.language
    bones = _join(_bones(rng, frame, said), language)
    lines = [text if text.startswith(f"{label}:") else f"{label}: {text}" for label, text in frame.organs]
    bone_lines = [f"{frame.headings['bones']}: {bones}"] if bones else []
    lines = bone_lines + lines if bones_first else lines + bone_lines
    head = [f"INDICATION: {frame.history}", f"COMPARISON: {frame.comparison}"] if frame.history else []
    impression = _numbered(rng, _impression_lines(rng, frame, said, bank), language)
    return "\n".join([*head, "FINDINGS:", *lines, "IMPRESSION:", impression])


def _plain(rng: np.random.Generator, frame: Frame, said: Said, bank: Bank, bones_first: bool) -> str:
    language = bank.language
    organs, bones = [text for _, text in frame.organs], _bones(rng, frame, said)
    body = _join(bones + organs if bones_first else organs + bones, language)
    history = pick(rng, bank.frame["headings"]["inline_history"]) + frame.history if frame.history else ""
    text = _join([history, body], language)
    if said.impression or rng.random() < 0.3:
        lines = _join(_impression_lines(rng, frame, said, bank), language)
        text = _join([text, f"印象：{lines}" if language == "zh" else f"Impression: {lines}"], language)
    return text


def _brief(rng: np.random.Generator, frame: Frame, said: Said, bank: Bank, bones_first: bool) -> str:
    """A handful of sentences, as a preliminary read or a short note has them."""
    claims = [c.text for c in said.claims]
    others = [*(text for _, text in frame.organs), *frame.bone_sentences]
    history = pick(rng, bank.frame["headings"]["inline_history"]) + frame.history if frame.history else ""
    lines = claims + others if bones_first or rng.random() < 0.4 else others + claims
    return _join([history, *(lines or [frame.impression_normal])], bank.language)
