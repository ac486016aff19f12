"""Parts of pruning errors: planted decompositions, sums to the bit, what each part is alone, bad input."""

import itertools

import jax
import numpy as np
import pytest

from benchmarks import mechanisms as planted
from meanfield.measure import mechanisms, pruning
from meanfield.measure.mechanisms import decompose, parts

WIDTHS, NARROW = (64, 256, 1024), (32, 256)
KEY = jax.random.key(0)


def made(case: str, runs: int = 8, seed: int = 0, widths=WIDTHS) -> dict[int, np.ndarray]:
    """Networks of a planted case, neurons of one coordinate."""
    rng = np.random.default_rng(seed)
    return {n: planted.PLANTED[case].networks(rng, runs, n, n)[..., None] for n in widths}


def z(estimate, true) -> np.ndarray:
    """Deviations in standard errors; 0 where both are exact."""
    gap = np.abs(np.asarray(estimate.value) - true)
    return np.where(gap < 1e-12, 0, gap / np.maximum(estimate.standard_error, 1e-300))


@pytest.mark.parametrize(
    "case", ["independent, Pareto 1.5", "a law that moves with the width", "every neuron twice", "all together"]
)
def test_parts_sum_to_the_measured_error(case):
    """To rounding at every width; the measured error is the logarithm of the networks' mean error; nothing is left at the widest."""
    neurons = made(case)
    found = decompose(neurons, key=KEY)
    total = sum(getattr(found, name).value for name in mechanisms.PARTS)
    np.testing.assert_allclose(total, found.measured.value, rtol=0, atol=1e-12)
    direct = [np.log(np.mean(pruning.error_curve(neurons[n], 0.1, "node"))) for n in WIDTHS]
    np.testing.assert_allclose(found.measured.value, direct, rtol=1e-12)
    for part in (found.sampling, found.law):
        assert part.value[-1] == part.standard_error[-1] == 0
    assert abs(sum(float(found.slopes[name]) for name in mechanisms.PARTS) - float(found.slopes["measured"])) < 1e-12
    assert found.measured.dof == 7 and found.paths == 8


@pytest.mark.short(1)
@pytest.mark.parametrize(
    ("case", "carries"),
    [
        ("independent, Pareto 1.5", {"sampling"}),
        ("a law that moves with the width", {"law", "sampling"}),
        ("a factor that each run shares", {"dependence", "sampling"}),
        ("every neuron twice", {"dependence", "sampling"}),
    ],
)
def test_each_mechanism_is_found_where_it_was_planted(case, carries):
    """24 runs: parts that were not planted lie within 3 standard errors of 0, planted ones beyond; all are near the truth."""
    found, true = decompose(made(case, 24, widths=NARROW), key=KEY), planted.truth(planted.PLANTED[case], NARROW, 20_000)
    for part in ("sampling", "law", "dependence"):
        from_zero = np.max(z(getattr(found, part), 0.0))
        assert (from_zero > 3) == (part in carries), (part, from_zero)
    for part, known in true.items():
        assert np.max(z(getattr(found, part), known[:-1])) < 5.5, part  # Student's law with 23 degrees
        assert z(found.slopes[part], known[-1]) < 5.5, part


@pytest.mark.long
def test_a_shared_factor_leaves_no_bias():
    """4 runs, 500 times: the mean dependence is the true one. Without the correction for pairs within a run it would be 3/4 of that."""
    case, widths = "a factor that each run shares", (64, 128)
    true = planted.truth(planted.PLANTED[case], widths, 20_000)["dependence"][:-1]
    values = np.array([decompose(made(case, 4, seed, widths), key=jax.random.key(seed)).dependence.value for seed in range(500)])
    mean, error = values.mean(axis=0), np.std(values, axis=0) / np.sqrt(len(values))
    assert np.all(np.abs(mean - true) < 5 * error)
    assert np.all(np.abs(0.75 * mean - true) > 5 * 0.75 * error)


def test_draws_are_those_of_a_pool_without_replacement():
    """Three runs of three neurons, 40 times: the mean over all choices of three of the nine, and of the six that a run leaves.

    Draws with replacement would be beyond the five standard errors.
    """
    rng = np.random.default_rng(3)
    pool = rng.pareto(1.0, (3, 1, 3, 1)) + 1

    def error(rows):
        return pruning.error_curve(rows, 0.34, "node")

    draws = np.array([parts._drawn_across(pool, 3, error, rng) for _ in range(40)])
    many, deviation = draws.mean(axis=0), 5 * np.std(draws, axis=0) / np.sqrt(40)
    for left_out in range(-1, 3):
        rows = pool[np.arange(3) != left_out].reshape(-1, 1)
        choices, replaced = itertools.combinations(range(len(rows)), 3), itertools.product(range(len(rows)), repeat=3)
        without, again = (np.mean([error(rows[list(one)]) for one in every]) for every in (choices, replaced))
        assert abs(many[1 + left_out] - without) < deviation[1 + left_out] < abs(many[1 + left_out] - again)


