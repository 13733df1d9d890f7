"""Scenarios, the world: who the customers are, whether they default, what the model says of them.

In    a numpy Generator and a number of customers
Out   latent factors (n, 20), categories as codes (n,), recorded features (n, 20), log-odds, scores
Not   faults (scenarios_faults.py); time, lines of JSON (scenarios.py, scenarios_lines.py)

The world is the same for every seed: its coefficients and the model come from fixed seeds. The
order of operations is part of the contract, because the bytes of a scenario must never change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = dict[str, NDArray[np.int64]]  # category name -> (n,) index of its value

WORLD_SEED = 20_240_229
MODEL_SEED = 77
TRAINING_ROWS = 40_000
FIT_ROUNDS = 12  # Newton steps; the weights are at rest after eight
RIDGE = 2.0
CLIP = 8.0  # standardised inputs beyond this are cut, so a unit change cannot overflow the score

NUMERIC = (
    "income", "age", "loan_amount", "loan_term", "debt_to_income", "credit_score", "utilization",
    "num_accounts", "num_delinquent", "months_since_delinquent", "employment_years", "savings",
    "inquiries_6m", "revolving_balance", "installment", "property_value", "previous_loans",
    "avg_payment", "days_past_due_max", "device_risk",
)  # fmt: skip
COLUMN = {name: index for index, name in enumerate(NUMERIC)}
MONEY = frozenset({
    "income", "loan_amount", "savings", "revolving_balance", "installment", "property_value",
    "avg_payment",
})  # fmt: skip
NATURAL_NAN = {
    "months_since_delinquent": 0.55, "employment_years": 0.05, "property_value": 0.3,
    "savings": 0.02,
}  # fmt: skip
CATEGORIES: dict[str, tuple[str, ...]] = {
    "purpose": ("car", "home", "debt_consolidation", "education", "medical", "business", "other"),
    "region": ("R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8"),
    "channel": ("web", "mobile", "branch", "partner"),
}
SHARES: dict[str, tuple[float, ...]] = {
    "purpose": (0.24, 0.18, 0.26, 0.1, 0.07, 0.09, 0.06),
    "region": (0.28, 0.2, 0.14, 0.12, 0.1, 0.08, 0.05, 0.03),
    "channel": (0.38, 0.34, 0.18, 0.1),
}
BRANCH = CATEGORIES["channel"].index("branch")
DRIVERS = {
    "income": -0.5, "age": -0.15, "loan_amount": 0.35, "debt_to_income": 0.45, "credit_score": -0.8,
    "utilization": 0.5, "num_delinquent": 0.45, "employment_years": -0.3, "savings": -0.3,
    "inquiries_6m": 0.3, "days_past_due_max": 0.4, "device_risk": 0.35,
}  # fmt: skip


class World(NamedTuple):
    """How factors make customers and customers make defaults."""

    loadings: Floats  # (20, 4)
    noise: Floats  # (20,) spread that is the feature's own
    scale: Floats  # (20,) makes every latent feature unit variance
    weights: Floats  # (20,) log-odds of default per latent unit
    effects: dict[str, Floats]  # category name -> log-odds per value
    intercept: float


class Model(NamedTuple):
    """A logistic model and the clean sample's summaries it imputes and scales with."""

    median: Floats  # (20,)
    scaled_mean: Floats  # (20,) after log1p of money
    scaled_std: Floats  # (20,)
    mean: Floats  # (20,)
    std: Floats  # (20,)
    weights: Floats  # (n_inputs,)


def logistic(v: Floats) -> Floats:
    """Log-odds to probability."""
    return 1 / (1 + np.exp(-v))


@cache
def make_world() -> World:
    """The fixed world."""
    rng = np.random.default_rng(WORLD_SEED)
    loadings = rng.normal(0, 0.45, (len(NUMERIC), 4))
    for name, factor, value in (
        ("income", 0, 0.85), ("loan_amount", 0, 0.85),
        ("revolving_balance", 1, 0.8), ("utilization", 1, 0.8),
    ):  # fmt: skip
        loadings[COLUMN[name], factor] = value
    noise = np.sqrt(np.maximum(0.15, 1 - (loadings**2).sum(1)))
    return World(
        loadings=loadings,
        noise=noise,
        scale=np.sqrt((loadings**2).sum(1) + noise**2),
        weights=np.array([DRIVERS.get(name, 0.0) for name in NUMERIC]),
        effects={
            "purpose": np.array([-0.1, -0.3, 0.2, 0.0, 0.25, 0.35, 0.1]),
            "region": np.zeros(8),
            "channel": np.array([0, 0.1, -0.2, 0.35]),
        },
        intercept=-1.9,
    )


def draw_latent(rng: np.random.Generator, n: int, world: World) -> Floats:
    """Latent features (n, 20): four common factors and own noise, unit variance each."""
    common = rng.normal(size=(n, 4)) @ world.loadings.T
    own = rng.normal(size=(n, len(NUMERIC))) * world.noise
    return np.asarray((common + own) / world.scale)


def draw_categories(rng: np.random.Generator, n: int, hour: Floats | None = None) -> Codes:
    """Codes of every category; with `hour` (n,) branch is used mostly in office hours."""
    codes: Codes = {}
    for name, shares in SHARES.items():
        if name == "channel" and hour is not None:
            weights = np.tile(shares, (n, 1))
            weights[:, BRANCH] *= np.where((hour >= 8) & (hour < 18), 1.5, 0.35)
            weights /= weights.sum(1, keepdims=True)
            codes[name] = (rng.random(n)[:, None] > np.cumsum(weights, 1)[:, :-1]).sum(1)
        else:
            codes[name] = rng.choice(len(shares), n, p=shares)
    return codes


