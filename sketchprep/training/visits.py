"""The order in which training looks at samples: each epoch a permutation that depends on the seed alone."""

from __future__ import annotations

import numpy as np

__all__ = ["Visits"]

HELD = 2  # epochs whose order is kept: a batch may lie across two


class Visits:
    """Maps visit numbers to samples; visit v is sample ``permutation(seed, v // count)[v % count]``.

    Parameters
    ----------
    count : int
        Number of samples.
    seed : int
    """

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed = count, seed
        self._orders: dict[int, np.ndarray] = {}

    def sample(self, visit: int) -> int:
        """Number of the sample that a visit looks at."""
        epoch, at = divmod(visit, self.count)
        if epoch not in self._orders:
            while len(self._orders) >= HELD:
                del self._orders[next(iter(self._orders))]
            self._orders[epoch] = np.random.default_rng([self.seed, 0, epoch]).permutation(self.count)
        return int(self._orders[epoch][at])

    def random(self, visit: int) -> np.random.Generator:
        """The random numbers of a visit."""
        return np.random.default_rng([self.seed, 1, visit])
