"""Coverage of 95 % intervals for a mean over targets: this package, plain percentiles, BCa, Student's t.

    python benchmarks/bench_bootstrap.py -o benchmarks/results/bootstrap.json

Samples are drawn from distributions with a known mean that resemble those of metrics over targets. `table` makes the
table of `docs/evaluation.md` from the result. Nothing is timed, and `--rounds` has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import harness
import numpy as np
from scipy import stats

from xsns_stream.evaluation.resampling import interval

OURS = "this"
TARGETS = (8, 20, 50)
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]

#: Name → function that draws values, [samples, targets].
METRICS: dict[str, Draw] = {
    "like NDCG: Beta(4, 1)": lambda rng, size: rng.beta(4, 1, size),
    "like a correlation: tanh of a normal": lambda rng, size: np.tanh(rng.normal(0.9, 0.5, size)),
    "like regret: 30 % zero, else exponential": lambda rng, size: np.where(
        rng.random(size) < 0.3, 0.0, rng.exponential(4, size)
    ),
    "like MRR: 1 / (1, 2, 3, 4, 8 or 12)": lambda rng, size: 1 / rng.choice([1, 2, 3, 4, 8, 12], size),
    "like Top-1 of 25 %": lambda rng, size: (rng.random(size) < 0.25).astype(float),
    "like Top-1 of 10 %": lambda rng, size: (rng.random(size) < 0.10).astype(float),
}
_POINTS = np.linspace(-8, 8, 200_001)
TRUTH = {
    "like NDCG: Beta(4, 1)": 0.8,
    "like a correlation: tanh of a normal": float(
        np.trapezoid(np.tanh(0.9 + 0.5 * _POINTS) * stats.norm.pdf(_POINTS), _POINTS)
    ),
    "like regret: 30 % zero, else exponential": 2.8,
    "like MRR: 1 / (1, 2, 3, 4, 8 or 12)": float(np.mean(1 / np.array([1, 2, 3, 4, 8, 12]))),
    "like Top-1 of 25 %": 0.25,
    "like Top-1 of 10 %": 0.10,
}


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--resamples", type=int, default=4000)
    options = parser.parse_args()
    if options.smoke:
        options.samples, options.resamples = 40, 200
    results = [
        {"metric": metric, "targets": targets, **coverage(metric, targets, options.samples, options.resamples)}
        for metric in METRICS
        for targets in TARGETS
    ]
    print(table(results), end="")
    parameters = {"samples": options.samples, "resamples": options.resamples}
    harness.write(options.output, harness.result("bootstrap", parameters, results, options.smoke))


def coverage(metric: str, targets: int, samples: int, resamples: int) -> dict[str, float]:
    """Return the share of intervals that contain the true mean, for each kind of interval."""
    rng = np.random.default_rng(targets)
    values = METRICS[metric](rng, (samples, targets))
    # All samples use the same draws, because the drawn indices do not depend on the values.
    counts = rng.multinomial(targets, np.full(targets, 1 / targets), size=resamples)
    draws = np.sort(values @ counts.T / targets, axis=1)
    ends = {
        "percentile": np.quantile(draws, [0.025, 0.975], axis=1).T,
        "BCa": np.array([bca(row, sample) for row, sample in zip(draws, values, strict=True)]),
        OURS: np.array([interval(row, targets) for row in draws]),
        "Student's t": student(values),
    }
    # A mean of draws that equals the true mean may differ from it by rounding.
    low, high = TRUTH[metric] + 1e-12, TRUTH[metric] - 1e-12
    return {name: float(np.mean((pairs[:, 0] <= low) & (pairs[:, 1] >= high))) for name, pairs in ends.items()}


def bca(draws: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Return the bias-corrected and accelerated (BCa) interval of the mean of a sample (Efron 1987), float64 [2].

    `draws` are the sorted means of the resamples.
    """
    size, mean = len(draws), sample.mean()
    if np.ptp(sample) == 0:
        return np.array([mean, mean])
    below = (np.searchsorted(draws, mean, "left") + np.searchsorted(draws, mean, "right")) / (2 * size)
    bias = stats.norm.ppf(np.clip(below, 1 / size, 1 - 1 / size))
    apart = sample - mean
    acceleration = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    shifted = bias + stats.norm.ppf([0.025, 0.975])
    return np.quantile(draws, stats.norm.cdf(bias + shifted / (1 - acceleration * shifted)))


def student(values: np.ndarray) -> np.ndarray:
    """Return the interval mean ± t standard errors of each sample, float64 [samples, 2].

    `values` are float64 [samples, targets].
    """
    targets = values.shape[1]
    half = stats.t.ppf(0.975, targets - 1) * values.std(axis=1, ddof=1) / np.sqrt(targets)
    return np.stack([values.mean(axis=1) - half, values.mean(axis=1) + half], axis=1)


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the results as Markdown, in percent."""
    kinds = ("percentile", "BCa", OURS, "Student's t")
    heads = [f"**{kind}**" if kind == OURS else kind for kind in kinds]
    lines = [["metric's distribution", "targets", *heads], ["---"] * 6]
    before = ""
    for row in results:
        numbers = [f"**{100 * row[kind]:.1f}**" if kind == OURS else f"{100 * row[kind]:.1f}" for kind in kinds]
        lines.append([row["metric"] if row["metric"] != before else "", str(row["targets"]), *numbers])
        before = row["metric"]
    return "".join(f"| {' | '.join(line)} |\n".replace("|  |", "| |") for line in lines)


if __name__ == "__main__":
    main()
