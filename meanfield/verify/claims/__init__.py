"""All claims: a paper has one file, or several where it has many claims."""

from meanfield.verify.claims import (
    chaos,
    combined,
    compressibility,
    founding,
    homogenized,
    kesten,
    mechanisms,
    offline,
    radial,
    recursion,
    stable,
    toy,
)

_MODULES = (compressibility, recursion, kesten, chaos, toy, radial, stable, offline, homogenized, founding, combined, mechanisms)
CLAIMS = {claim.name: claim for module in _MODULES for claim in module.CLAIMS}
