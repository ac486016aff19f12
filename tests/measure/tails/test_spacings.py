"""Log-spacings: an abrupt change of a tail is said."""

import numpy as np
import pytest

from meanfield.measure import tails
from tests.measure.tails.common import LAWS, SLOWEST

BROKEN = {  # coverage where no status was given: 0 to 0.6
    "Pareto 1.6 moved by 14": lambda rng, size: rng.pareto(1.6, size) + 15,
    "1 % of Pareto 1.5 in a normal law": lambda rng, size: np.where(
        rng.random(size) < 0.01, rng.random(size) ** (-1 / 1.5), rng.normal(size=size)
    ),
}


@pytest.mark.slow
def test_abrupt_changes_are_said():
    """Moved laws, tails on a body: in half and more of 20 samples of 100 000; in none of 400 of 1000 and 40 of 10 000 of one tail."""
    rng = np.random.default_rng(39)
    code = tails.TailStatus.BREAK.code
    for draw in BROKEN.values():
        assert np.mean(tails.tail_index(draw(rng, (20, 100_000))).status == code) >= 0.5
    for alpha, draw in (*LAWS.values(), *SLOWEST.values()):
        del alpha
        for n, count in ((1000, 400), (10_000, 40)):
            assert not np.any(tails.tail_index(draw(rng, (count, n))).status == code)
