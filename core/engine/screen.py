"""The likeliest token without reading the whole float32 head: int8 screens, float32 decides.

The int8 product of a head is off by at most a bound that its rounding errors give. Only tokens
within twice that bound of the best can be the likeliest; the few rows of those are multiplied in
float32. The choice is the full product's, for a quarter of the bytes.

Shapes: B rows, C model width, V vocabulary, K candidates.
"""

from __future__ import annotations

import torch
from torch import Tensor

from core.engine.candidates import top
from core.engine.int8 import Int8Matrix

NUM_CANDIDATES = 48
# Covers the rounding of float32 sums, which the bound leaves out.
SLACK = 1.001


class Screen:
    """A float32 head for greedy rows; it shares the weight it is given and adds an int8 copy.

    errors_V: how far the coarse logit of an unrounded input can be off.
    """

    def __init__(self, weight_VC: Tensor, factor: float) -> None:
        self.exact_VC = weight_VC.detach()
        self.factor = factor
        self.coarse = Int8Matrix(weight_VC.detach() * factor)
        off = self.coarse.rounding_norms(weight_VC.detach() * factor)
        # For unrounded inputs of at most length 1. Two float32 sums, each off by less than half of
        # the second term (Higham, Accuracy and Stability of Numerical Algorithms, 3.1).
        sums = weight_VC.size(1) * torch.finfo(torch.float32).eps
        self.errors_V = SLACK * off.weights + sums * off.lengths
        self._weight_bound = SLACK * float(off.weights.max())
        self._longest = SLACK * float(off.lengths.max())

    def bytes_read(self, num_rows: int) -> int:
        """Return the bytes that a product reads, of the few float32 rows aside."""
        return self.coarse.bytes_read(num_rows)

    def __call__(self, x_BC: Tensor, out: Tensor) -> bool:
        """Write logits of the candidates and -inf for all others; False when they are too many.

        Rows of x must have at most length 1.
        """
        quantised_BC, unit_B1 = self.coarse.quantise(x_BC)
        coarse_BV = self.coarse.multiply(quantised_BC, unit_B1, out)
        best_BK, ids_BK = top(coarse_BV, NUM_CANDIDATES)
        # Cauchy-Schwarz: what rounding took from the weights times an input of length at most 1,
        # and what it took from the input times the longest weight.
        rounded_BC = quantised_BC.float().sub_(self.coarse.zero_point).mul_(unit_B1)
        off_B1 = torch.linalg.vector_norm(x_BC - rounded_BC, 2, -1, True)
        bound_B1 = off_B1.mul_(self._longest).add_(self._weight_bound)
        if bool((best_BK[:, -1:] >= best_BK[:, :1] - 2 * bound_B1).any()):
            return False
        rows_BKC = self.exact_VC.index_select(0, ids_BK.view(-1)).view(*ids_BK.shape, -1)
        exact_BK = torch.bmm(rows_BKC, x_BC[:, :, None]).squeeze(-1).mul_(self.factor)
        out.fill_(-torch.inf).scatter_(1, ids_BK, exact_BK)
        return True
