"""`ovf explain`: where in a scan the model looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, WarehouseOption


def explain(
    series: Annotated[
        list[str] | None,
        typer.Argument(help="series keys, SeriesInstanceUIDs, kept slabs (.jp2), or folders with one study"),
    ] = None,
    out: Annotated[Path, typer.Option(help="folder for pictures and numbers; made when absent")] = Path(
        "ovf-explain"
    ),
    flagged: Annotated[bool, typer.Option("--flagged", help="every series that is flagged now")] = False,
    model: Annotated[
        str, typer.Option(help="id of an installed model, or a folder with one")
    ] = "ovf-phantom-2",
    slabs: Annotated[Path | None, typer.Option(help="folder of the kept slabs, if the sweep had one")] = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Write occlusion maps: what the model's answer rests on, over its three most suspicious images.

    A piece of an image is hidden, and how far the image's logit falls is that piece's heat. Reads kept slabs, not the
    archive; a few seconds a scan.

    Example: ovf explain --flagged --out tonight
    """
    from flows.explain import CAVEAT, explain_to, wanted_series
    from models.infer import Scorer
    from models.loading import load_model
    from warehouse.store import Store

    if not series and not flagged:
        raise SettingsError("name a series, or say --flagged")
    loaded = load_model(model)
    store = Store.open(warehouse, create=False) if warehouse.exists() else None
    found = wanted_series(series or [], store, slabs, model_id=loaded.config.model_id, is_flagged=flagged)
    total_s = 0.0
    for told in explain_to(out, found, Scorer(loaded)):
        peak = told["peak"]
        total_s += told["duration_s"]
        print(
            f"{told['name']}: logit {told['logit']:.2f}, peak {peak['row_mm']:.0f} mm from the top of slice "
            f"{peak['slice']} (patient z {peak['patient_z_mm']:.0f} mm), {told['duration_s']:.1f} s"
        )
    print(f"{len(found)} scans in {total_s:.0f} s → {out}\n{CAVEAT}")
