"""Writes intervals.json: intervals of proportions, quantiles and exact tests for lungfish-metrics to be compared with.

Run with: python golden/metrics/intervals.py   (needs numpy, scipy, statsmodels)
Exact intervals are beta quantiles: `binomtest(..).proportion_ci` looks for the same to within 2e-12 only, which is too
little for 1 of 10^6. Tolerance of the comparison: 1e-10 relative; Wilson's interval and normal quantiles 1e-14.
"""

import json
import pathlib

import scipy
import statsmodels
from scipy.stats import beta, binomtest, norm, t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

SHARES = [(0, 1), (1, 1), (0, 5), (3, 5), (5, 5), (18, 20), (1, 30), (29, 30), (15, 30), (0, 59), (59, 59), (57, 60)]
SHARES += [(101, 624), (390, 400), (5216, 5856), (1, 1_000_000), (500_000, 1_000_000), (999_999, 1_000_000)]
SHARES += [(950_123, 1_000_000), (0, 1_000_000), (1_000_000, 1_000_000)]


def proportion(successes, films, level):
    alpha = 1 - level
    low = lambda p: float(beta.ppf(p, successes, films - successes + 1)) if successes > 0 else 0.0
    high = lambda p: float(beta.isf(p, successes + 1, films - successes)) if successes < films else 1.0
    sought = binomtest(successes, films).proportion_ci(level, method="exact")
    assert abs(sought.low - low(alpha / 2)) < 1e-11 and abs(sought.high - high(alpha / 2)) < 1e-11
    return {
        "successes": successes,
        "films": films,
        "level": level,
        "wilson": [float(v) for v in proportion_confint(successes, films, alpha, method="wilson")],
        "exact": [low(alpha / 2), high(alpha / 2)],
        "lower": low(alpha),
        "upper": high(alpha),
    }


def discordant(first, second):
    test = mcnemar([[5, first], [second, 7]], exact=True)
    # Two-sided mid-p as in Fagerland et al. 2013: the exact value less the probability of the table itself.
    fewer, films = min(first, second), first + second
    mid = 1.0
    if first != second:
        mid = float(2 * scipy.stats.binom.cdf(fewer, films, 0.5) - scipy.stats.binom.pmf(fewer, films, 0.5))
    return {"first_only": first, "second_only": second, "exact": float(test.pvalue), "mid_p": mid}


PAIRS = [(0, 0), (1, 0), (0, 6), (3, 3), (6, 1), (12, 5), (40, 22), (300, 361), (0, 900), (50_000, 50_700)]
golden = {
    "scipy": scipy.__version__,
    "statsmodels": statsmodels.__version__,
    "proportions": [proportion(*share, level) for share in SHARES for level in (0.9, 0.95, 0.99)],
    "normal": [[p, float(norm.ppf(p))] for p in (1e-300, 1e-20, 1e-6, 0.01, 0.025, 0.3, 0.5, 0.8, 0.975, 0.9999999)],
    # Two-sided: alpha, degrees of freedom, quantile; and value, degrees of freedom, p.
    "t": [
        [alpha, df, float(t.isf(alpha / 2, df))]
        for alpha in (0.5, 0.1, 0.05, 0.001)
        for df in (1, 1.5, 2, 3.7, 9, 30.25, 400, 123_456.5)
    ],
    "t_p": [[x, df, float(2 * t.sf(x, df))] for x in (0.1, 1, 2.5, 8, 30) for df in (1, 2.5, 9, 30.25, 400, 123_456.5)],
    "normal_p": [[x, float(2 * norm.sf(x))] for x in (0, 0.1, 1, 2.5, 8, 30)],
    "mcnemar": [discordant(*pair) for pair in PAIRS],
}
path = pathlib.Path(__file__).with_name("intervals.json")
path.write_text(json.dumps(golden) + "\n")
print(path, path.stat().st_size, "bytes")
