"""The networks: shapes, published numbers, public parameter names, and what folding must not change."""

import pytest
import torch
from torch import nn

from models.config import TILES_VIEW, ModelConfig
from models.heads import FractureNet, SliceHead, row_logits
from models.lstm import ScanLstm
from models.resnet import ResNet34, fold_batch_norm, load_public_weights

CONFIG = ModelConfig(model_id="test", view=TILES_VIEW)


def public_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict with torchvision's names and shapes for ResNet34, as published weights have them."""
    torch.manual_seed(seed)
    state = {name: torch.randn_like(value.float()) for name, value in ResNet34().state_dict().items()}
    return {**state, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


def test_resnet34_has_the_published_number_of_parameters() -> None:
    # torchvision's resnet34 has 21,797,672 parameters, 513,000 of them in its classifier.
    assert sum(p.numel() for p in ResNet34().parameters()) == 21_797_672 - 513_000


def test_resnet34_has_torchvision_names() -> None:
    names = set(ResNet34().state_dict())
    expected = {
        "conv1.weight",
        "bn1.running_mean",
        "layer1.2.conv2.weight",
        "layer2.0.downsample.0.weight",
        "layer2.0.downsample.1.bias",
        "layer3.5.bn2.running_var",
        "layer4.2.bn1.weight",
    }
    assert expected <= names
    assert "layer1.0.downsample.0.weight" not in names


def test_public_weights_load_without_their_classifier() -> None:
    network, state = ResNet34(), public_state()
    load_public_weights(network, {k: v for k, v in state.items() if not k.endswith("num_batches_tracked")})
    assert torch.equal(network.layer4[2].conv2.weight, state["layer4.2.conv2.weight"])


@pytest.mark.parametrize("damage", ["missing", "unknown", "shape"])
def test_weights_of_another_network_are_refused(damage: str) -> None:
    state = public_state()
    if damage == "missing":
        del state["layer3.0.conv1.weight"]
    if damage == "unknown":
        state["layer5.0.conv1.weight"] = torch.zeros(1)
    if damage == "shape":
        state["conv1.weight"] = torch.zeros(64, 1, 7, 7)
    with pytest.raises(ValueError, match="ResNet34"):
        load_public_weights(ResNet34(), state)


def test_feature_maps_have_stride_16_and_32() -> None:
    dense, deep = ResNet34().eval()(torch.zeros(2, 1, 96, 64))
    assert dense.shape == (2, 256, 6, 4)
    assert deep.shape == (2, 512, 3, 2)


def test_one_channel_is_copied_to_three() -> None:
    torch.manual_seed(1)
    network = ResNet34().eval()
    images = torch.randn(1, 1, 64, 64)
    assert torch.equal(network(images)[1], network(images.expand(-1, 3, -1, -1).contiguous())[1])


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(2)
    network = ResNet34()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    network.eval()
    images = torch.randn(2, 1, 64, 96)
    with torch.no_grad():
        before = network(images)[1]
        after = fold_batch_norm(network)(images)[1]
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3 * float(before.abs().max()))


def test_slice_head_can_say_no() -> None:
    """A ReLU before the sigmoid could never give less than one half."""
    torch.manual_seed(3)
    with torch.no_grad():
        features, logits = SliceHead(32).eval()(torch.randn(64, 512))
    assert features.shape == (64, 32)
    assert float(features.min()) == 0.0
    assert logits.shape == (64,)
    assert float(logits.min()) < 0 < float(logits.max())


def test_row_speaks_through_its_largest_cell() -> None:
    cells = torch.tensor([[[0.0, 3.0, -1.0], [-2.0, -5.0, -4.0]]])
    assert row_logits(cells).tolist() == [[3.0, -2.0]]


def test_extractor_gives_features_logits_and_cells() -> None:
    out = FractureNet(CONFIG).eval()(torch.zeros(2, 1, 64, 48))
    assert out.features.shape == (2, 32)
    assert out.logits.shape == (2,)
    assert out.cell_logits.shape == (2, 4, 3)


def test_lstm_has_256_units_and_ignores_padding() -> None:
    torch.manual_seed(4)
    lstm = ScanLstm(CONFIG).eval()
    assert lstm.lstm.hidden_size == 256
    scans = torch.randn(2, 5, 32)
    alone = lstm(scans[1:, :3])
    padded = scans.clone()
    padded[1, 3:] = 99.0
    together = lstm(padded, torch.tensor([5, 3]))
    torch.testing.assert_close(together[1:], alone)


def test_lstm_reads_first_to_last() -> None:
    torch.manual_seed(5)
    lstm = ScanLstm(CONFIG).eval()
    scan = torch.randn(1, 6, 32)
    with torch.no_grad():
        assert float(lstm(scan)) != pytest.approx(float(lstm(scan.flip(1))), abs=1e-6)
