"""What a name means among the models that have scored in a warehouse: `--model` of every verb that reads scores.

A name is an id, a digest or its first digits, or the folder of a model. Weights that are trained on keep their id, and
own models share one unless told: an id of several weights means those whose scores were written last, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from duckdb import DuckDBPyConnection as Connection

from flows.errors import SettingsError
from models.digests import SHOWN_DIGITS, is_named_by, short_digest
from models.registry import ModelError, describe_model
from warehouse.queries import query


@dataclass(frozen=True, slots=True)
class ScoredModel:
    """A model that has scored something here."""

    model_id: str
    model_digest: str

    def __str__(self) -> str:
        """As it is shown: two weights of one id can be told apart, and either can be named."""
        return f"{self.model_id} ({short_digest(self.model_digest)})"


def scored_models(connection: Connection) -> list[ScoredModel]:
    """All that have scored here; the one whose scores were written last comes first."""
    return [ScoredModel(*row) for row in connection.execute(query("scored_models")).fetchall()]


def listed(models: Sequence[ScoredModel]) -> str:
    """All of them in words."""
    return ", ".join(map(str, models)) or "none"


def several(known: Sequence[ScoredModel]) -> SettingsError:
    """What to raise where one model is asked for and none is named."""
    return SettingsError(
        f"several models have scored; name one with --model, by id or digest: {listed(known)}"
    )


def no_scores(name: str, known: Sequence[ScoredModel]) -> SettingsError:
    """What to raise where a named model has scored nothing here."""
    return SettingsError(f"no scores of model {name}; there are scores of: {listed(known)}")


def scored_model(connection: Connection, name: str | None, say: Callable[[str], None] = print) -> ScoredModel:
    """The model that is meant; None: the only one. Says it where the id has earlier weights too.

    Raises SettingsError: no scores of it, or several that may be meant; the message lists them with their digests.
    """
    known = scored_models(connection)
    if name is None:
        return _only(known)
    of_id = [model for model in known if model.model_id == name]
    if len(of_id) > 1:
        say(_newest_words(of_id))
    if of_id:
        return of_id[0]
    found = [model for model in known if is_named_by(model.model_digest, name)] or _of_folder(known, name)
    if not found:
        raise no_scores(name, known)
    if len(found) > 1:
        shown = ", ".join(
            f"{model.model_id} ({model.model_digest[: len(name) + SHOWN_DIGITS]})" for model in found
        )
        raise SettingsError(f"{name} begins several digests; give more digits: {shown}")
    return found[0]


def two_models(
    connection: Connection, first: str, second: str, say: Callable[[str], None] = print
) -> tuple[ScoredModel, ScoredModel]:
    """Two models to hold against each other. Raises SettingsError, also when both names mean the same."""
    one, two = scored_model(connection, first, say), scored_model(connection, second, say)
    if one == two:
        of_id = [model for model in scored_models(connection) if model.model_id == one.model_id]
        raise SettingsError(
            f"{first} and {second} are the same weights; of this id have scored: {listed(of_id)}"
        )
    return one, two


def without_scores(connection: Connection, model_id: str, digest: str) -> str | None:
    """What to say of weights that have not scored here, when others of their id have; else None."""
    others = [model for model in scored_models(connection) if model.model_id == model_id]
    if not others or digest in {model.model_digest for model in others}:
        return None
    digests = ", ".join(short_digest(model.model_digest) for model in others)
    return f"{model_id}: the weights {short_digest(digest)} have not scored here; others have, by digest: {digests}"


def _only(known: Sequence[ScoredModel]) -> ScoredModel:
    if not known:
        raise SettingsError("nothing was scored yet: run `ovf sweep` first")
    if len(known) > 1:
        raise several(known)
    return known[0]


def _newest_words(of_id: Sequence[ScoredModel]) -> str:
    newest, *others = (short_digest(model.model_digest) for model in of_id)
    return f"{of_id[0].model_id}: newest of {len(of_id)} weights, {newest}; the others by digest: {', '.join(others)}"


def _of_folder(known: Sequence[ScoredModel], name: str) -> list[ScoredModel]:
    """The model of a folder, by its own digest."""
    if not Path(name).is_dir():
        return []
    try:
        digest = describe_model(Path(name).absolute()).digest
    except ModelError:
        return []
    return [model for model in known if model.model_digest == digest]
