import sys
from benchmarks.steps import *

if __name__ == "__main__":
    for arg in sys.argv[1:]:
        N, b = map(int, arg.split(","))
        r = measure(Cell(N, b), rounds=3, at_least=0.1)
        print(
            f"N={N:6d} b={b:3d} {r['steps_per_s']:9.1f}/s {r['gflops']:5.0f} GF/s of {r['peak_gflops']:.0f}, {r['gb_per_s']:6.1f} GB/s of {r['copy_gb_per_s']:.0f}  roof {r['fraction_of_roof']:.2f} ({r['bound']})  in place x{r['in_place']['ratio']:.2f} ({r['in_place']['which']}) autograd x{r['autograd']['ratio']:.2f}",
            flush=True,
        )
