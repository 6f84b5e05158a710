"""`ovf explain`: where in a scan the model looks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from flows.errors import SettingsError
from flows.verbs.options import DEFAULT, INSTALLED_MODEL, WarehouseOption


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
        str | None,
        typer.Option(help=f"{INSTALLED_MODEL}; the one that has scored in the warehouse unless told"),
    ] = None,
    slabs: Annotated[Path | None, typer.Option(help="folder of the kept slabs, if the sweep had one")] = None,
    warehouse: WarehouseOption = DEFAULT,
) -> None:
    """Write occlusion maps: what the model's answer rests on, over its three most suspicious images.

    A piece of an image is hidden, and how far the image's logit falls is that piece's heat. Reads kept slabs, not the
    archive; a few seconds a scan. A scan that cannot be read is told, and the others are explained.

    Example: ovf explain --flagged --out tonight
    """
    from flows.explain import CAVEAT, SLAB_SUFFIX, explain_to, has_scores, model_to_explain, wanted_series
    from flows.settings import DEFAULT_MODEL
    from models.domain import read_domain
    from models.infer import Scorer
    from models.loading import load_model
    from models.registry import find_model
    from warehouse.store import Store

    if not series and not flagged:
        raise SettingsError("name a series, or say --flagged")
    store = Store.open(warehouse, create=False) if warehouse.exists() else None
    is_of_warehouse = flagged or not all(Path(one).exists() for one in series or [])
    is_kept = any(Path(one).suffix == SLAB_SUFFIX for one in series or [])
    if model is not None:
        folder = find_model(model)
    elif store is not None and (is_of_warehouse or (is_kept and has_scores(store))):
        folder = model_to_explain(store)
    else:
        folder = find_model(DEFAULT_MODEL)
    loaded, domain = load_model(folder), read_domain(folder)
    found = wanted_series(series or [], store, slabs, model=loaded, is_flagged=flagged)
    total_s, n_lost = 0.0, 0
    for told in explain_to(out, found, Scorer(loaded), domain):
        if "error" in told:
            n_lost += 1
            print(f"{told['name']}: not explained: {told['error']}")
            continue
        total_s += told["duration_s"]
        print(_line(told))
    print(f"{len(found) - n_lost} scans in {total_s:.0f} s by {loaded.config.model_id} → {out}\n{CAVEAT}")
    if n_lost:
        raise SettingsError(f"{n_lost} of {len(found)} scans could not be explained: see above")


def _line(told: dict[str, Any]) -> str:
    from flows.explain_vertebrae import heard_one

    peak, body, heard = told["peak"], heard_one(told.get("vertebrae", [])), ""
    if body is not None:
        top, bottom = body["rows_mm"]
        heard = f"; the vertebra heard lies {top:.0f}-{bottom:.0f} mm from the top"
    doubts = {
        "beyond what the model knows": told["is_beyond_domain"],
        "too few vertebrae are seen": told.get("lacks_vertebrae", False),
    }
    doubt = "".join(f"; {why}: its answer does not count" for why, is_so in doubts.items() if is_so)
    return (
        f"{told['name']}: logit {told['logit']:.2f}, peak {peak['row_mm']:.0f} mm from the top of slice "
        f"{peak['slice']} (patient z {peak['patient_z_mm']:.0f} mm){heard}; {told['duration_s']:.1f} s{doubt}"
    )
