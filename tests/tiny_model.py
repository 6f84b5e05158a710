"""A whole model with random weights: for what happens to a model on disk, not for what it says."""

from __future__ import annotations

from pathlib import Path

import torch

from models.config import TILES_VIEW, ModelConfig
from models.heads import FractureNet
from models.loading import save_model
from models.lstm import ScanLstm
from models.registry import OperatingPoint, write_operating_point

CONFIG = ModelConfig(model_id="tiny", view=TILES_VIEW)


def save_tiny_model(directory: Path) -> Path:
    """Save it, with card and operating point; returns the folder."""
    torch.manual_seed(0)
    save_model(directory, FractureNet(CONFIG), ScanLstm(CONFIG), CONFIG, "# tiny\n\nSimulated scans only.\n")
    write_operating_point(directory, OperatingPoint(0.4, "specificity at least 0.95", "12 scans"))
    return directory
