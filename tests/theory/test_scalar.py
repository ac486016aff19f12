"""Arguments that must be one number, and roots: what is refused, in a sentence each."""

import pytest

import meanfield as mf
from meanfield.theory import recursion

WRONG = {
    "no stationary law": (
        lambda: recursion.tail_index(3.0, 1, 1),
        "Argument `step_size` must be below 2.4212 (Lyapunov exponent 0: beyond there is no stationary law), but is 3.0.",
    ),
    "dim": (lambda: recursion.tail_index(0.5, 1, 0), "Argument `dim` must be an integer >= 1, but is 0."),
    "step size": (lambda: recursion.lyapunov(-0.5, 1, 1), "Argument `step_size` must be a number > 0, but is -0.5."),
    "alpha": (lambda: recursion.step_size_for(0.0, 1, 1), "Argument `alpha` must be a number > 0, but is 0.0."),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
