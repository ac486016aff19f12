"""A theorem as an object: hypotheses, prediction, experiment, test, and a verdict with its evidence."""

import dataclasses
import enum
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from scipy import special

from meanfield import _check, _estimate
from meanfield._estimate import Estimate
from meanfield.simulate import DivergenceError, Results
from meanfield.verify.domain import Domain

RATE = 0.01  # probability with which a true claim may be refuted
POWER = 0.9  # probability with which a deviation that a claim declares to detect must be seen
DIVERGED = "diverged"  # the one array of an experiment whose runs diverged
Numbers = Mapping[str, Any]
Arrays = dict[str, np.ndarray]
Prediction = float | tuple[float, float]  # a number, or bounds (low, high), which may be infinite


class Verdict(enum.Enum):
    """What the evidence says of a claim; the value is a sentence."""

    CONSISTENT = "The prediction lies in the interval, and the interval is narrow enough to have seen the deviation declared."
    REFUTED = "The prediction is outside the interval."
    INCONCLUSIVE = "The prediction lies in the interval, which is too wide to tell."
    ASSUMPTION_VIOLATED = "A hypothesis of the claim failed its own check: the claim says nothing about this system."


@dataclass(frozen=True)
class Check:
    """What a hypothesis' own check found.

    Args:
        holds: whether the hypothesis can be kept.
        evidence: one sentence with the numbers.
    """

    holds: bool
    evidence: str


@dataclass(frozen=True)
class Hypothesis:
    """A condition of a theorem, with a check on the data at hand.

    Args:
        statement: in words.
        check: `check(data, parameters)` -> `Check`.
    """

    statement: str
    check: Callable[[Arrays, Numbers], Check]


@dataclass(frozen=True)
class Row:
    """One compared number of a claim, at the claim's parameters.

    Args:
        name: what is compared; the rows of a claim have different names.
        predicted: a number, or bounds (low, high), which may be infinite.
        measured: `measured(data)` -> `Estimate`, from the arrays of the experiment.
        detects: the deviation of the prediction that the full budget must detect.
        quick_detects: the same for the quick budget.
    """

    name: str
    predicted: Prediction
    measured: Callable[[Arrays], Estimate]
    detects: float
    quick_detects: float

    def __post_init__(self):
        _check.require(isinstance(self.name, str), "name", "be a text", self.name)
        _check.function(f"measured of {self.name!r}", self.measured, "data")


Rows = Callable[[Numbers], Iterable[Row]]


@dataclass(frozen=True)
class Comparison:
    """One predicted number beside its measurement.

    Args:
        name: what is compared.
        predicted: the prediction: a number, or bounds (low, high).
        measured: the measurement.
        interval: simultaneous with the others of its claim, at the claim's rate; wider than its noise by `bias` on both sides.
        detects: deviation of the prediction that the claim declares to detect.
        p_value: of the prediction, from this comparison alone.
        needed: factor by which the sample must grow to see a deviation of `detects` with probability 0.9; at most 1: it does;
            infinite: the bias hides it from every sample.
        detectable: the smallest deviation that is seen with probability 0.9 by this sample.
        bias: bound on the systematic error of the measurement.
        why: what the bias comes from.
    """

    name: str
    predicted: Prediction
    measured: float
    interval: tuple[float, float]
    detects: float
    p_value: float
    needed: float
    detectable: float
    bias: float = 0.0
    why: str = ""

    @property
    def reason(self) -> str:
        """Why this row cannot tell, in a sentence; empty if it can."""
        if self.needed <= 1:
            return ""
        told = f"{self.name}: a deviation of {self.detects:.3g} cannot be seen"
        if math.isfinite(self.needed):
            told += f": {self.detectable:.3g} can, and a sample larger by a factor of {self.needed:.3g} is needed"
            return f"{told}, with a systematic error of up to {self.bias:.2g}." if self.bias else f"{told}."
        bias = f"a systematic error of up to {self.bias:.3g}" if math.isfinite(self.bias) else "a systematic error without bound"
        return f"{told} by any sample: {bias} is allowed for" + (f", from {self.why}." if self.why else ".")


