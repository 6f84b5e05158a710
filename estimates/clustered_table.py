"""The evaluation table where patients repeat: the same five measures, intervals by bootstrap of patients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from estimates.clustered import ratio_by_patient
from estimates.evaluation import Counts, EvaluationTable, evaluation_table, f1_without_error
from estimates.proportion import limits_around
from estimates.result import Estimate, FloatArray

Parts = Callable[[FloatArray, FloatArray, FloatArray, FloatArray], tuple[FloatArray, FloatArray]]

# Numerator and denominator of each measure from tp, fn, fp, tn.
_MEASURES: dict[str, Parts] = {
    "accuracy": lambda tp, fn, fp, tn: (tp + tn, tp + fn + fp + tn),
    "precision": lambda tp, fn, fp, tn: (tp, tp + fp),
    "recall": lambda tp, fn, fp, tn: (tp, tp + fn),
    "specificity": lambda tp, fn, fp, tn: (tn, tn + fp),
    "F1": lambda tp, fn, fp, tn: (2 * tp, 2 * tp + fp + fn),
}


def counts_of(said: ArrayLike, truth: ArrayLike) -> Counts:
    """The four counts of one reader, from one boolean a scan each."""
    answers, cases = np.asarray(said, bool), np.asarray(truth, bool)
    return Counts(*(int(n.sum()) for n in _four(answers, cases)))


def table_of_scans(
    said: ArrayLike, truth: ArrayLike, patients: ArrayLike, given: str = "", *, seed: int = 0
) -> EvaluationTable:
    """Exact intervals when every patient has one scan, else by bootstrap of patients with all their scans.

    All three are one value per scan. In a bootstrap only patients who have the denominator count (recall: those with a
    positive scan). Where they are all alike (all right, all wrong, each half right, or one patient alone), a bootstrap
    has no width: there stands the exact interval with patients as its denominator, and says so.
    """
    answers, cases = np.asarray(said, bool), np.asarray(truth, bool)
    exact = evaluation_table(counts_of(answers, cases), given, seed=seed)
    names, patient = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) == len(cases):
        return exact
    four = [
        np.bincount(patient, weights=one, minlength=len(names)).astype(np.float64)
        for one in _four(answers, cases)
    ]
    found = {
        name: _clustered(name, parts(*four), getattr(exact, name.lower()), given, seed)
        for name, parts in _MEASURES.items()
    }
    accuracy = found["accuracy"]
    assert accuracy is not None
    return EvaluationTable(accuracy, found["precision"], found["recall"], found["specificity"], found["F1"])


def _four(said: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, ...]:
    return said & truth, ~said & truth, said & ~truth, ~said & ~truth


def _clustered(
    name: str, parts: tuple[FloatArray, FloatArray], exact: Estimate | None, given: str, seed: int
) -> Estimate | None:
    if exact is None:
        return None
    numerators, denominators = parts
    has_it = denominators > 0
    shares = numerators[has_it] / denominators[has_it]
    if shares.min() == shares.max():
        return _over_patients(name, exact, float(shares[0]), len(shares))
    return ratio_by_patient(numerators[has_it], denominators[has_it], name=name, given=given, seed=seed)


def _over_patients(name: str, exact: Estimate, share: float, n: int) -> Estimate:
    """The exact interval of so many patients who all have the same share."""
    if name == "F1" and share == 1.0:
        over = f1_without_error(n, n)
        low, high, method = over.low, over.high, over.method
    else:
        low, high = limits_around(share, n)
        method = "Clopper-Pearson"
    return replace(exact, low=low, high=high, method=f"{method} over {n} patients")