def test_pairs_within_a_run_are_taken_out_of_a_pool():
    """Pairs of S runs: of the S^2 in the pool S lie within a run; what is left is the mean over the pairs of two runs, to rounding."""
    for runs in (2, 3, 8):
        pairs = np.random.default_rng(runs).normal(size=(runs, runs))
        within, pool = np.array([np.mean(np.diag(pairs))]), np.array([np.mean(pairs)])
        apart = np.mean(pairs[~np.eye(runs, dtype=bool)])
        np.testing.assert_allclose(parts._unshared(pool, within, runs), apart, rtol=1e-12)
        assert abs(pool - apart) > 0.01


def test_draws_within_a_run_are_without_replacement():
    """Two runs of two networks of three neurons, 40 times: the mean over all choices of three of the six neurons of a run.

    Draws with replacement would be beyond the five standard errors.
    """
    rng = np.random.default_rng(4)
    pool = rng.pareto(1.0, (2, 2, 3, 1)) + 1

    def error(rows):
        return pruning.error_curve(rows, 0.34, "node")

    draws = np.array([parts._drawn_within(pool, 3, error, rng) for _ in range(40)])
    many, deviation = draws.mean(axis=0), 5 * np.std(draws, axis=0) / np.sqrt(40)
    for run, rows in enumerate(pool.reshape(2, 6, 1)):
        choices, replaced = itertools.combinations(range(6), 3), itertools.product(range(6), repeat=3)
        without, again = (np.mean([error(rows[list(one)]) for one in every]) for every in (choices, replaced))
        assert abs(many[run] - without) < deviation[run] < abs(many[run] - again)


def test_slopes_are_those_of_a_line_in_log_n():
    """Least squares through the parts of four widths, by numpy, and not in another unit of log N."""
    found = decompose(made("a law that moves with the width", 4, widths=(32, 64, 200, 256)), key=KEY)
    for part, slope in found.slopes.items():
        line = np.polyfit(np.log(found.widths), getattr(found, part).value, 1)[0]
        assert abs(float(slope) - line) < 1e-12 and (part == "level" or abs(float(slope) - line / np.log(2)) > 1e-4), part


def test_nodes_of_one_coordinate_are_entries():
    """To the bit, all parts; with two coordinates they are not."""
    alone = made("independent, Pareto 3", 4, widths=(32, 128))
    pairs = {n: np.concatenate([x, x[:, ::-1]], axis=-1) for n, x in alone.items()}
    for part in mechanisms.PARTS:
        entries, nodes, others = (
            getattr(decompose(x, kind=kind, key=KEY), part).value
            for x, kind in ((alone, "magnitude"), (alone, "node"), (pairs, "node"))
        )
        assert np.array_equal(entries, nodes) and not np.array_equal(nodes, others), part


