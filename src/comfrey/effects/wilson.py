"""The interval of one proportion."""

from __future__ import annotations

import numpy as np
from scipy import special

from comfrey.errors import InputError

__all__ = ["wilson_interval"]


def wilson_interval(
    cases: np.ndarray | float, total: np.ndarray | float, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return Wilson's score interval of a proportion.

    .. math:: \frac{\hat p + z^2/2n \pm z \sqrt{\hat p (1 - \hat p)/n + z^2/4n^2}}{1 + z^2/n}

    Parameters
    ----------
    cases, total : array_like, shape (k,)
        Counts; ``0 <= cases <= total`` and ``total > 0``.
    level : float
        Confidence level.

    Returns
    -------
    low, high : ndarray, shape (k,)
        Limits as proportions. They stay within 0 and 1, and exist for no cases and for all.

    Raises
    ------
    InputError
        If a count is impossible.

    References
    ----------
    Wilson EB (1927). Probable inference, the law of succession, and statistical inference. J Am Stat Assoc
    22:209-212. doi:10.1080/01621459.1927.10502953

    Examples
    --------
    >>> low, high = wilson_interval(10, 100)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0552, 0.1744)
    """
    x, n = np.broadcast_arrays(np.asarray(cases, float), np.asarray(total, float))
    if not np.all((n > 0) & (x >= 0) & (x <= n)):
        raise InputError("cases", found="an impossible count", expected="0 <= cases <= total, and total above zero")
    z = special.ndtri((1 + level) / 2)
    share = x / n
    centre = share + z**2 / (2 * n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # The limits at no cases and at all cases are 0 and 1 exactly; rounding must not carry them beyond.
    low, high = (centre - half) / scale, (centre + half) / scale
    return np.where(x == 0, 0.0, np.clip(low, 0, 1)), np.where(x == n, 1.0, np.clip(high, 0, 1))
