"""The sketches of several gradients while backward passes make them, and of parameters before and after a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch

from mollm_cli.core.solution import Array
from mollm_cli.gradients.inner import GradientRow
from mollm_cli.gradients.kept_factors import KeptFactors
from mollm_cli.gradients.matrix_sketch import MatrixSketch
from mollm_cli.gradients.taps import Factors, Taps


class GradientSketches:
    """The sketches of m gradients, taken while ``loss.backward()`` makes them, parameter by parameter.

    collect: puts a gradient into ``.grad`` after a backward pass that does not do so itself: FSDP gives shards then, of
        which all exist at one time. None: the backward pass does.
    taps: the layers of the sketch's matrices, whose gradients are added as factors and not made.

    Each parameter's gradient is freed as soon as it is added, so at most one of them exists beside ``.grad``, which
    must be empty. Memory: m times ``buckets``.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        objectives: int,
        sketch: MatrixSketch,
        collect: Callable[[], None] | None = None,
        taps: Taps | None = None,
    ) -> None:
        self.parameters, self.sketch, self.collect, self.taps = list(parameters), sketch, collect, taps
        double = any(p.dtype == torch.float64 for p in self.parameters)
        dtype = torch.float64 if double else torch.float32
        self.totals = torch.zeros((objectives, sketch.buckets), dtype=dtype, device=sketch.device)

    @contextmanager
    def collecting(self, objective: int, kept: KeptFactors | None = None) -> Iterator[None]:
        """Within the block gradients go from ``.grad`` to the sketch of ``objective``, and are freed, or kept."""

        def add(k: int, parameter: torch.Tensor) -> None:
            gradient, parameter.grad = parameter.grad, None
            if gradient is not None:
                self.sketch.add(self.totals[objective], k, gradient)
                if kept is not None:
                    kept.keep(objective, k, gradient)

        def add_factors(k: int, factors: Factors) -> None:
            self.sketch.add_product(self.totals[objective], k, factors.left, factors.right)
            if kept is not None:
                kept.keep_factors(objective, k, factors)

        with ExitStack() as block:
            if self.taps is not None:
                block.enter_context(self.taps.taking(add_factors))
            if self.collect is None:
                for k, p in enumerate(self.parameters):
                    handle = p.register_post_accumulate_grad_hook(partial(add, k))  # type: ignore[no-untyped-call]
                    block.callback(handle.remove)
            yield
            if self.collect is not None:
                self.take(objective)

    def take(self, objective: int) -> GradientRow:
        """Add ``.grad`` to the sketch of ``objective``, and hand it over; ``.grad`` is empty then."""
        if self.collect is not None:
            self.collect()
        row: GradientRow = [parameter.grad for parameter in self.parameters]
        for k, (parameter, gradient) in enumerate(zip(self.parameters, row, strict=True)):
            parameter.grad = None
            if gradient is not None:
                self.sketch.add(self.totals[objective], k, gradient)
        return row

    def gram(self) -> Array:
        """G_ij = s(g_i).s(g_j), float64 [m, m]: positive semi-definite, in one transfer."""
        exact = self.totals.double()
        found: Array = (exact @ exact.T).cpu().numpy()
        return found

    def against(self, change: torch.Tensor) -> tuple[Array, float]:
        """s(g_i).s(Delta), [m], and |s(Delta)|. change: s(Delta), [buckets]."""
        found = torch.cat([self.totals.to(change.dtype) @ change, (change @ change)[None]]).cpu().numpy()
        return found[:-1], float(np.sqrt(found[-1]))


class Images:
    """The sketch of all parameters in float64: so exact that the difference of two of them is exact enough.

    totals [buckets]: the sketch.
    matrices: the blocks of the parameters that have one.
    """

    @torch.no_grad()
    def __init__(self, sketch: MatrixSketch, tensors: Sequence[torch.Tensor]) -> None:
        self.totals = torch.zeros(sketch.buckets, dtype=torch.float64, device=sketch.device)
        self.matrices: dict[int, torch.Tensor] = {}
        for k, x in enumerate(tensors):
            image = sketch.image(k, x, torch.float64)
            sketch.put(self.totals, k, image)
            if k in sketch.matrices:
                self.matrices[k] = image

    def change_to(self, after: Images) -> tuple[torch.Tensor, Array]:
        """s(after - before), [buckets], and the squared norm of each matrix's block of it."""
        pairs = [(self.matrices[k], after.matrices[k]) for k in sorted(self.matrices)]
        squares = [torch.sum((new - old) ** 2) for old, new in pairs]
        found: Array = torch.stack(squares).cpu().numpy() if squares else np.zeros(0)
        return after.totals - self.totals, found
