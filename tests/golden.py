"""Numbers of everything public at fixed keys, kept as a golden file: a net under changes that must move no number.

    python -m tests.golden                # compares to the last bit with tests/known/golden.npz: for the machine that wrote it
    python -m tests.golden chains --write # writes the arrays of a case anew; tests/known/golden.md says which moved and why

Last bits depend on the processor and on versions, so the test (tests/test_golden.py) compares to rounding, and the command to the last bit.
A case is a function without arguments that returns arrays by name. It may follow a rename; its name and its numbers may not change.
"""

import collections
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from scipy import stats

import meanfield as mf
from meanfield import verify
from meanfield.measure import chaos, distances, pruning, rates, tails
from meanfield.systems import random
from meanfield.theory import bounds, compressibility, least_squares, network, random_products, recursion, solvable, stable

FILE = Path(__file__).parent / "known" / "golden.npz"
CASES: dict[str, Callable[[], dict[str, Any]]] = {}
KEY = jax.random.key(7)
BATCH = np.random.default_rng(3)


def case(function: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    CASES[function.__name__] = function
    return function


def arrays(name: str) -> dict[str, np.ndarray]:
    """What a case gives, flat: the name of every leaf behind that of the case."""
    found = {}
    for path, leaf in jax.tree.flatten_with_path(CASES[name]())[0]:
        leaf = (
            jax.random.key_data(leaf) if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf
        )
        found[name + "".join(f"/{getattr(k, 'key', getattr(k, 'idx', getattr(k, 'name', k)))}" for k in path)] = np.asarray(leaf)
    return found


# -- systems ---------------------------------------------------------------------------------------------------------------

LABELS = mf.data.from_arrays(
    BATCH.normal(size=(40, 3)), BATCH.integers(0, 3, 40), BATCH.normal(size=(9, 3)), BATCH.integers(0, 3, 9)
)
TARGETS = mf.data.from_arrays(BATCH.normal(size=(30, 3)), np.linspace(-1.0, 1.0, 30))
SQUARED = mf.TwoLayer(loss="squared")
LAW = mf.scaling.StepSizeLaw(0.3, beta=0.5, decay=0.2)
DYNAMICS = {
    "sgd": mf.dynamics.SGD([0.1, 0.3], 2, weight_decay=0.1),
    "sgd with a law": mf.dynamics.SGD(LAW, 2),
    "sgd, independent": mf.dynamics.SGD(0.1, 2, minibatches="independent"),
    "langevin": mf.dynamics.Langevin(0.1, 2, temperature=0.2, weight_decay=0.1),
    "stable, scalar": mf.dynamics.StableSGD(0.1, 2, alpha=1.5, scale=0.1, mode="scalar"),
    "stable, coordinates": mf.dynamics.StableSGD(0.1, 2, alpha=1.0, scale=0.1),
    "stable, isotropic": mf.dynamics.StableSGD(LAW, 2, alpha=1.9, scale=0.1, mode="isotropic"),
    "mckean-vlasov, ode": mf.dynamics.McKeanVlasov(LAW),
    "mckean-vlasov, sde": mf.dynamics.McKeanVlasov(0.1, batch_size=2, injection=mf.dynamics.GaussianInjection(0.1)),
    "optax": mf.dynamics.Optax(optax.sgd(0.1, momentum=0.9), batch_size=2),
    "optax, adam": mf.dynamics.Optax(optax.adam, 2, hyperparameters={"learning_rate": 0.01, "b1": 0.8}),
}
CHAINS = {
    "recursion": mf.dynamics.LinearRecursion([0.3, 0.5], batch_size=2, weight_decay=0.1),
    "recursion, coupled": mf.dynamics.LinearRecursion(0.3, batch_size=2, weight_decay=0.1, coupled=True),
    "homogenized": mf.dynamics.HomogenizedSGD(0.3, batch_size=2, weight_decay=0.1),
}


def simulated(system: mf.System, steps: int = 6) -> dict[str, Any]:
    probes = (
        mf.probes.Evaluation(at=(0, 3, 6)),
        mf.probes.Moments(at=(0, 6)),
        mf.probes.NormQuantiles(at=(6,)),
        mf.probes.Subsample(2, at=(2, 6)),
    )
    chains = isinstance(system.dynamics, mf.dynamics.LinearRecursion | mf.dynamics.HomogenizedSGD)
    results = mf.simulate(system, widths=[4, 6], steps=steps, seeds=2, key=KEY, probes=probes[1:] if chains else probes)
    return {
        "dataset": {str(name): np.asarray(v) for name, v in results.dataset.variables.items() if v.dtype.kind in "iuf"},
        "particles": {str(n): {"w": p.w, "a": p.a} for n, p in results.particles.items()},
    }


@case
def dynamics():
    made = {name: simulated(mf.System(SQUARED, TARGETS, one)) for name, one in DYNAMICS.items()}
    return made


@case
def chains():
    made = {}
    for name, one in CHAINS.items():
        for kind, data in (("finite", TARGETS), ("endless", mf.data.gaussian_regression(3))):
            made[f"{name}, {kind}"] = simulated(mf.System(mf.dynamics.chains(), data, one))
    return made


@case
def networks():
    made = {}
    for name, one in {
        "tanh with bias": mf.TwoLayer("tanh", bias=True, loss="squared"),
        "fixed signs": mf.TwoLayer(output_weights="signs", train_output=False, loss="squared"),
        "scaled": mf.TwoLayer(init_scale=2.0, loss="squared"),
        "identity": mf.TwoLayer("identity", loss="squared"),
    }.items():
        made[name] = simulated(mf.System(one, TARGETS, mf.dynamics.SGD(0.1, 2)))
    made["labels"] = simulated(mf.System(mf.TwoLayer(), LABELS, mf.dynamics.SGD(0.5, 3)))
    made["epochs"] = simulated(mf.System(mf.TwoLayer(), LABELS.in_epochs(), mf.dynamics.SGD(0.5, 3)))
    return made


@case
def data():
    teacher = mf.data.teacher(jax.random.key(2), neurons=3, dim=4)
    classes = mf.data.gaussian_classes(jax.random.key(3), dim=4, delta=0.5, test_size=5)
    sources = {
        "labels": LABELS,
        "epochs": LABELS.in_epochs(),
        "regression": mf.data.gaussian_regression(3),
        "teacher": teacher,
        "classes": classes,
    }
    digits = mf.data.digits()
    made = {name: {str(step): one.batch(KEY, step, 4) for step in (0, 11)} for name, one in sources.items()}
    return {**made, "digits": (np.asarray(digits.x[:3]), np.asarray(digits.y[:30]))}


@case
def noise():
    return {
        "symmetric": {str(a): mf.noise.symmetric_stable(jax.random.clone(KEY), a, (6,)) for a in (0.5, 1.0, 1.5, 2.0)},
        "positive": {str(a): mf.noise.positive_stable(jax.random.clone(KEY), a, (6,)) for a in (0.3, 0.75)},
        "isotropic": {str(a): mf.noise.isotropic_stable(jax.random.clone(KEY), a, (3, 2)) for a in (1.0, 1.7)},
        "rows": random.normal_rows(jax.random.clone(KEY), 3, 1, 4),
        "normal": random.normal(jax.random.clone(KEY), 7, jnp.float32),
        "laws": [LAW.time_step(n) for n in (1, 10)],
    }


# -- measure ---------------------------------------------------------------------------------------------------------------


def samples() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    rows = {
        "student": rng.standard_t(2, (2, 3000)),
        "exponential": rng.exponential(size=(2, 3000)),
        "pareto": rng.pareto(1.5, (2, 3000)) + 1,
    }
    walk = np.zeros((2, 3000))
    for t in range(1, 3000):
        walk[:, t] = 0.7 * walk[:, t - 1] + rows["student"][:, t]
    return rows | {"dependent": walk, "rounded": np.round(rows["pareto"], 1), "clipped": np.minimum(rows["pareto"], 20.0)}


def fields(fit: Any) -> dict[str, Any]:
    return {name: getattr(fit, name) for name in ("alpha", "standard_error", "interval", "threshold", "k", "status")}


@case
def tail_indices():
    plain = (
        "hill",
        "pickands",
        "hill_reduced",
        "power_law",
        "tail_index",
        "block_log_moment",
        "stable_quantile",
        "stable_characteristic",
    )
    estimators = {name: getattr(tails, name) for name in plain} | {
        "moment": tails.moment_estimator,
        "kernel": tails.kernel_estimator,
    }
    made = {}
    for law, x in samples().items():
        made[law] = {name: fields(estimator(x)) for name, estimator in estimators.items()}
        family = tails.tail_family(x)
        made[law]["family"] = {
            "name": np.array([list(tails.Family).index(one) for one in family.family]),
            **{part: getattr(family, part) for part in ("log_evidence", "index_slope", "moment_growth", "stable")},
        }
    made["bootstrap"] = fields(tails.block_bootstrap(tails.hill, samples()["dependent"][0], block=50, key=KEY, replicates=30))
    return made


@case
def prunings():
    rng = np.random.default_rng(6)
    w, kappas = rng.standard_t(2, (3, 12, 8)), [0.1, 0.5]
    made = {}
    for kind in pruning.KINDS:
        p = 2.0
        made[kind] = {
            "curve": pruning.error_curve(w, kappas, kind, p),
            "centred": pruning.error_curve(w, kappas, kind, p, centred=True) if kind == "magnitude" else 0.0,
            "fraction": pruning.prunable_fraction(w, 0.3, kind, p),
        }
    made["pruned"] = {"magnitude": pruning.magnitude(w, 0.3), "node": pruning.node(w, 0.3), "singular": pruning.singular(w, 0.3)}
    made["values"] = pruning.singular_values(w)
    made["limit"] = pruning.extrapolated_limit(np.sort(np.abs(w.ravel()))[::-1], 0.1, 3.0, 30)
    return made


@case
def between_samples():
    rng = np.random.default_rng(8)
    x, y = rng.normal(size=(60, 2)), rng.normal(0.3, 1, size=(50, 2))
    values = rng.normal(size=(20, 15)) + rng.normal(size=(20, 1))
    moved = chaos.fluctuation(values[:4], 0.1)
    slope = rates.rate([10, 100, 1000], np.abs(rng.normal(size=(8, 3))) / np.array([1, 3, 9]))

    def parts(found: mf.Estimate) -> dict[str, Any]:
        return {name: getattr(found, name) for name in ("value", "standard_error", "interval")}

    return {
        "wasserstein": [distances.wasserstein(x[:, 0], y[:, 0], p) for p in (1.0, 2.0)],
        "sliced": parts(distances.sliced_wasserstein(x, y, directions=20, key=KEY)),
        "mmd": parts(distances.mmd(x, y)),
        "bandwidth": distances.median_bandwidth(x, y),
        "kolmogorov": [distances.kolmogorov(x[:, 0], y[:, 0]), distances.kolmogorov(x[:, 0], stats.norm.cdf)],
        "correlation": parts(chaos.correlation(values)) | {"samples": len(values), "particles": values.shape[1]},
        "fluctuation": {
            "variance": moved.variance.value,
            "standard_error": moved.variance.standard_error,
            "interval": moved.variance.interval,
            "values": moved.values,
            "independent": moved.independent,
            "ratio": moved.ratio.value,
            "ratio_interval": moved.ratio.interval,
            "runs": 4,
            "particles": values.shape[1],
        },
        "rate": {"slope": slope.value, "interval": slope.interval, "replicas": 8},
        "mean": [(mean := rates.mean(values)).value, mean.interval],
    }


# -- theory ----------------------------------------------------------------------------------------------------------------


@case
def theories():
    laws = {
        "t3": stats.t(3),
        "normal": stats.norm(),
        "laplace at 1": stats.laplace(1, 2),
        "pareto": stats.pareto(3),
        "stable": stats.levy_stable(1.5, 0.3),
    }
    return {
        "recursion": {
            "index": recursion.tail_index(0.8, 1, 2),
            "moment": recursion.moment(1.5, 0.3, 2, 3, weight_decay=0.1),
            "lyapunov": recursion.lyapunov(0.8, 1, 2),
            "steps": [recursion.critical_step_size(2, 3), recursion.maximal_step_size(2, 3), recursion.step_size_for(1.5, 1, 2)],
            "second": recursion.second_moment(0.1, 2, 3),
            "homogenized": recursion.homogenized_bounds(np.diag([1.0, 0.5]), 0.5, 2),
        },
        "limits": {
            name: [compressibility.limit_error(law, 0.1, q) for q in (0.5, 1.0)]
            + [compressibility.prunable_fraction(law, 0.3, 1.0)]
            for name, law in laws.items()
        },
        "nodes": compressibility.node_limit_error(stats.norm(), 5, 0.1),
        "singular": [compressibility.singular_limit_error(0.3, aspect) for aspect in (1.0, 0.5)],
        "elliptical": compressibility.layer_elliptical_limit_error(0.2),
        "divergent": [(one := compressibility.divergent_limit(stats.t(1.5), 0.1)).alpha, one.constant, one.quantile(0.3)],
        "stable": [stable.pdf([0.1, 3.0], 1.3, 0.4), stable.sf([0.1, 30.0], 0.8), stable.isf([0.3, 1e-9], 1.7)],
        "ornstein-uhlenbeck": [
            stable.ornstein_uhlenbeck_scale(1.5, 0.1),
            stable.euler_scale(1.5, 0.1, 0.3),
            stable.tail_constant(1.2),
        ],
        "designs": [
            least_squares.gaussian_tail_index(
                np.diag([1.0, 0.5]), 0.6, 1, population=500, steps=500, key=jax.random.key(0)
            ).value,
            least_squares.empirical_tail_index([[1.0], [0.5], [2.0]], 0.6, 1, key=jax.random.key(0)).value,
        ],
        "network": [
            network.quadratic_tail_index(0.3, 1.0),
            network.tail_index(
                np.eye(3)[:, :2] + 0.1, np.full((3, 1), 0.4), 0.5, 1, 0.3, population=500, steps=500, key=jax.random.key(0)
            ).value,
        ],
        "cloning": random_products.tail_index(
            lambda rng, u: u * rng.lognormal(-0.2, 1.0, (len(u), 1)), 2, population=500, steps=500, key=jax.random.key(0)
        ).value,
        "solvable": [
            solvable.response(0.7),
            solvable.response_slope(0.7),
            solvable.minimal_risk(0.3),
            solvable.zero_risk_threshold(),
        ],
        "bounds": [bounds.description_length("magnitude", 10, 100, 8), bounds.roundoff(16), bounds.occam(0.1, 100.0, 1000)],
    }


# -- verify ----------------------------------------------------------------------------------------------------------------


@case
def claims():
    """Quick budget, seed 0; two minutes on two cores."""
    made = {}
    for name, claim in verify.CLAIMS.items():
        evidence = claim.test(0, "quick")
        made[name] = {
            "verdict": list(verify.Verdict).index(evidence.verdict),
            "p": evidence.p_value,
            **{
                row.name: [*np.ravel(row.predicted), row.measured, *row.interval, row.detects, row.detectable]
                for row in evidence.comparisons
            },
        }
    return made


def differences(names: Sequence[str], same: Callable[[np.ndarray, np.ndarray], bool]) -> list[str]:
    """Names of arrays that are not what the file holds, or are in one of both only."""
    with np.load(FILE) as known:
        kept = {name: known[name] for name in known.files if name.split("/")[0] in names}
    now = collections.ChainMap(*(arrays(name) for name in names))
    wrong = [
        name
        for name in sorted(kept.keys() & now.keys())
        if kept[name].shape != now[name].shape or not same(kept[name], now[name])
    ]
    return (
        wrong
        + [f"{name} (only in the file)" for name in sorted(kept.keys() - now.keys())]
        + [f"{n} (new)" for n in sorted(now.keys() - kept.keys())]
    )


@dataclass(frozen=True)
class Config:
    """Compare everything public with the golden file, to the last bit."""

    cases: tyro.conf.Positional[tuple[str, ...]] = tuple(CASES)
    """Names of cases."""
    write: bool = False
    """Write the arrays of these cases into the file instead."""


def main(config: Config) -> int:
    if config.write:
        with np.load(FILE) as known:
            found = {name: known[name] for name in known.files if name.split("/")[0] not in config.cases}
        found |= dict(collections.ChainMap(*(arrays(name) for name in config.cases)))
        np.savez_compressed(FILE, **found)  # type: ignore[arg-type]
        print(f"{len(found)} arrays written to {FILE}")
        return 0
    wrong = differences(config.cases, lambda a, b: bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f")))
    print("\n".join(wrong) or "Nothing has moved.")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Config)))
