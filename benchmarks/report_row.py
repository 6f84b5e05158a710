"""Row 10: reports labelled per second on one core, against what the audit asks for."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.measure import Row
from phantom.language.report_corpus import draw_corpus
from tasks.statements import Labeller

N_WARM, N_MEASURED, TURNS = 2000, 6000, 3
REPORTS_PER_S_ASKED = 5000.0  # a million reports in under four minutes


def report_rows(folder: Path) -> list[Row]:
    """Simulated reports of both languages, half of which name a finding; texts that the labeller has not seen yet."""
    del folder
    texts = [row.text for row in draw_corpus(N_WARM + TURNS * N_MEASURED, seed=10)]
    labeller = Labeller()
    labeller.label_all(texts[:N_WARM])  # expressions are compiled when first needed
    durations_s = []
    for turn in range(TURNS):
        start = N_WARM + turn * N_MEASURED
        started = time.perf_counter()
        labeller.label_all(texts[start : start + N_MEASURED])
        durations_s.append(time.perf_counter() - started)
    rate = N_MEASURED / sorted(durations_s)[TURNS // 2]
    n_characters = sum(map(len, texts)) / len(texts)
    return [
        Row(
            number="10",
            what="reports labelled per second and core",
            against="what the audit asks for",
            ours=f"{rate:,.0f}/s",
            peer=f"{REPORTS_PER_S_ASKED:,.0f}/s",
            ratio=rate / REPORTS_PER_S_ASKED,
            target=1.0,
            note=f"{n_characters:.0f} characters on average",
            numbers={"durations_s": durations_s},
        )
    ]