@dataclass(frozen=True)
class Evidence:
    """All that a verdict rests on.

    Args:
        verdict: what it says.
        comparisons: the numbers.
        checks: what the checks of the hypotheses found, by their statements.
        p_value: smallest p-value of the comparisons after Holm's correction for their number.
        rate: false-alarm rate it was held against.
        parameters: of the claim.
        budget: "quick" or "full"; "data": somebody's own.
        size: sample size of the experiment, the argument it was called with; None for data of one's own.
        seed: of the experiment; None for data of one's own.
        seconds: wall time of the experiment.
        data: file with the raw arrays, if there is one.
    """

    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    checks: Mapping[str, Check]
    p_value: float
    rate: float
    parameters: Numbers
    budget: str = "data"
    size: int | None = None
    seed: int | None = None
    seconds: float = 0.0
    data: str | None = None

    @property
    def size_needed(self) -> int | None:
        """Sample size at which every comparison could tell if noise falls like its root; None if none could, or the size is not known."""
        needed = max((row.needed for row in self.comparisons), default=1.0)
        return None if self.size is None or math.isinf(needed) else math.ceil(self.size * needed)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is INCONCLUSIVE, a sentence for every comparison that cannot tell; else none."""
        rows = self.comparisons if self.verdict is Verdict.INCONCLUSIVE else ()
        return tuple(row.reason for row in rows if row.reason)


@dataclass(frozen=True)
class Claim:
    """A theorem that can be put to the test.

    A claim compares one or several numbers, one `Row` each. `rows` is a function of the parameters, and all that depends on them is
    computed in it: a prediction, the deviations that are promised, one row for every width of a sweep. A row's measurement therefore
    takes the data alone.

    Args:
        name: short, unique, as one types it.
        statement: in words.
        formula: the same as a formula.
        source: paper and theorem.
        parameters: numbers that the rows and the experiment depend on.
        rows: `rows(parameters)` -> the compared numbers.
        experiment: `experiment(key, size, parameters)` -> arrays by name; all that is measured is read off them.
        sizes: sample sizes (quick, full) of the experiment.
        hypotheses: conditions with their checks.
        controls: variants that must not come back CONSISTENT at full budget: name -> changed fields of this claim, as `rows` for other
            predictions.
        rate: probability with which the claim, true, may be refuted.
        plot: `plot(ax, data, parameters)` draws the experiment on matplotlib axes, for the report.
        read: `read(results, parameters)` -> arrays like those of the experiment from the `Results` of somebody's own simulation; None: the
            claim cannot be pointed at one.
        domain: values that parameters may have, by their names; a parameter without one may have any.
        fits: `fits(parameters)` raises the sentence that refuses parameters which do not fit together.
    """

    name: str
    statement: str
    formula: str
    source: str
    parameters: Numbers
    rows: Rows
    experiment: Callable[[jax.Array, int, Numbers], Arrays]
    sizes: tuple[int, int]
    hypotheses: tuple[Hypothesis, ...] = ()
    controls: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    rate: float = RATE
    plot: Callable[[Any, Arrays, Numbers], None] | None = None
    read: Callable[[Results, Numbers], Arrays] | None = None
    domain: Mapping[str, Domain] = field(default_factory=dict)
    fits: Callable[[Numbers], None] | None = None

    def __post_init__(self):
        for name in ("name", "statement", "formula", "source"):
            _check.require(isinstance(getattr(self, name), str), name, "be a text", getattr(self, name))
        _check.require(isinstance(self.parameters, Mapping), "parameters", "map names to numbers", self.parameters)
        _check.function("rows", self.rows, "parameters")
        _check.function("experiment", self.experiment, "(key, size, parameters)")
        sizes = isinstance(self.sizes, tuple | list) and len(self.sizes) == 2
        _check.require(sizes, "sizes", "be two integers >= 1, of the quick and the full budget", self.sizes)
        for size in self.sizes:
            _check.integer("sizes", size, at_least=1)
        _check.number("rate", self.rate, "lie in (0, 1)", lambda v: (v > 0) & (v < 1))
        for one in self.hypotheses:
            _check.require(isinstance(one, Hypothesis), "hypotheses", "hold `Hypothesis` objects", one)
            _check.function(f"check of {one.statement!r}", one.check, "(data, parameters)")
        fields = [one.name for one in dataclasses.fields(self) if one.name not in ("name", "controls")]
        for name, changed in self.controls.items():
            _check.require(isinstance(changed, Mapping), "controls", "map names to changed fields of a claim", {name: changed})
            for one in changed:
                _check.choice(f"changed field of the control {name!r}", one, fields)
        statements = [one.statement for one in self.hypotheses]
        _check.require(len(set(statements)) == len(statements), "hypotheses", "have different statements", statements)

    def with_parameters(self, /, **parameters) -> "Claim":
        """The claim at other parameters.

        Raises:
            ValueError: an unknown name, a value outside of the claim's `domain`, values that do not fit together.
        """
        for name, value in parameters.items():
            _check.choice("parameters", name, tuple(self.parameters))
            if name in self.domain:
                _check.require(self.domain[name].holds(value), name, self.domain[name].must, value)
        moved = {**self.parameters, **parameters}
        if self.fits is not None:
            self.fits(moved)
        return dataclasses.replace(self, parameters=moved)

    def anywhere(self, rng: np.random.Generator) -> "Claim":
        """The claim at parameters drawn from its `domain` until they fit together: for counts of its false alarms."""
        while True:
            try:
                return self.with_parameters(**{name: one.draw(rng) for name, one in self.domain.items()})
            except _check.ArgumentError:
                continue

    def predict(self, parameters: Numbers) -> dict[str, Prediction]:
        """The predictions, by the names of the rows."""
        return {row.name: row.predicted for row in rows_of(self.rows, parameters)}

    def measure(self, data: Arrays, parameters: Numbers) -> dict[str, Estimate]:
        """The measurements, by the names of the rows."""
        return {row.name: row.measured(data) for row in rows_of(self.rows, parameters)}

    @property
    def detects(self) -> dict[str, float]:
        """The deviations that the full budget must detect, by the names of the rows."""
        return {row.name: row.detects for row in rows_of(self.rows, self.parameters)}

    @property
    def quick_detects(self) -> dict[str, float]:
        """The deviations that the quick budget must detect, by the names of the rows."""
        return {row.name: row.quick_detects for row in rows_of(self.rows, self.parameters)}

    def at_rate(self, rate: float) -> "Claim":
        """The claim with another false-alarm rate: its share of that of a family (`holm`)."""
        return dataclasses.replace(self, rate=_check.number("rate", rate, "lie in (0, 1)", lambda v: (v > 0) & (v < 1)))

    def control(self, name: str) -> "Claim":
        """A negative control: this claim with a tampered prediction, or on a system that breaks a hypothesis."""
        _check.choice("name", name, tuple(self.controls))
        return dataclasses.replace(self, name=f"{self.name}, {name}", controls={}, **self.controls[name])

    def collect(self, seed: int = 0, budget: str = "full") -> Arrays:
        """Run the experiment; arrays from which `judge` reads everything.

        If runs diverge that must not, the only array is "diverged", the sentence that says so: a diverged run has no stationary law.
        """
        _check.choice("budget", budget, ("quick", "full"))
        _check.seed("seed", seed)
        size = self.sizes[budget == "full"]
        try:
            found = self.experiment(jax.random.key(seed), size, self.parameters)
        except DivergenceError as error:
            found = {DIVERGED: np.array(str(error))}
        return _arrays("experiment", f"return arrays by name, as that of {self.name!r}", found)

    def collect_from(self, results: Results) -> Arrays:
        """The same arrays from somebody's own simulation.

        Raises:
            ValueError: a claim that does not read `Results`, or something else than `Results`.
        """
        _check.require(isinstance(results, Results), "results", "be `Results` of a simulation", results)
        read = self.read
        _check.require(
            read is not None, "results", f"be left out: {self.name!r} has only its own experiment", _check.words("given")
        )
        return {} if read is None else _arrays("read", "return arrays by name", read(results, self.parameters))

    def judge_controls(self, data: Arrays, seed: int = 0, budget: str = "full") -> dict[str, Evidence]:
        """Evidence for all negative controls. Those that tamper with the prediction alone are judged on `data`, the claim's own."""
        found = {}
        for name in self.controls:
            one = self.control(name)
            own = one.experiment is self.experiment and one.parameters == self.parameters
            found[name] = one.judge(data if own else one.collect(seed, budget), budget)
        return found

    def judge(self, data: Arrays, budget: str = "full") -> Evidence:
        """The verdict on data: of `collect`, from a file, or somebody's own with the same names ("data": judged as "full").

        Raises:
            ValueError: an unknown budget; data that are no arrays by name, or lack one; predictions, measurements or deviations that
                are no numbers or do not belong together.
        """
        _check.choice("budget", budget, ("quick", "full", "data"))
        data = _Data(_arrays("data", "map names to arrays", data))
        if DIVERGED in data:
            checks = {"The runs do not diverge.": Check(False, str(data[DIVERGED]))}
            return Evidence(Verdict.ASSUMPTION_VIOLATED, (), checks, 1.0, self.rate, dict(self.parameters), budget)
        found = {h.statement: h.check(data, self.parameters) for h in self.hypotheses}
        for statement, check in found.items():
            _check.require(isinstance(check, Check), f"check of {statement!r}", "return a `Check`", check)
        checks = {name: Check(bool(check.holds), check.evidence) for name, check in found.items()}
        holds = all(check.holds for check in checks.values())
        try:
            rows = self._compared(data, budget)
        except _check.ArgumentError:  # nothing can be measured: no news where a hypothesis failed, a mistake where all hold
            if holds:
                raise
            rows = ()
        # Holm's first step decides whether any comparison is refuted.
        p_value = min([1.0, *(len(rows) * row.p_value for row in rows)])
        if not holds:
            verdict = Verdict.ASSUMPTION_VIOLATED
        elif p_value <= self.rate:
            verdict = Verdict.REFUTED
        elif all(row.needed <= 1 for row in rows):
            verdict = Verdict.CONSISTENT
        else:
            verdict = Verdict.INCONCLUSIVE
        return Evidence(verdict, rows, checks, p_value, self.rate, dict(self.parameters), budget)

    def _compared(self, data: Arrays, budget: str) -> tuple[Comparison, ...]:
        rows = rows_of(self.rows, self.parameters)
        rate, quick = self.rate / len(rows), budget == "quick"
        return tuple(
            compare(row.name, row.predicted, row.measured(data), row.quick_detects if quick else row.detects, rate)
            for row in rows
        )

    def test(self, seed: int = 0, budget: str = "full") -> Evidence:
        """Collect and judge."""
        start = time.perf_counter()
        data = self.collect(seed, budget)
        size, seconds = self.sizes[budget == "full"], time.perf_counter() - start
        return dataclasses.replace(self.judge(data, budget), seed=seed, size=size, seconds=seconds)


