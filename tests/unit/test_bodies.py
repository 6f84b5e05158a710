"""Vertebrae read one by one: what is found, cut out and read, and that company changes nothing."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flows.add_bodies import carry_over, joined
from flows.body_scans import marked, read_body_scan, write_body_scan
from flows.explain_vertebrae import heard_frame, told_vertebrae
from flows.model_files import PROTOCOL_FILE, PROTOCOL_USES_FILE
from flows.phantom_scans import clear_case, requests, sequence_scan, view_of
from models import bodies
from models.bodies import (
    BodyNets,
    VertebraReader,
    body_nets,
    facts_of,
    find_bodies,
    load_bodies,
    read_bodies,
    reader_of,
    shares,
    thirds,
    tile_layers,
    windows_of,
    with_logits,
    worst_logit,
)
from models.body_nets import CELL_PX, N_FACTS, NEIGHBOURS, BodyFinder, BodyReader, NeighbourReader
from models.body_training import (
    BodyScan,
    BodyTruth,
    Teaching,
    calm_reader,
    teach_finder,
    teach_neighbours,
    teach_reader,
)
from models.config import PUBLISHED_VIEW, SPINE_VIEW, TILES_VIEW, ModelConfig
from models.dataset import SequenceScan
from models.heads import FractureNet
from models.infer import ScanScore, Scorer
from models.loading import LoadedModel, save_model
from models.lstm import ScanLstm
from models.registry import ModelError
from models.starting import starting_net
from models.training import pool_scans
from phantom.slabs import PhantomSlab
from tasks.publish_capture import framed_rgb

SEEDS = range(78_000_000, 78_000_003)  # no training draws here
NAME = "bodies-3"


@functools.cache
def slab_of(seed: int, has_fracture: bool) -> PhantomSlab:
    [request] = requests(seed, 1, SPINE_VIEW, positive_share=float(has_fracture))
    return clear_case(request)


@functools.cache
def scan_of(seed: int, has_fracture: bool) -> BodyScan:
    return marked(slab_of(seed, has_fracture), "base")


def seen(seed: int, has_fracture: bool) -> SequenceScan:
    return sequence_scan(slab_of(seed, has_fracture), "a", SPINE_VIEW)


def first_tile(scan: SequenceScan) -> SequenceScan:
    own = scan.tile_index == scan.tile_index[0]
    parts = {name: getattr(scan, name)[own] for name in ("images_nhw", "tile_index", "top_row_mm")}
    return replace(scan, **parts)


def found_in(scan: BodyScan) -> BodyScan:
    nets = load_bodies(NAME)
    own = replace(scan, bodies=find_bodies(nets.finder, scan.layers, scan.tops_mm))
    read_bodies(nets.reader, own.bodies)
    return own


@pytest.mark.parametrize("n", range(1, 22))
def test_layers_are_made_of_all_slices_in_order(n: int) -> None:
    parts = [list(range(n)[part]) for part in thirds(n)]
    assert all(parts)
    assert sorted({index for part in parts for index in part}) == list(range(n))
    assert parts[0][0] == 0
    assert parts[-1][-1] == n - 1
    if n >= 3:
        assert sum(map(len, parts)) == n


def test_a_layer_is_the_mean_of_its_slices() -> None:
    images = np.arange(6, dtype=np.uint8)[:, None, None] * np.full((1, 16, 16), 10, np.uint8)
    layers = tile_layers(np.concatenate([images, images + 100]), np.repeat([0, 1], 6))
    assert layers[:, :, 0, 0].tolist() == [[5, 25, 45], [105, 125, 145]]


def test_marks_lie_where_the_bodies_are() -> None:
    scan, slab = scan_of(SEEDS[0], True), slab_of(SEEDS[0], True)
    assert scan.labels.shape[2:] == tuple(size // CELL_PX for size in scan.layers.shape[2:])
    for body in slab.vertebrae:
        rows = np.flatnonzero((scan.labels == body.label).any(axis=(1, 3))[0])
        if body.is_visible and len(rows) and rows[0] > 0 and rows[-1] < scan.labels.shape[2] - 1:
            middle_mm = scan.tops_mm[0] + (rows.mean() + 0.5) * CELL_PX * bodies.PIXEL_MM
            assert middle_mm == pytest.approx((body.row_start + body.row_stop) / 2 * slab.pixel_mm, abs=6)
    covered = scan.share.astype(float).reshape(*scan.labels.shape[:3], CELL_PX, -1, CELL_PX).mean(axis=(3, 5))
    assert (covered[scan.labels > 0] > 0).mean() > 0.99


def test_a_scan_comes_back_from_its_file(tmp_path: Path) -> None:
    scan = scan_of(SEEDS[0], True)
    write_body_scan(tmp_path / "a.npz", scan)
    back = read_body_scan(tmp_path / "a.npz")
    assert back.truths == scan.truths
    assert (back.family, back.is_positive, back.largest_loss) == ("base", True, scan.largest_loss)
    assert all(np.array_equal(getattr(back, n), getattr(scan, n)) for n in ("layers", "labels", "share"))


def test_bodies_are_found_and_measured() -> None:
    scans = [found_in(scan_of(seed, seed % 2 == 0)) for seed in SEEDS]
    n_shown = sum(truth.is_visible for scan in scans for truth in scan.truths.values())
    known = [truth for scan in scans for body in scan.bodies if (truth := scan.truth_of(body)) is not None]
    assert sum(truth.is_visible for truth in known) >= 0.9 * n_shown
    assert len(known) >= 0.85 * sum(len(scan.bodies) for scan in scans)
    for scan in scans:
        rows = [body.row_mm for body in scan.bodies]
        assert rows == sorted(rows)
        assert len({id(scan.truth_of(body)) for body in scan.bodies if scan.truth_of(body)}) >= 0.95 * sum(
            scan.truth_of(body) is not None for body in scan.bodies
        )
        off = [body.read[:3] * 20 - truth.heights_mm for body, truth in scan.taught()[0]]
        assert np.abs(off).mean() < 2.5


def test_a_fractured_spine_says_more_than_a_sound_one() -> None:
    reader = VertebraReader(load_bodies(NAME), torch.device("cpu"))
    fractured, sound = (
        [reader.logit(seen(seed, is_case)) or 0.0 for seed in SEEDS] for is_case in (True, False)
    )
    assert min(fractured) > 0 > max(sound)


def test_company_tiles_and_threads_change_nothing() -> None:
    reader, scan = VertebraReader(load_bodies(NAME), torch.device("cpu")), first_tile(seen(SEEDS[0], True))
    before, said = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            said.append(reader.logit(scan))
            reader.logit(first_tile(seen(SEEDS[1], False)))
            said.append(reader.logit(scan))
    finally:
        torch.set_num_threads(before)
    assert len(set(said)) == 1


def test_where_nothing_is_found_the_lstm_speaks_for_both() -> None:
    reader = VertebraReader(load_bodies(NAME), torch.device("cpu"))
    black = np.zeros((7, SPINE_VIEW.tile_rows, SPINE_VIEW.tile_cols), np.uint8)
    nothing = SequenceScan("a", False, black, np.zeros(7, np.int16), np.zeros(7, np.float32))
    assert reader.logit(nothing) is None
    assert worst_logit(with_logits(reader.nets.neighbours, [])) is None
    assert shares(None, 1.5) == (2.5, 0.0)


def test_a_reader_tips_the_scales_and_no_more() -> None:
    said = [-9.0, -2.0, -0.5, 0.5, 1.0, 9.0]
    assert [shares(logit, 1.5) for logit in said] == [
        (1.0, added) for added in (-3.0, -3.0, -0.75, 0.75, 1.5, 1.5)
    ]


def test_a_body_and_its_neighbours_are_one_window() -> None:
    scan = found_in(scan_of(SEEDS[1], False))
    facts = facts_of(scan.bodies)
    windows = windows_of(facts)
    assert facts.shape == (len(scan.bodies), N_FACTS)
    assert (facts[:, -1] == 1).all()
    assert np.array_equal(windows[:, NEIGHBOURS], facts)
    assert not windows[0, :NEIGHBOURS].any()
    assert np.array_equal(windows[1, NEIGHBOURS - 1], facts[0])


def test_weights_are_kept_as_they_were_taught() -> None:
    torch.manual_seed(0)
    nets = BodyNets(BodyFinder().eval(), BodyReader().eval(), NeighbourReader().eval())
    back = body_nets(nets.tensors())
    windows = torch.randn(3, 2 * NEIGHBOURS + 1, N_FACTS)
    torch.testing.assert_close(back.neighbours(windows), nets.neighbours(windows), atol=2e-3, rtol=0)
    assert back.tensors().keys() == nets.tensors().keys()


def test_a_training_repeats_itself() -> None:
    """From one seed the same weights, rounded as they are kept."""
    scans = [found_in(scan_of(seed, seed % 2 == 0)) for seed in SEEDS]
    for teach in (teach_finder, teach_reader, teach_neighbours):
        first, second = (teach(scans, 1, Teaching(seed=3)).state_dict() for _ in range(2))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert all(torch.equal(v.half().float(), v) for v in first.values() if v.is_floating_point())


def test_a_reader_goes_on_from_what_it_was_taught() -> None:
    scans = [found_in(scan_of(seed, seed % 2 == 0)) for seed in SEEDS]
    reader = teach_reader(scans, 1, Teaching(seed=3))
    taught = {name: value.clone() for name, value in reader.state_dict().items()}
    calm_reader(reader, scans, 1, Teaching(seed=3))
    moved = {name: (value - taught[name]).abs().max() for name, value in reader.named_parameters()}
    assert 0 < max(moved.values()) < 0.01
    assert not reader.training


def test_only_known_bodies_teach() -> None:
    """Of a twin of a real scan the loss of one body is known; the others are found, and count as sound."""
    scan = found_in(scan_of(SEEDS[0], True))
    label = next(truth_label for truth_label, truth in scan.truths.items() if truth.is_visible)
    unknown = {
        other: truth
        if other == label
        else BodyTruth(truth.heights_mm, truth.intact_mm, None, truth.is_visible)
        for other, truth in scan.truths.items()
    }
    taught, others = replace(scan, truths=unknown).taught()
    assert {truth.loss for _, truth in taught} <= {unknown[label].loss}
    assert len(scan.taught()[0]) > len(taught)
    assert len(others) > len(scan.taught()[1])
    assert all(body.is_whole for body in others)
    assert not {id(body) for body in others} & {id(body) for body, _ in taught}


def test_bodies_are_heard_beside_the_lstm() -> None:
    """In a score and in what a training pools, by the same weight; all else of a score stays."""
    torch.manual_seed(0)
    alone = ModelConfig("a", SPINE_VIEW)
    both, net, lstm = joined(alone, NAME, 1.5), FractureNet(alone).eval(), ScanLstm(alone).eval()
    scan = seen(SEEDS[0], True)
    scan = replace(
        scan, images_nhw=scan.images_nhw[:2], tile_index=scan.tile_index[:2], top_row_mm=scan.top_row_mm[:2]
    )
    first, second = (
        Scorer(LoadedModel(net, lstm, config, "0" * 64, Path()), "cpu", batch_size=2).score([scan])[0]
        for config in (alone, both)
    )
    told = reader_of(NAME, torch.device("cpu")).logit(scan)
    assert (first.body_logit, second.body_logit) == (None, told)
    assert (first.n_vertebrae, first.lacks_vertebrae, second.lacks_vertebrae) == (None, False, False)
    assert told is not None
    assert second.logit == first.logit + shares(told, 1.5)[1]
    assert np.array_equal(first.slice_logits, second.slice_logits)
    [pooled], [unheard] = (pool_scans(net, [scan], config, None) for config in (both, alone))
    assert (pooled.shares, unheard.shares) == (shares(told, 1.5), (1.0, 0.0))
    assert torch.equal(pooled.pooled, unheard.pooled)


def test_the_vertebra_that_is_heard_is_told_where_it_lies() -> None:
    slab = slab_of(SEEDS[0], True)
    view, nothing = view_of(slab, SPINE_VIEW), np.zeros(0, np.float32)
    found = reader_of(NAME, torch.device("cpu")).vertebrae(view)
    score, silent = (ScanScore(0.0, nothing, nothing, said, "fp32", "cpu") for said in (found, None))
    assert told_vertebrae(silent, view) == []
    told = told_vertebrae(score, view)
    [heard] = [one for one in told if one["is_heard"]]
    assert heard["logit"] == max(one["logit"] for one in told)
    middles_mm = {
        body.level: (body.row_start + body.row_stop) / 2 * slab.pixel_mm
        for body in slab.vertebrae
        if body.is_visible and body.loss >= 0.2
    }
    top, bottom = heard["rows_mm"]
    assert any(top < middle < bottom for middle in middles_mm.values())
    shape = slab.slab_xzy_hu.shape[1:]
    frame = heard_frame(told, shape, slab.pixel_mm)
    picture = framed_rgb(np.zeros((*shape, 3), np.uint8), frame)
    rows, columns = np.nonzero(picture[:, :, 0])
    assert rows.max() - rows.min() == pytest.approx((bottom - top) / slab.pixel_mm, abs=1)
    inside = picture[rows.min() + 1 : rows.max(), columns.min() + 1 : columns.max()]
    assert not inside.any()
    assert heard_frame([one | {"is_heard": False} for one in told], shape, slab.pixel_mm) is None


def test_only_tiles_of_its_pixels_are_read() -> None:
    config = joined(ModelConfig("a", SPINE_VIEW), NAME, 1.5)
    assert (config.bodies, config.body_weight, config.architecture) == (
        NAME,
        1.5,
        "resnet34-fc32-lstm256+bodies",
    )
    assert joined(config, NAME, 1.0).architecture == config.architecture
    assert ModelConfig.from_json(config.to_json()) == config
    with pytest.raises(ModelError, match="has none"):
        joined(ModelConfig("a", PUBLISHED_VIEW), NAME, 1.0)


def test_a_training_from_such_a_model_keeps_its_reader_or_says_that_it_has_none(tmp_path: Path) -> None:
    both = joined(ModelConfig("a", SPINE_VIEW), NAME, 1.5)
    save_model(tmp_path, FractureNet(both), ScanLstm(both), both, "# a card\n")
    same, other = (
        starting_net(str(tmp_path), ModelConfig("b", view), 0).config for view in (SPINE_VIEW, TILES_VIEW)
    )
    assert (same.bodies, same.body_weight, same.architecture) == (NAME, 1.5, both.architecture)
    assert (other.bodies, other.body_weight, other.architecture) == (
        "",
        0.0,
        ModelConfig("b", TILES_VIEW).architecture,
    )


def test_uses_of_a_frozen_test_set_stay_with_the_weights(tmp_path: Path) -> None:
    source, out = tmp_path / "shipped", tmp_path / "joined"
    source.mkdir(), out.mkdir()
    (source / PROTOCOL_USES_FILE).write_text("a use\n")
    (source / PROTOCOL_FILE).write_text("of the model without the reader")
    carry_over(source, out)
    assert [path.name for path in out.iterdir()] == [PROTOCOL_USES_FILE]
    assert (out / PROTOCOL_USES_FILE).read_text() == "a use\n"
