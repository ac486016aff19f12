"""Results say what ran: every argument, and a checksum of the data."""

import json

import jax
import numpy as np
import optax
import pytest

import meanfield as mf
from meanfield.simulate.provenance import described


@pytest.mark.long
def test_results_say_what_ran(key, tmp_path):
    """Every argument is in the file; other data, of one shape, have another checksum; a call repeated is described alike."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3)).astype(np.float32)

    def run(x, **more):
        data = mf.data.from_arrays(x, x[:, :1])
        system = mf.System(mf.TwoLayer(loss="squared"), data, mf.dynamics.SGD([0.1, 0.2], 2, weight_decay=0.5))
        arguments = {"widths": [4, 8], "steps": 2, "seeds": [3, 5], "key": key, "probes": [mf.probes.Moments(orders=(1.0,))]}
        return mf.simulate(system, **arguments | more)

    results = run(x)
    results.save(tmp_path / "results.nc")
    found = mf.Results.load(tmp_path / "results.nc").provenance
    dynamics = found["system"]["dynamics"]
    assert dynamics["type"].endswith(".SGD") and dynamics["step_size"] == [0.1, 0.2]
    assert (dynamics["batch_size"], dynamics["weight_decay"], found["system"]["network"]["loss"]) == (2, 0.5, "squared")
    assert (found["widths"], found["steps"], found["seeds"], found["probes"][0]["orders"]) == ([4, 8], 2, [3, 5], [1.0])
    assert found["key"] == jax.random.key_data(key).tolist() and found["versions"]["jax"] == jax.__version__
    assert found == run(x).provenance == results.provenance
    x[17, 1] += 1
    for other in (run(x), run(x, key=jax.random.key(1)), run(x, steps=3)):
        assert other.provenance != found
    assert len(found["system"]["data"]["x"]["sha256"]) == 64 and "0x" not in json.dumps(found)


def test_functions_that_no_import_finds_are_their_code_and_what_they_enclose():
    """Two optimisers of one name differ by their numbers; two lambdas by what they say; a function that calls itself ends."""
    rate = [described(mf.dynamics.Optax(optax.sgd(size), 1)) for size in (0.1, 0.2, 0.1)]
    assert rate[0] == rate[2] != rate[1]
    doubled, tripled, again = (described(one) for one in (lambda x: 2 * x, lambda x: 3 * x, lambda x: 2 * x))
    assert doubled == again != tripled
    assert described(np.mean) == described(np.mean) and "sha256" not in described(json.dumps)

    def itself(n=1):
        return itself(n - 1) if n else 0

    assert set(described(itself)) == {"type", "sha256", "given"}
