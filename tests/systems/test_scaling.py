"""The step-size law against its formula and against the schedule of the paper's code."""

import jax
import numpy as np
import pytest

from meanfield.systems.scaling import StepSizeLaw, per_neuron


@pytest.mark.short(12)
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("decay", [0.0, 0.3, 0.8])
@pytest.mark.parametrize("gamma", [0.01, 1.0, 3.0])
def test_law(gamma, beta, decay):
    law = StepSizeLaw(gamma, beta, decay)
    for width in (1, 100, 50_000):
        for n in (0, 1, 1000):
            lr0 = gamma * width**beta
            gamma_ab = (lr0 / width) ** (1 / (1 - decay))
            expected = lr0 * (n + 1 / gamma_ab) ** (-decay) / width
            np.testing.assert_allclose(law(width, n), expected, rtol=5e-5)
            np.testing.assert_allclose(law.time_step(width), gamma_ab, rtol=5e-5)


def test_default_does_not_depend_on_width_or_step():
    assert [float(StepSizeLaw(0.7)(n, k)) for n, k in [(1, 0), (10**6, 0), (10**6, 10**6)]] == pytest.approx([0.7] * 3)
    assert per_neuron(0.7, 10, 3) == 0.7


def test_first_step_is_the_time_step():
    """At n = 0 the neuron moves by gamma N^(beta-1) gamma_ab^decay = gamma_ab: one step is one time step."""
    law = StepSizeLaw(2.0, 0.5, 0.4)
    np.testing.assert_allclose(law(1000, 0), law.time_step(1000), rtol=1e-5)


def test_traced():
    law = StepSizeLaw(2.0, 0.5, 0.4)
    np.testing.assert_allclose(jax.jit(lambda law, n: law(1000, n))(law, 5), law(1000, 5), rtol=1e-6)