def test_singular_values_of_independent_rows_show_no_dependence_and_those_of_twins_do():
    """24 runs of normal rows of twenty columns: dependence lies within 5 standard errors of 0, that of rows twice beyond."""
    rng = np.random.default_rng(0)
    rows = {n: rng.standard_normal((24, n, 20)) * np.linspace(1, 3, 20) for n in (32, 128)}
    twins = {n: np.tile(x[:, : n // 2], (1, 2, 1)) for n, x in rows.items()}
    found, twice = (decompose(x, 0.1, "singular", key=KEY) for x in (rows, twins))
    for neurons, one in ((rows, found), (twins, twice)):
        direct = [np.log(np.mean(pruning.error_curve(neurons[n], 0.1, "singular"))) for n in (32, 128)]
        np.testing.assert_allclose(one.measured.value, direct, rtol=1e-9)
    assert np.all(z(found.dependence, 0.0) < 5) and np.all(z(twice.dependence, 0.0) > 5)


def test_several_networks_on_a_path_split_the_dependence():
    """A factor of the path and duplicates in the network: each is found in its part, and the parts sum to the dependence."""
    rng, neurons = np.random.default_rng(5), {}
    for n in (64, 256):
        factor = np.exp(np.arange(24) % 2)[:, None, None]
        own = np.exp(0.3 * rng.standard_normal((24, 4, n // 8)))
        neurons[n] = (np.tile(own, 8) * factor)[..., None]
    found = decompose(neurons, key=KEY)
    assert found.path is not None and found.network is not None
    np.testing.assert_allclose(found.path.value + found.network.value, found.dependence.value, atol=1e-12)
    one = {n: x[:, :, : n // 8] for n, x in neurons.items()}
    alone = decompose({n // 8: x for n, x in one.items()}, 0.125, key=KEY)
    assert alone.network is not None and np.all(z(alone.network, 0.0) < 4.5)
    assert found.network.value[0] > 4.5 * found.network.standard_error[0]
    assert found.path.interval[-1, 0] > 0


def test_scale_and_order_do_not_matter():
    """Errors are relative: a factor changes nothing but rounding; the order in which widths are given changes nothing."""
    neurons = made("independent, Pareto 1.5", 4)
    found = decompose(neurons, key=KEY)
    scaled = decompose({n: 2.0**40 * x for n, x in reversed(neurons.items())}, key=KEY)
    np.testing.assert_allclose(scaled.law.value, found.law.value, rtol=1e-9)
    assert scaled.widths.tolist() == list(WIDTHS)


def bad(**change):
    """Arguments of `decompose`, one of them changed."""
    neurons = {n: np.random.default_rng(n).standard_normal((3, n, 2)) for n in (16, 32)}
    return {"neurons": neurons, "kappa": 0.1, "key": KEY} | change


GOOD = np.ones((3, 16, 2))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"neurons": [GOOD]}, r"`neurons` must map widths to arrays of neurons, but is"),
        ({"neurons": {16: GOOD}}, r"`neurons` must hold at least two widths, but is neurons of the widths \(16,\)"),
        (
            {"neurons": {16: GOOD, 32: GOOD}},
            r"`neurons\[32\]` must have 32 neurons, in the last axis but one, but is an array of shape \(3, 16, 2\)",
        ),
        ({"neurons": {16: GOOD[:1], 32: GOOD}}, r"`neurons\[16\]` must hold at least 3 independent runs"),
        (
            {"neurons": {16: GOOD, 32: np.ones((3, 32, 3))}},
            r"`neurons\[32\]` must have as many axes, runs and coordinates as \(3, 16, 2\) at width 16",
        ),
        ({"neurons": {16: GOOD, 32: np.ones((4, 32, 2))}}, r"`neurons\[32\]` must have as many axes, runs and coordinates"),
        ({"neurons": {16: GOOD * np.nan, 32: np.ones((3, 32, 2))}}, r"`neurons\[16\]` must .*finite"),
        ({"kappa": 0.01}, r"`kappa` must be at least 0\.0625, which keeps one part of the narrowest network, but is 0\.01"),
        ({"kappa": 1.0}, r"`kappa` must be a number in \(0, 1\)"),
        ({"kind": "neuron"}, r"`kind` must be"),
        ({"p": 0.0}, r"`p` must be a number > 0"),
        ({"key": 0}, r"`key` must be"),
        (
            {"neurons": {n: np.eye(n)[None, :, :1].repeat(3, 0) for n in (16, 32)}},
            r"`neurons` must have errors above 0 in two runs or more of every width: their logarithm at width 16 is infinite",
        ),
    ],
)
def test_bad_input_is_a_sentence(change, says):
    with pytest.raises(ValueError, match=says):
        decompose(**bad(**change))


@pytest.mark.slow
@pytest.mark.parametrize("case", list(planted.PLANTED))
def test_intervals_cover_as_stated(case):
    """8 runs, 100 repeats: no part is covered less than the docstring's worst by four binomial errors; on average more than .88 are.

    Standard errors a third too small would cover .81 on average.
    """
    rows = planted.score(planted.Config(widths=(64, 256), repeats=100), case, 8)
    shares = {(row["part"], row["at"]): row["covered"] / row["repeats"] for row in rows if not planted.known(row)}
    assert len(shares) == 12
    worst = {"dependence": 0.85, "sampling": 0.87, "level": 0.88, "measured": 0.89, "law": 0.92}
    for (part, at), share in shares.items():
        assert share > worst[part] - 4 * np.sqrt(worst[part] * (1 - worst[part]) / 100), (part, at)
    assert np.mean(list(shares.values())) > 0.88
