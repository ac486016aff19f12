"""What every width left behind, joined and put into labelled arrays."""

import math
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from meanfield.simulate.results import Status
from meanfield.systems.networks import Particles

if TYPE_CHECKING:
    import xarray


def joined(parts, shape) -> dict[str, Any]:
    """The cells of one width, from those of its programs; the particles in the shape of the grid."""
    together = lambda values: values[0] if len(values) == 1 else np.concatenate(values)  # noqa: E731
    column = {name: together([part[name] for part in parts]) for name in ("status", "first_bad_step", "steps_done")}
    seen = {
        name: {step: together([p["seen"].get(name, {}).get(step, _blank(p, value)) for p in parts]) for step, value in at.items()}
        for name, at in parts[0]["seen"].items()
    }
    particles = _stacked([thread for part in parts for thread in part.pop("particles")], shape)
    return column | {"particles": particles, "seen": seen, "programs": len(parts)}


def _stacked(pieces: list[Particles], shape) -> Particles:
    """Particles of all cells in the shape of the grid. On the host a piece is let go once it is copied: one is in memory twice."""
    if len(pieces) > 1 and isinstance(pieces[0].w, jax.Array):
        pieces = [jax.tree.map(lambda *v: jnp.concatenate(v), *pieces)]
    if len(pieces) > 1:
        whole = jax.tree.map(lambda v: np.empty((math.prod(shape), *v.shape[1:]), v.dtype), pieces[0])
        first = 0
        while pieces:
            piece = pieces.pop(0)
            for target, values in zip(jax.tree.leaves(whole), jax.tree.leaves(piece), strict=True):
                target[first : first + len(values)] = values
            first += len(piece.w)
        pieces = [whole]
    return jax.tree.map(lambda v: v.reshape(*shape, *v.shape[1:]), pieces[0])


def _blank(part, value):
    """What a program that was interrupted did not see."""
    return np.full((len(part["status"]), *value.shape[1:]), np.nan)


def labelled(job, grid, widths, columns) -> "xarray.Dataset":
    """Put what every width left behind into labelled arrays."""
    import xarray

    at = list(job.looks)
    coords: dict[str, Any] = {"width": list(widths), **grid.coords, "step": at}
    variables = {}
    for probe in job.probes:
        coords |= probe.coords(job.system.data)
        for name, about in probe.variables.items():
            if not any(name in column["seen"] for column in columns):
                continue
            shape = next(value.shape[1:] for column in columns for value in column["seen"].get(name, {}).values())
            array = np.full((len(widths), len(at), grid.cells, *shape), np.nan)
            for i, column in enumerate(columns):
                for step, value in column["seen"].get(name, {}).items():
                    array[i, at.index(step)] = value
            array = np.moveaxis(array, 1, 2).reshape(len(widths), *grid.shape, len(at), *shape)
            attrs = {"long_name": about.long_name, "units": about.units}
            variables[name] = (("width", *grid.coords, "step", *about.dims), array, attrs)
    dims = ("width", *grid.coords)
    meanings = " ".join(s.name.lower() for s in Status)
    about = {
        "status": {
            "long_name": "how the run ended",
            "units": "1",
            "flag_values": [s.code for s in Status],
            "flag_meanings": meanings,
        },
        "first_bad_step": {"long_name": "first step seen to be infinite or NaN; -1 if none", "units": "step"},
        "steps_done": {"long_name": "steps taken", "units": "step"},
    }
    for name, attrs in about.items():
        array = np.stack([np.broadcast_to(column[name], grid.cells).reshape(grid.shape) for column in columns])
        variables[name] = (dims, array.astype(np.int32), attrs)
    attrs = {"long_name": "programs that the runs were divided into, to fit into memory", "units": "1"}
    variables["programs"] = (("width",), np.array([column["programs"] for column in columns], np.int32), attrs)
    dataset = xarray.Dataset(variables, coords)
    units = {
        "width": ("number of neurons N", "neuron"),
        "step_size": ("step size of one neuron", "1"),
        "seed": ("seed, folded into the key of the run", "1"),
        "network": ("number of a network among those on one data path", "1"),
        "step": ("steps taken", "step"),
        "split": ("set of examples", "1"),
        "level": ("level of the quantile", "1"),
        "order": ("p of the L_p norm", "1"),
        "neuron": ("index of the neuron", "1"),
    }
    for name, (long_name, unit) in units.items():
        if name in dataset.coords:
            dataset[name].attrs = {"long_name": long_name, "units": unit}
    return dataset