Transform = Callable[[Floats], Floats]


def _money(mean: float, spread: float) -> Transform:
    return lambda g: np.exp(mean + spread * g)


def _ratio(mean: float, spread: float) -> Transform:
    return lambda g: logistic(mean + spread * g)


def _count(mean: float, spread: float, top: float, less: float = 0.0) -> Transform:
    return lambda g: np.clip(np.floor(np.exp(mean + spread * g) - less), 0, top)


TRANSFORMS: dict[str, Transform] = {
    "income": _money(10.6, 0.5),
    "age": lambda g: np.clip(41 + 12 * g, 18, 90).round(),
    "loan_amount": _money(9.3, 0.7),
    "loan_term": lambda g: np.clip(np.round((36 + 16 * g) / 6) * 6, 6, 84),
    "debt_to_income": _ratio(-0.9, 0.7),
    "credit_score": lambda g: np.clip(680 + 70 * g, 300, 850).round(),
    "utilization": _ratio(-0.6, 1.2),
    "num_accounts": _count(1.9, 0.5, 60),
    "num_delinquent": _count(-0.9, 1.1, 20),
    "months_since_delinquent": lambda g: np.clip(np.exp(3.1 + 0.8 * g), 0, 240).round(),
    "employment_years": lambda g: np.clip(np.exp(1.6 + 0.8 * g), 0, 45).round(1),
    "savings": _money(8.4, 1.3),
    "inquiries_6m": _count(-0.2, 0.9, 25),
    "revolving_balance": _money(8.7, 1.1),
    "installment": _money(5.7, 0.6),
    "property_value": _money(12.2, 0.45),
    "previous_loans": _count(0.6, 0.7, 30),
    "avg_payment": _money(5.5, 0.6),
    "days_past_due_max": _count(1.3, 1.2, 365, less=1),
    "device_risk": _ratio(-1.5, 1.0),
}  # every one rises with its latent feature


def to_recorded(latent: Floats) -> Floats:
    """Latent features to what a form or a bureau would record, column by column."""
    recorded = np.empty_like(latent)
    for name, column in COLUMN.items():
        recorded[:, column] = TRANSFORMS[name](latent[:, column])
    return recorded


def log_odds(latent: Floats, codes: Codes, world: World, weights: Floats | None = None) -> Floats:
    """True log-odds of default (n,); `weights` replaces the world's, for concept drift."""
    used = world.weights if weights is None else weights
    effects = sum(world.effects[name][code] for name, code in codes.items())
    joint = 0.25 * latent[:, COLUMN["credit_score"]] * latent[:, COLUMN["utilization"]]
    return np.asarray(world.intercept + latent @ used + effects + joint)


def _inputs(recorded: Floats, codes: Codes, model: Model) -> Floats:
    """Model inputs: imputed, log1p of money, standardised, one-hot (unknown value: zeros)."""
    scaled = recorded.copy()
    for name, column in COLUMN.items():
        scaled[~np.isfinite(scaled[:, column]), column] = model.median[column]
        if name in MONEY:
            scaled[:, column] = np.log1p(np.maximum(scaled[:, column], 0))
    scaled = np.clip((scaled - model.scaled_mean) / model.scaled_std, -CLIP, CLIP)
    blocks = [np.ones(len(scaled)), scaled]
    for name, values in CATEGORIES.items():
        known = np.where(codes[name] < len(values), codes[name], len(values))
        blocks.append(np.eye(len(values) + 1)[known][:, 1 : len(values)])
    return np.column_stack(blocks)


def score(recorded: Floats, codes: Codes, model: Model) -> Floats:
    """Probability of default (n,) the model gives for recorded features, NaN imputed."""
    return logistic(_inputs(recorded, codes, model) @ model.weights)


@cache
def fit_model() -> Model:
    """The model every scenario serves: ridge logistic regression on a clean sample."""
    world, rng = make_world(), np.random.default_rng(MODEL_SEED)
    latent = draw_latent(rng, TRAINING_ROWS, world)
    codes, recorded = draw_categories(rng, TRAINING_ROWS), to_recorded(latent)
    defaulted = (rng.random(TRAINING_ROWS) < logistic(log_odds(latent, codes, world))).astype(float)
    for name, share in NATURAL_NAN.items():
        recorded[rng.random(TRAINING_ROWS) < share, COLUMN[name]] = np.nan
    model = _summarise(recorded)
    inputs = _inputs(recorded, codes, model)
    weights = np.zeros(inputs.shape[1])
    for _ in range(FIT_ROUNDS):
        p = logistic(inputs @ weights)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + RIDGE * np.eye(len(weights))
        weights += np.linalg.solve(curvature, inputs.T @ (defaulted - p) - RIDGE * weights)
    return model._replace(weights=weights)


def _summarise(recorded: Floats) -> Model:
    """Summaries of a clean sample, NaN left out; the weights are still to be fitted."""
    scaled = recorded.copy()
    for name in MONEY:
        scaled[:, COLUMN[name]] = np.log1p(scaled[:, COLUMN[name]])
    return Model(
        median=np.nanmedian(recorded, 0),
        scaled_mean=np.nanmean(scaled, 0),
        scaled_std=np.nanstd(scaled, 0),
        mean=np.nanmean(recorded, 0),
        std=np.nanstd(recorded, 0),
        weights=np.zeros(0),
    )
