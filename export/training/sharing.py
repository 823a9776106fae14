"""How many ids are best given a row of their own, from how often ids come. Ours (docs/adr/0021-hot-rows.md).

Say each id wants its chunks to hold something of its own, as different from what others want as can be. Training makes
of a slot the mean of what its ids want, each weighing as much as its reads, and as little reads say little, as if PRIOR
reads more had wanted it to be zero. So an id of n reads, in a slot with others that have S together, gets the share

    q = E[n / (n + S + PRIOR)]

of its wish, and loses (1 - q)^POWER over all of its chunks, for what one of them lacks another one may have. The others
in a slot are any of the ids, each chunk of them with probability 1 / slots, so that S has the Laplace transform
exp(-chunks / slots * sum over ids of (1 - exp(-reads * t))), and

    q = n * integral from 0 to infinity of exp(-(n + PRIOR) t) E[exp(-S t)] dt.

In a row of its own S is 0. The best number of hot rows is the one with which the least is lost, weighted by reads: rows
of their own save the hottest ids, who lose little anyway, and take slots from all others.
"""

import numpy as np
import numpy.typing as npt

from thimble.models.hashing import Int64s

Doubles = npt.NDArray[np.float64]

PRIOR = 10.0
POWER = 2.0
# Times at which the integrand is taken, in units of reads^-1: 0, and between what is rarer than any id and often.
TIMES: Doubles = np.concatenate([[0], np.geomspace(1e-10, 1e2, 400)])
# Ids that come nearly equally often are counted as one kind of id, within 4 %.
KINDS = 1.04


class Traffic:
    """How often ids come, as kinds of ids that come nearly equally often, the hottest first."""

    def __init__(self, reads: Int64s, once: int = 0) -> None:
        """`reads` are those of each id, in any order; so many more ids came `once`."""
        _, kind, ids = np.unique(-np.round(np.log(reads) / np.log(KINDS)), return_inverse=True, return_counts=True)
        self.ids: Doubles = np.append(ids, once).astype(np.float64)
        self.reads: Doubles = np.append(np.bincount(kind, reads) / ids, 1)

    def lost(self, rows: int, slots: float, chunks: int) -> float:
        """What ids lose, summed over their reads, where the hottest have rows and the others share so many slots."""
        hot = np.diff(np.minimum(np.cumsum(self.ids), rows), prepend=0)  # ids of each kind
        cold, n = self.ids - hot, self.reads
        silent = np.exp(-np.outer(TIMES, n))  # [times, kinds]
        others = np.exp(-chunks / slots * ((1 - silent) @ cold))  # E[exp(-S t)]
        share = n * np.trapezoid(silent * (others * np.exp(-PRIOR * TIMES))[:, None], TIMES, axis=0)
        of_hot = hot * n * (PRIOR / (n + PRIOR)) ** POWER
        of_cold = cold * n * (1 - share) ** POWER
        return float((of_hot + of_cold).sum())
