"""Wrong arguments of all dynamics, in a sentence each."""

import jax
import optax
import pytest

import meanfield as mf
from tests.systems.dynamics.common import small

WRONG = {
    "alpha": (lambda: mf.dynamics.StableSGD(0.1, 1, alpha=2.5, scale=1.0), "Argument `alpha` must lie in (0, 2], but is 2.5."),
    "mode": (
        lambda: mf.dynamics.StableSGD(0.1, 1, alpha=1.5, scale=1.0, mode="radial"),
        "Argument `mode` must be one of 'scalar', 'coordinates', 'isotropic', but is 'radial'.",
    ),
    "temperature": (
        lambda: mf.dynamics.Langevin(0.1, 1, temperature=-1),
        "Argument `temperature` must be a number >= 0, or an array of them, but is -1.",
    ),
    "minibatches": (
        lambda: mf.dynamics.SGD(0.1, 1, minibatches="common"),
        "Argument `minibatches` must be one of 'shared', 'independent', but is 'common'.",
    ),
    "epochs": (
        lambda: mf.System(mf.TwoLayer(), small().in_epochs(), mf.dynamics.SGD(0.1, 1, minibatches="independent")),
        "Argument `minibatches` must be 'shared' for data sampled in epochs, but is 'independent'.",
    ),
    "pool of a finite set": (
        lambda: mf.System(mf.TwoLayer(), small(), mf.dynamics.SGD(0.1, 1, minibatches="independent", pool_size=5)),
        "Argument `pool_size` must be None unless neurons draw from fresh examples (independent noise, online data), but is 5.",
    ),
    "pool too small": (
        lambda: mf.System(
            mf.TwoLayer("tanh", "squared"),
            mf.data.teacher(jax.random.key(0), dim=2, neurons=2),
            mf.dynamics.SGD(0.1, 4, minibatches="independent", pool_size=16),
        ),
        "Argument `pool_size` must be at least 8 times the batch size, 32: examples of the pool are common to the neurons, but is 16.",
    ),
    "a name that is taken": (
        lambda: mf.simulate(
            mf.System(
                mf.TwoLayer(),
                small(),
                mf.dynamics.Optax(lambda step: optax.sgd(step), 1, hyperparameters={"step": [0.1, 0.2]}),
            ),
            widths=2,
            steps=1,
            seeds=1,
            key=jax.random.key(0),
        ),
        "Argument `dynamics` must sweep fields of names other than width, seed, network, step, split, level, order, neuron, component, "
        "status, "
        "steps_done, first_bad_step, programs, but is with a sweep of 'step'.",
    ),
    "covariance": (
        lambda: mf.data.gaussian_regression(2, covariance=[[1.0, 2.0], [2.0, 1.0]]),
        "Argument `covariance` must be a number > 0 or a symmetric positive definite matrix of shape (2, 2), "
        "but is one with the eigenvalue -1.",
    ),
    "covariance, not symmetric": (
        lambda: mf.data.gaussian_regression(2, covariance=[[1.0, 0.5], [0.0, 1.0]]),
        "Argument `covariance` must be a number > 0 or a symmetric positive definite matrix of shape (2, 2), but is not symmetric.",
    ),
    "chains": (
        lambda: mf.System(mf.TwoLayer("relu", "squared"), mf.data.gaussian_regression(2), mf.dynamics.LinearRecursion(0.1, 1)),
        "Argument `network` must be `mf.dynamics.chains()` for this dynamics, but is TwoLayer(activation='relu', "
        "loss='squared', train_output=True, bias=False, output_weights='normal', init_scale=1.0, dim=2, outputs=1).",
    ),
    "ones": (
        lambda: mf.TwoLayer(output_weights="ones"),
        "Argument `train_output` must be False if the output weights are all 1, but is True.",
    ),
    "transformation": (
        lambda: mf.dynamics.Optax(3, 1),
        "Argument `transformation` must be an optax `GradientTransformation` or a function that makes one, but is 3.",
    ),
    "recursion on a teacher": (
        lambda: mf.System(
            mf.dynamics.chains(), mf.data.teacher(jax.random.key(0), dim=2, neurons=2), mf.dynamics.LinearRecursion(0.1, 1)
        ),
        "Argument `data` must be a finite set or `mf.data.gaussian_regression(...)` for this dynamics, but is a Teacher.",
    ),
    "a law for chains": (
        lambda: mf.dynamics.HomogenizedSGD(mf.scaling.StepSizeLaw(0.1), 1),
        "Argument `step_size` must be a number > 0, or an array of them, for this dynamics, "
        "but is StepSizeLaw(gamma=0.1, beta=1.0, decay=0.0).",
    ),
    "injection": (
        lambda: mf.dynamics.McKeanVlasov(0.1, injection=3),
        "Argument `injection` must be None or an instance of a subclass of `AbstractInjection`, but is 3.",
    ),
    "init_scale": (lambda: mf.TwoLayer(init_scale=[1.0, 2.0]), "Argument `init_scale` must be a number >= 0, but is [1.0, 2.0]."),
    "hyperparameters": (
        lambda: mf.dynamics.Optax(optax.adam, 1, hyperparameters=[1.0]),
        "Argument `hyperparameters` must be a dictionary of named numbers, but is [1.0].",
    ),
    "learning rate": (
        lambda: mf.System(mf.TwoLayer(), small(), mf.dynamics.Optax(optax.adam, 1)),
        "Argument `hyperparameters` must be those of `transformation`, but: adam() missing 1 required positional argument: "
        "'learning_rate'.",
    ),
    "delta": (
        lambda: mf.data.gaussian_classes(jax.random.key(0), dim=2, delta=1.0),
        "Argument `delta` must lie in (0, 1), but is 1.0.",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name):
    call, message = WRONG[name]
    with pytest.raises(mf.ArgumentError) as caught:
        call()
    assert str(caught.value) == message