def rows_of(rows: Rows, parameters: Numbers) -> tuple[Row, ...]:
    """The rows at these parameters.

    Raises:
        ValueError: no row, something else than rows, two of one name.
    """
    found = rows(parameters)
    made = tuple(found) if isinstance(found, Iterable) else (found,)
    given = bool(made) and all(isinstance(one, Row) for one in made)
    _check.require(given, "rows", "return one or several `Row` objects", _check.words(f"a function that returns {found!r}"))
    names = [row.name for row in made]
    _check.require(len(set(names)) == len(names), "rows", "return rows of different names", names)
    return made


class _Data(dict):
    """Arrays by name; one that is missing is a sentence."""

    def __missing__(self, name):
        _check.require(False, "data", f"hold the array {name!r}, which the claim reads", sorted(self))


def _arrays(argument: str, must: str, found: Any) -> Arrays:
    _check.require(isinstance(found, Mapping) and bool(found), argument, must, found)
    for name, array in found.items():
        _check.unmasked(f"{argument}[{name!r}]", array)
    return {name: np.asarray(array) for name, array in found.items()}


def bounds(predicted: Prediction) -> tuple[float, float]:
    """The prediction as bounds (low, high), equal ones for a number.

    Examples:
        >>> bounds(1.0), bounds((2.0, math.inf))
        ((1.0, 1.0), (2.0, inf))
    """
    ends = np.atleast_1d(_check.as_numpy(predicted))
    real = ends.dtype.kind in "iuf" and ends.shape in ((1,), (2,))
    _check.require(real, "predicted", "be a number or bounds (low, high)", predicted)
    return float(ends[0]), float(ends[-1])


