"""Two lists of the same cases, report and AI: how many there are at least (Chapman)."""

from __future__ import annotations

from math import exp, log1p

from scipy.stats import norm

from estimates.result import Estimate, tails


def chapman(
    n_first: int, n_second: int, n_both: int, *, given: str = "", confidence: float = 0.95
) -> Estimate:
    """(a+1)(b+1)/(m+1) − 1 cases behind two lists of a and b true cases with m in common. Chapman 1951.

    A floor only: the lists are not independent (both see the severe ones), so it comes out too small. Variance
    (a+1)(b+1)(a−m)(b−m)/((m+1)²(m+2)) (Seber 1970); the interval is Chao's 1987, which never goes below the cases
    seen. Numerator: cases seen. Denominator: the estimate.
    """
    if not 0 <= n_both <= min(n_first, n_second):
        raise ValueError("the overlap is part of both lists")
    value = (n_first + 1) * (n_second + 1) / (n_both + 1) - 1
    seen = n_first + n_second - n_both
    pairs = (n_first + 1) * (n_second + 1) * (n_first - n_both) * (n_second - n_both)
    variance = pairs / ((n_both + 1) ** 2 * (n_both + 2))
    unseen = value - seen
    method = "Chapman, interval of Chao: a floor, the lists are not independent"
    if unseen <= 1e-9:  # one list holds the other: nothing unseen is estimated, and the interval has no width
        return Estimate("cases", float(seen), seen, seen, method, seen, seen, given, confidence)
    z = float(norm.ppf(tails(confidence)[1]))
    factor = exp(z * log1p(variance / unseen**2) ** 0.5)
    low, high = seen + unseen / factor, seen + unseen * factor
    return Estimate("cases", value, low, high, method, seen, value, given, confidence)
