"""The same SGD in torch: as one writes it with autograd, and in place with closed-form gradients, as carefully as we can.

Both use mean-field scaling, f = (1/N) sum_i a_i relu(<w_i, x>), and steps of one neuron, so all contestants compute the same numbers.
"""

import importlib
import importlib.util
import os

import jax
import numpy as np

# torch is an extra: a type checker must not look for it, and without it the columns of the peers are empty.
torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def device() -> str | None:
    """Where torch runs: on the GPU if jax does; None if there is no torch for jax's device."""
    if torch is None:
        return None
    if jax.default_backend() == "cpu":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else None


def thread_counts() -> tuple[int | None, ...]:
    """Numbers of threads to try: one and all. A GPU has no such choice."""
    return tuple(sorted({1, cores()})) if jax.default_backend() == "cpu" else (None,)


def threads_name(count: int | None) -> str:
    """1 thread, 2 threads."""
    return "" if count is None else f"{count} thread{'s' * (count != 1)}"


def use_threads(count: int | None) -> None:
    """Give torch so many threads from now on."""
    if torch is not None and count is not None:
        torch.set_num_threads(count)


def wait() -> None:
    """Return when the GPU has done what it was told."""
    if torch is not None and device() == "cuda":
        torch.cuda.synchronize()


class _Peer:
    """What both have in common: data in memory, random batches, `run`."""

    variants: tuple[str, ...] = ("",)
    w: "torch.Tensor"  # type: ignore[name-defined]
    a: "torch.Tensor"  # type: ignore[name-defined]

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int, step_size: float):
        assert torch is not None
        self.x, self.y = torch.tensor(x, device=device()), torch.tensor(y, dtype=torch.int64, device=device())
        self.batch_size, self.step_size = batch_size, step_size

    def load(self, w: np.ndarray, a: np.ndarray) -> None:
        """Start from these weights."""
        assert torch is not None
        with torch.no_grad():
            self.w.copy_(torch.from_numpy(w))
            self.a.copy_(torch.from_numpy(a))

    def particles(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the weights, (N, dim) and (N, outputs)."""
        return tuple(v.detach().cpu().numpy().copy() for v in (self.w, self.a))  # type: ignore[return-value]

    def step(self, index, variant: str) -> None:
        """One step with the examples of these indices."""
        raise NotImplementedError

    def run(self, steps: int, variant: str, threads: int | None) -> None:
        """Take so many steps with random examples."""
        raise NotImplementedError


class Autograd(_Peer):
    """nn.Sequential, CrossEntropyLoss and optim.SGD; the batch is indexed from tensors in memory."""

    def __init__(self, x, y, batch_size, step_size, width, outputs):
        assert torch is not None
        super().__init__(x, y, batch_size, step_size)
        layers = (torch.nn.Linear(x.shape[1], width, bias=False), torch.nn.ReLU(), torch.nn.Linear(width, outputs, bias=False))
        self.model = torch.nn.Sequential(*layers).to(device())
        self.w, self.a = self.model[0].weight, self.model[2].weight.T
        self.loss = torch.nn.CrossEntropyLoss()
        self.width = width
        # The gradient of the 1/N-scaled risk with respect to one neuron is of order 1/N.
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=step_size * width)

    def step(self, index, variant: str = "") -> None:
        """One step with the examples of these indices."""
        self.optimizer.zero_grad()
        self.loss(self.model(self.x[index]) / self.width, self.y[index]).backward()
        self.optimizer.step()

    def run(self, steps: int, variant: str = "", threads: int | None = None) -> None:
        """Take so many steps with random examples."""
        assert torch is not None
        use_threads(threads)
        for _ in range(steps):
            self.step(torch.randint(len(self.x), (self.batch_size,), device=self.x.device))
        wait()


class InPlace(_Peer):
    """Closed-form gradients, no allocation: two passes over the weights a step, and nothing else of their size.

    Variants: "neurons first" and "examples first" are the two layouts of the pre-activations; with one example a step also "addr" and
    "addcmul", two ways to add a matrix of rank one. Which is fastest depends on the shape and on the library under torch.
    """

    def __init__(self, x, y, batch_size, step_size, width, outputs):
        assert torch is not None
        super().__init__(x, y, batch_size, step_size)
        self.width = width
        self.targets = torch.nn.functional.one_hot(self.y, outputs).to(self.x.dtype)
        new = self.x.new_empty
        self.w, self.a = new(width, x.shape[1]), new(width, outputs)
        self.xb, self.tb, self.f = new(batch_size, x.shape[1]), new(batch_size, outputs), new(batch_size, outputs)
        self.variants = ("neurons first", "examples first", *(("addr", "addcmul") if batch_size == 1 else ()))
        # z: pre-activations, then activations; pull: residuals pulled back to the neurons, then the factors of the update.
        self.z, self.pull = new(width * batch_size), new(width * batch_size)
        self.mask = torch.ops.aten.threshold_backward.grad_input

    def step(self, index, variant: str) -> None:
        """One step with the examples of these indices."""
        assert torch is not None
        with torch.no_grad():
            torch.index_select(self.x, 0, index, out=self.xb)
            torch.index_select(self.targets, 0, index, out=self.tb)
            {
                "neurons first": self._neurons_first,
                "examples first": self._examples_first,
                "addr": self._one_example,
                "addcmul": self._one_example,
            }[variant](variant)

    def run(self, steps: int, variant: str, threads: int | None) -> None:
        """Take so many steps with random examples, all drawn at once."""
        assert torch is not None
        use_threads(threads)
        for index in torch.randint(len(self.x), (steps, self.batch_size), device=self.x.device):
            self.step(index, variant)
        wait()

    def _neurons_first(self, variant: str) -> None:
        assert torch is not None
        z, pull, rate = self.z.view(-1, self.batch_size), self.pull.view(-1, self.batch_size), -self.step_size / self.batch_size
        torch.mm(self.w, self.xb.t(), out=z)
        z.relu_()
        torch.addmm(self.f, z.t(), self.a, beta=0, alpha=1 / self.width, out=self.f)
        residual = torch.softmax(self.f, 1).sub_(self.tb)
        torch.mm(self.a, residual.t(), out=pull)
        self.mask(pull, z, 0, grad_input=pull)
        self.w.addmm_(pull, self.xb, alpha=rate)
        self.a.addmm_(z, residual, alpha=rate)

    def _examples_first(self, variant: str) -> None:
        assert torch is not None
        z, pull, rate = self.z.view(self.batch_size, -1), self.pull.view(self.batch_size, -1), -self.step_size / self.batch_size
        torch.mm(self.xb, self.w.t(), out=z)
        z.relu_()
        torch.addmm(self.f, z, self.a, beta=0, alpha=1 / self.width, out=self.f)
        residual = torch.softmax(self.f, 1).sub_(self.tb)
        torch.mm(residual, self.a.t(), out=pull)
        self.mask(pull, z, 0, grad_input=pull)
        self.w.addmm_(pull.t(), self.xb, alpha=rate)
        self.a.addmm_(z.t(), residual, alpha=rate)

    def _one_example(self, variant: str) -> None:
        assert torch is not None
        x, f = self.xb[0], self.f[0]
        torch.mv(self.w, x, out=self.z)
        self.z.relu_()
        torch.mv(self.a.t(), self.z, out=f)
        residual = torch.softmax(f.mul_(1 / self.width), 0).sub_(self.tb[0])
        torch.mv(self.a, residual, out=self.pull)
        self.mask(self.pull, self.z, 0, grad_input=self.pull)
        for weights, left, right in ((self.w, self.pull, x), (self.a, self.z, residual)):
            if variant == "addr":
                weights.addr_(left, right, alpha=-self.step_size)
            else:
                weights.addcmul_(left[:, None], right, value=-self.step_size)
