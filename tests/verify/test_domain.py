"""Domains of parameters: they hold what they draw."""

import numpy as np

from meanfield import verify


def test_domains_hold_what_they_draw():
    """100 draws of each are values of it; neighbours are not, and NaN never is."""
    d, rng = verify.domain, np.random.default_rng(0)
    domains = (
        d.Real(0.1, 2, even="log"),
        d.Whole(0, 5),
        d.Whole(3, 70),
        d.OneOf("a", 2),
        d.Several(d.Whole(1, 9), 2, 4, rising=True),
        d.Several(d.TupleOf(d.Real(0, 1), d.OneOf(1, 2))),
    )
    for domain in domains:
        assert all(domain.holds(domain.draw(rng)) for _ in range(100)), domain
        assert not any(domain.holds(one) for one in (float("nan"), None, "x", -1, 71, (1,), (9, 1), (1, 1), ((2.0, 1),))), domain