def compare(name: str, predicted: Prediction, measured: Estimate, detects: float, rate: float) -> Comparison:
    """Hold one prediction against one measurement, two-sided, at the given false-alarm rate.

    The interval is `value +- (t s + bias)`, so that it misses a true prediction at the rate or less, wherever in its bounds the bias
    is. A prediction that is off by `detects` is outside with probability `POWER` = 0.9 or more if `(t + 1.28) s + 2 bias <= detects`:
    then the comparison is fit to tell (`needed <= 1`). A prediction that is an interval of its own is refuted if the two do not meet;
    its p-value is that of its end nearest to the measurement, and 1 inside.

    Raises:
        ValueError: a measurement or a prediction that is NaN, bounds in the wrong order or without an end, a standard error, dof,
            bias, deviation or rate out of its range.

    Examples:
        >>> [round(v, 3) for v in compare("mean", 0.0, Estimate(0.1, 0.1), detects=0.5, rate=0.05).interval]
        [-0.096, 0.296]
        >>> compare("mean", (0.0, math.inf), Estimate(0.1, 0.1), detects=0.5, rate=0.05).p_value
        1.0
        >>> [round(v, 3) for v in compare("mean", 0.0, Estimate(0.1, 0.1, bias=0.05), detects=0.5, rate=0.05).interval]
        [-0.146, 0.346]
    """
    _check.require(isinstance(measured, Estimate), f"measured of {name!r}", "be an `Estimate`", measured)
    for part in ("value", "standard_error", "dof", "bias"):
        number = _check.as_numpy(getattr(measured, part))
        _check.require(
            number.dtype.kind in "iuf" and number.ndim == 0, f"{part} of {name!r}", "be a number", getattr(measured, part)
        )
    (low, high), error, dof = bounds(predicted), float(measured.standard_error), float(measured.dof)
    bias = float(measured.bias)
    must = "be a number or bounds (low, high), of which one is finite"
    _check.require(low <= high and (math.isfinite(low) or math.isfinite(high)), f"predicted of {name!r}", must, predicted)
    _check.require(math.isfinite(measured.value), f"measured of {name!r}", "be a finite number", measured.value)
    _check.number(f"standard_error of {name!r}", error, "be a number > 0", lambda v: v > 0)
    _check.require(dof > 0, f"dof of {name!r}", "be a number > 0, or infinity", dof)
    _check.require(bias >= 0, f"bias of {name!r}", "be a number >= 0, or infinity", bias)
    _check.number(f"detects of {name!r}", detects, "be a number > 0", lambda v: v > 0)
    _check.number("rate", rate, "lie in (0, 1)", lambda v: (v > 0) & (v < 1))
    wide = -_estimate.quantile(rate / 2, dof)
    z = max(low - measured.value - bias, measured.value - high - bias, 0.0) / error
    p_value = 2 * (special.ndtr(-z) if math.isinf(dof) else special.stdtr(dof, -z))
    interval = (float(measured.value - wide * error - bias), float(measured.value + wide * error + bias))
    noise, room = float((wide - special.ndtri(1 - POWER)) * error), float(detects) - 2 * bias
    needed = (noise / room) ** 2 if room > 0 else math.inf
    predicted = float(low) if low == high else (low, high)
    seen = (needed, noise + 2 * bias, bias, measured.why)
    return Comparison(name, predicted, float(measured.value), interval, detects, float(p_value), *seen)


