"""Results: files and statuses."""

import numpy as np
import pytest

import meanfield as mf


@pytest.mark.long
def test_divergence_is_a_status_of_its_cell(digits, key):
    network = mf.TwoLayer("quadratic", "squared")
    dynamics = mf.dynamics.SGD(step_size=[0.001, 1e4], batch_size=1)
    results = mf.simulate(mf.System(network, digits, dynamics), widths=16, steps=60, seeds=2, key=key)
    status = results.dataset["status"].sel(width=16).to_numpy()
    assert status.tolist() == [[mf.Status.COMPLETE.code] * 2, [mf.Status.DIVERGED.code] * 2]
    bad = results.dataset["first_bad_step"].sel(width=16).to_numpy()
    assert (bad[0] == -1).all() and (bad[1] > 0).all() and (bad[1] < 60).all()
    assert np.isfinite(results.particles[16].w[0]).all()
    assert np.isfinite(results.dataset["accuracy"][0, 0]).all()
    assert np.isnan(results.dataset["accuracy"][0, 1, :, -1]).all()  # not the share of class 0
    assert np.isfinite(results.dataset["risk"][0, 1, :, 0]).all()  # what was recorded before is kept
    assert not results.complete(16)[1].any()
    with pytest.raises(mf.DivergenceError, match="2 of 4 runs"):
        results.require_complete()


@pytest.mark.slow
def test_results_survive_a_file(digits, key, tmp_path):
    network = mf.TwoLayer(bias=True)
    dynamics = mf.dynamics.SGD(step_size=[0.5, 1.0], batch_size=2)
    results = mf.simulate(mf.System(network, digits, dynamics), widths=[4, 20], steps=10, seeds=2, key=key)
    results.save(tmp_path / "results.nc")
    back = mf.Results.load(tmp_path / "results.nc")
    assert back.dataset.identical(results.dataset)
    for width in (4, 20):
        for name in ("w", "a", "bias"):
            assert np.array_equal(getattr(back.particles[width], name), getattr(results.particles[width], name))
    assert [p.name for p in tmp_path.iterdir()] == ["results.nc"]
