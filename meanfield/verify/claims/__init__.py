"""All claims, one file per paper."""

from meanfield.verify.claims import compressibility, recursion

CLAIMS = {claim.name: claim for module in (compressibility, recursion) for claim in module.CLAIMS}