def mean(values) -> Estimate:
    """Estimate of an expectation from independent values, two or more: mean, standard error, Student's law.

    Raises:
        ValueError: fewer than two values, NaN, infinite or masked ones.
    """
    values = np.asarray(_check.finite("values", values, ndim=tuple(range(9))), np.float64)
    _check.require(values.size >= 2, "values", "hold at least 2 values", _check.words(f"an array of {values.size}"))
    found = _estimate.mean(values.ravel("K"))
    return Estimate(float(found.value), float(found.standard_error), dof=found.dof)


def holm(p_values, rate: float = RATE) -> np.ndarray:
    """Levels at which the claims of a family are to be judged, so that any true one is refuted with probability `rate` at most.

    The smallest of m p-values is held against rate/m, the next against rate/(m-1), and so on to the first that is not refuted; all
    others are judged at its level.

    Args:
        p_values: of the claims, each corrected for its own comparisons, (m,). They may depend on each other in any way.
        rate: of the family.

    Returns:
        Levels, (m,).

    Source: Holm (1979).

    Examples:
        >>> holm([0.2, 0.001, 0.009], 0.03).tolist()
        [0.03, 0.01, 0.015]
        >>> holm([0.2, 0.001, 0.02], 0.03).tolist()
        [0.015, 0.01, 0.015]
    """
    p_values = np.asarray(_check.finite("p_values", p_values, ndim=(1,)), np.float64)
    _check.numbers("p_values", p_values, "lie in [0, 1]", lambda v: (v >= 0) & (v <= 1))
    rate = _check.number("rate", rate, "lie in (0, 1)", lambda v: (v > 0) & (v < 1))
    levels, level = np.empty(len(p_values)), 0.0
    refuting = True
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        level = rate / (len(p_values) - rank) if refuting else level
        levels[i] = level
        refuting = refuting and p_values[i] <= level
    return levels
