"""The files that lie beside a model's weights and say what it was trained on and how it did."""

from __future__ import annotations

from models.domain import DOMAIN_FILE
from models.split_file import SPLIT_FACTS_FILE, SPLIT_FILE

# How it did: on scans of its own training's test part, and on the frozen test set (scores, results, log of uses).
EVALUATION_FILE, EVALUATION_SCANS_FILE = "evaluation.json", "evaluation_scans.csv"
# What the operating point was chosen on: simulated scans that no training touched.
OPERATING_SCANS_FILE = "operating_scans.csv"
PROTOCOL_FILE, PROTOCOL_SCANS_FILE, PROTOCOL_USES_FILE = (
    "protocol.json",
    "protocol_scans.csv",
    "protocol_uses.jsonl",
)
PROTOCOL_PART_FILE = "protocol_part.jsonl"  # of a test that was stopped
# What it was trained on.
TRAINING_FILE, CALIBRATION_FILE, REAL_MARKS_FILE = "training.json", "calibration_scores.csv", "real_marks.csv"
CURVES_FILE, CURVES_PICTURE = "curves.csv", "curves.png"
TRAINING_FILES = (TRAINING_FILE, SPLIT_FACTS_FILE, SPLIT_FILE)

# What may lie beside: numbers and tables, nothing that could be run.
BESIDE_WEIGHTS = (
    DOMAIN_FILE,
    EVALUATION_FILE,
    EVALUATION_SCANS_FILE,
    OPERATING_SCANS_FILE,
    PROTOCOL_FILE,
    PROTOCOL_SCANS_FILE,
    PROTOCOL_USES_FILE,
    *TRAINING_FILES,
    REAL_MARKS_FILE,
    CALIBRATION_FILE,
    CURVES_FILE,
)
