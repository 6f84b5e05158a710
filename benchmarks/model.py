"""The model to measure with: the shipped one, else one of the same architecture with random weights."""

from __future__ import annotations

from pathlib import Path

SHIPPED = "ovf-phantom-2"


def benchmark_model(folder: Path) -> str:
    """Id of the shipped model, or the folder of an untrained one that is made here: it takes the same time."""
    from models.registry import ModelError, describe_model

    try:
        return describe_model(SHIPPED).model_id
    except ModelError:
        return str(_untrained(folder / "untrained-model"))


def _untrained(folder: Path) -> Path:
    import torch

    from models.config import TILES_VIEW, ModelConfig
    from models.heads import FractureNet
    from models.loading import save_model
    from models.lstm import ScanLstm
    from models.registry import OperatingPoint, write_operating_point

    if not folder.exists():
        torch.manual_seed(0)
        config = ModelConfig(model_id="untrained", view=TILES_VIEW)
        save_model(folder, FractureNet(config), ScanLstm(config), config, "# untrained, for benchmarks\n")
        write_operating_point(folder, OperatingPoint(0.5, "none: for benchmarks", "nothing"))
    return folder
