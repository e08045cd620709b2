"""A gradient as some thousand sums of its elements with random signs: inner products survive, it need not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import torch
from torch.nn import functional

from mollm_cli.core.solution import Array
from mollm_cli.gradients.inner import Row
from mollm_cli.gradients.kept_factors import KeptFactors
from mollm_cli.gradients.taps import Factors, Taps

SEED = 20_250_403
"""The same map in every run: a resumed run goes on with it."""
TABLE = 16
"""Random signs that are kept, in lengths of ``buckets``; windows of them serve all rows of elements."""
AT_ONCE = 2**22
"""Elements that a GPU takes in one go."""
SPREAD = 1.25
"""Times the variance of fully random signs at the most: what it costs that signs come from windows of one table."""


class CountSketch:
    """s: R^n -> R^buckets, linear: E[s(a).s(b)] = a.b, Var[s(a).s(b)] <= 1.25 (|a|^2|b|^2 + (a.b)^2) / buckets.

    Every parameter is cut into rows of ``buckets`` elements. A row is multiplied by random signs, rotated by a random
    number of places, and added up: two elements meet in a bucket with probability 1 / buckets at the most (never in one
    row), then with independent signs. Nothing as long as a parameter is kept, only two numbers and a sign a row; the
    signs are windows of one table of 17 ``buckets``, which makes two rows share a rotation and a window now and then:
    the factor 1.25. (The fully random map is the count sketch of Charikar, Chen and Farach-Colton 2002; its bound is
    without that factor.) Being linear, it adds up over micro-batches and over shards. ``buckets`` of 65,536: an inner
    product is off by 0.6 % of |a||b| at the most (standard error), a million: 0.15 %.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        buckets: int,
        device: torch.device,
        starts: Sequence[int] | None = None,
        seed: int = SEED,
    ) -> None:
        """sizes: elements of every parameter, in their order; starts: at which of them begins what ``add`` is given.

        None: at the first. By their starts the sketches of all parts of a tensor add up to its own.
        """
        generator = torch.Generator().manual_seed(seed)
        self.buckets, self.device = buckets, device
        signs = torch.randint(0, 2, ((TABLE + 1) * buckets,), generator=generator, dtype=torch.int8)
        self.table = (2 * signs - 1).float().to(device)
        self.plans = [self._plan(-(-size // buckets), generator) for size in sizes]
        self.starts = [0] * len(sizes) if starts is None else list(starts)

    def _plan(self, rows: int, generator: torch.Generator) -> torch.Tensor:
        """Rotation, window and sign of each row of a parameter, int64 [3, rows]."""
        rotations = torch.randint(0, self.buckets, (rows,), generator=generator)
        windows = torch.randint(0, TABLE * self.buckets, (rows,), generator=generator)
        return torch.stack([rotations, windows, 2 * torch.randint(0, 2, (rows,), generator=generator) - 1])

    @property
    def error(self) -> float:
        """Standard error of an inner product over |a||b|, at the most: both of one direction."""
        return float(np.sqrt(2 * SPREAD / self.buckets))

    @property
    def matrices(self) -> Collection[int]:
        """Parameters whose image is another one than they: none."""
        return ()

    def image(self, k: int, x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """What of ``x`` is put into the buckets: all of it."""
        return x

    def add_product(self, totals: torch.Tensor, k: int, left: torch.Tensor, right: torch.Tensor) -> None:
        """totals [buckets] += s(left' right), in the place of one of ``matrices``."""
        raise NotImplementedError

    def error_of(self, squares: Array, total: float) -> float:
        """``error`` where it is known how |b|^2 = total is spread over ``matrices``: squares, one a matrix."""
        return self.error

    @torch.no_grad()
    def add(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """totals [buckets] += s(x), ``x`` in the place of parameter ``k``."""
        self.put(totals, k, self.image(k, x, totals.dtype))

    def put(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """Add the image of a tensor to the buckets."""
        if x.device.type == "cpu":
            self.add_by_rows(totals, k, x)
        else:
            self.add_at_once(totals, k, x)

    def add_by_rows(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """Row by row and in place: the totals and a window of signs stay in a CPU's cache."""
        begun, column = divmod(self.starts[k], self.buckets)
        flat, plan = x.reshape(-1), self.plans[k].T.tolist()[begun:]
        head, tail = flat[: self.buckets - column], flat[self.buckets - column :]
        rows = [head, *torch.split(tail, self.buckets)]
        if plan:  # the rest of a row that another process begins
            plan[0] = [(plan[0][0] + column) % self.buckets, plan[0][1] + column, plan[0][2]]
        for row, (rotation, window, sign) in zip((row for row in rows if len(row)), plan, strict=False):
            values, signs = row.to(totals.dtype), self.table[window : window + len(row)].to(totals.dtype)
            first = min(len(row), self.buckets - rotation)
            totals[rotation : rotation + first].addcmul_(values[:first], signs[:first], value=sign)
            if first < len(row):
                totals[: len(row) - first].addcmul_(values[first:], signs[first:], value=sign)

    def add_at_once(self, totals: torch.Tensor, k: int, x: torch.Tensor) -> None:
        """Many rows in a few kernels, without atomic additions: the same sums at every call."""
        if not x.numel():
            return
        rows = max(1, AT_ONCE // self.buckets)
        columns = torch.arange(self.buckets, device=x.device)
        begun, column = divmod(self.starts[k], self.buckets)
        flat = functional.pad(x.reshape(-1), (column, 0)) if column else x.reshape(-1)
        ended = begun + -(-len(flat) // self.buckets)
        plan = self.plans[k][:, begun:ended].to(x.device, non_blocking=True)
        for piece, (rotation, window, sign) in zip(
            torch.split(flat, rows * self.buckets),
            (part.unsqueeze(-1).unbind() for part in torch.split(plan, rows, dim=1)),
            strict=True,
        ):
            whole = functional.pad(piece.to(totals.dtype), (0, len(rotation) * self.buckets - len(piece)))
            place = (columns - rotation) % self.buckets
            signs = self.table[window + place].to(totals.dtype) * sign
            totals.add_((whole.view(-1, self.buckets).gather(1, place) * signs).sum(0))


class GradientSketches:
    """The sketches of m gradients, taken while ``loss.backward()`` makes them, parameter by parameter.

    Each parameter's gradient is freed as soon as it is added, so no more than one of them exists beside ``.grad``,
    which must be empty. Memory: m times ``buckets``. taps: the layers of the sketch's matrices, whose gradients are
    added as factors and not made. collect: what puts a gradient into ``.grad`` after the backward pass, where that does
    not: FSDP gives shards then, of which all exist at one time.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        objectives: int,
        sketch: CountSketch,
        collect: Callable[[], None] | None = None,
        taps: Taps | None = None,
    ) -> None:
        self.parameters, self.sketch, self.collect, self.taps = list(parameters), sketch, collect, taps
        double = any(p.dtype == torch.float64 for p in self.parameters)
        dtype = torch.float64 if double else torch.float32
        self.totals = torch.zeros((objectives, sketch.buckets), dtype=dtype, device=sketch.device)

    @contextmanager
    def collecting(self, objective: int, kept: KeptFactors | None = None) -> Iterator[None]:
        """Within the block what reaches ``.grad`` is added to the sketch of ``objective``, and freed or ``kept``."""

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

    def take(self, objective: int) -> Row:
        """Add what is in ``.grad`` to the sketch of ``objective``, and hand it over: ``.grad`` is empty then."""
        if self.collect is not None:
            self.collect()
        row: Row = [parameter.grad for parameter in self.parameters]
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
        """s(g_i).s(Delta), [m], and |s(Delta)|, of ``change`` = s(Delta), [buckets]."""
        found = torch.cat([self.totals.to(change.dtype) @ change, (change @ change)[None]]).cpu().numpy()
        return found[:-1], float(np.sqrt(found[-1]))


class Images:
    """s of all ``tensors``, one a parameter, in float64: so exact that the difference of two of them is.

    totals [buckets]; matrices: the blocks of those that have one.
    """

    @torch.no_grad()
    def __init__(self, sketch: CountSketch, tensors: Sequence[torch.Tensor]) -> None:
        self.totals = torch.zeros(sketch.buckets, dtype=torch.float64, device=sketch.device)
        self.matrices: dict[int, torch.Tensor] = {}
        for k, x in enumerate(tensors):
            image = sketch.image(k, x, torch.float64)
            sketch.put(self.totals, k, image)
            if k in sketch.matrices:
                self.matrices[k] = image

    def change_to(self, after: Images) -> tuple[torch.Tensor, Array]:
        """s(after - before), [buckets], and the squared norms of the blocks of it, one a matrix."""
        pairs = [(self.matrices[k], after.matrices[k]) for k in sorted(self.matrices)]
        squares = [torch.sum((new - old) ** 2) for old, new in pairs]
        found: Array = torch.stack(squares).cpu().numpy() if squares else np.zeros(0)
        return after.totals - self.totals, found
