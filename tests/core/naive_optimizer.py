"""The optimizer as its formulas state it: one parameter at a time, in NumPy and float64.

Nothing of it is taken from core. g gradient, p parameter, t number of the step, from 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

POLAR_EXPRESS = (
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
)
NEWTON_SCHULZ = ((3.4445, -4.7750, 2.0315),) * 5


@dataclass(slots=True)
class NaiveAdamW:
    """AdamW on one parameter."""

    lr: float
    betas: tuple[float, float]
    weight_decay: float
    eps: float = 1e-10
    moments: list[Array] = field(default_factory=list)

    def step(self, p: Array, g: Array, t: int, lrm: float) -> Array:
        """Return the parameter after one update."""
        m, v = self.moments or [np.zeros_like(p), np.zeros_like(p)]
        (b1, b2), lr = self.betas, self.lr * lrm
        p = p * (1 - lr * self.weight_decay)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        self.moments = [m, v]
        return p - lr / (1 - b1**t) * m / (np.sqrt(v / (1 - b2**t)) + self.eps)


@dataclass(slots=True)
class NaiveMuon:
    """Muon on one matrix of M rows and N columns; `is_classic` takes the variant of 2025."""

    lr: float
    is_classic: bool
    buf: Array | None = None
    S: Array | None = None

    def step(self, p: Array, g: Array, *, lrm: float, mu: float, wd: float) -> Array:
        """Return the matrix after one update."""
        M, N = p.shape
        old = np.zeros_like(p) if self.buf is None else self.buf
        self.buf = mu * old + (1 - mu) * g
        u = (1 - mu) * g + mu * self.buf
        lr = self.lr * lrm * math.sqrt(max(1, M / N))
        if self.is_classic:
            return p - lr * polynomials(u / (np.linalg.norm(u) + 1e-7), NEWTON_SCHULZ)
        X = self._current(u)
        return p - lr * X - lr * wd * p * (X * p >= 0)

    def _current(self, X: Array) -> Array:
        M, N = X.shape
        rows = np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-6)
        X = X * (np.linalg.norm(X) / math.sqrt(M) / rows)
        X = polynomials(X / (np.linalg.norm(X) * 1.01 + 1e-6), POLAR_EXPRESS)
        X = X * math.sqrt(min(M, N)) / max(float(np.linalg.norm(X)), 1e-6)
        red = 1 if M >= N else 0
        r = X.shape[red]
        v = (X * X).mean(axis=red, keepdims=True)
        self.S = 0.9 * (np.zeros_like(v) if self.S is None else self.S) + 0.1 * v
        s = 1 / np.sqrt(np.maximum(self.S, 1e-10))
        return X * s * math.sqrt((v * r).sum()) / max(math.sqrt((v * r * s * s).sum()), 1e-10)


def polynomials(X: Array, coefficients: tuple[tuple[float, float, float], ...]) -> Array:
    """Return X with a s + b s^3 + c s^5 applied to its singular values, for each triple."""
    for a, b, c in coefficients:
        if X.shape[0] <= X.shape[1]:
            A = X @ X.T
            X = a * X + (b * A + c * A @ A) @ X
        else:
            A = X.T @ X
            X = a * X + X @ (b * A + c * A @ A)
    return X
