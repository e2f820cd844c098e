"""AdamW (Loshchilov and Hutter 2019, algorithm 2) over K runs: rates, clipping and state by run, nothing read back.

A run whose gradient is not finite is left out on the device, with its moments; so is what learns at rate 0, which
begins afresh when its rate rises. The step itself is PyTorch's fused one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.optim.adamw import adamw

from isogloss.optim.flat_parameters import FlatParameters

BETAS, EPSILON = (0.9, 0.999), 1e-8
LEAST = 1e-6  # added to a norm before it divides, as PyTorch's clipping does


@dataclass(frozen=True, eq=False)
class Segment:
    """Columns of flat parameters that learn alike."""

    columns: slice
    group: int  # of the rates
    decay: tuple[float, ...]  # each run's weight decay
    pull: tuple[float, ...] = ()  # each run's decay towards the anchors instead; none: towards 0
    anchors: Float[Tensor, "K columns"] | None = None


class AdamW:
    """One optimiser for all runs of a stack.

    Args:
        flat: the parameters.
        segments: all of its columns that learn, those of a group side by side.
        groups: how many groups of rates there are; one may have no columns.
        clip: greatest norm of each run's gradient.
        norms: of the gradients by groups of columns (K, groups), where not all of them are here; None: all are.
    """

    def __init__(
        self, flat: FlatParameters, segments: Sequence[Segment], *, groups: int, clip: Sequence[float],
        norms: Callable[[list[slice]], Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.flat = flat
        self.segments = list(segments)
        self._norms = norms or self._norms_here
        self.groups = [slice(0, 0)] * groups
        for segment in segments:
            known = self.groups[segment.group]
            begin = segment.columns.start if known.stop == 0 else known.start
            self.groups[segment.group] = slice(begin, segment.columns.stop)
        runs, device = len(flat.values), flat.values.device
        self.clip = torch.tensor(clip, dtype=torch.float32, device=device)
        self.mean = torch.zeros_like(flat.values)
        self.square = torch.zeros_like(flat.values)
        self.steps = torch.zeros(runs, len(self.segments), device=device)
        self.skipped = torch.zeros(runs, dtype=torch.int64, device=device)
        tables = (flat.values, flat.gradients, self.mean, self.square)
        self._views = [
            [[table[run, segment.columns] for table in tables] for segment in self.segments] for run in range(runs)
        ]
        self._steps = [list(of_run.unbind()) for of_run in self.steps.unbind()]

    @torch.no_grad()
    def step(self, rates: Float[Tensor, "K groups"]) -> Bool[Tensor, "K"]:
        """One step of every run, by the gradients in `flat`; which say nothing afterwards, but where nothing learnt.

        Args:
            rates: of each run and group of columns.

        Returns:
            Which runs learnt.
        """
        learns = rates > 0
        norms = self._norms(self.groups)
        norm = torch.where(learns, norms, 0.0).square().sum(dim=1).sqrt()
        finite = norm.isfinite()
        left_out = (~(learns & finite[:, None])).float().unbind()
        divided = ((norm + LEAST) / self.clip).clamp(min=1.0).unbind()
        for run, (views, steps, out, by, rate) in enumerate(
            zip(self._views, self._steps, left_out, divided, rates.unbind(), strict=True)
        ):
            of_groups = list(zip(out.unbind(), rate.unbind(), strict=True))
            for segment, (value, gradient, mean, square), step in zip(self.segments, views, steps, strict=True):
                skipped, speed = of_groups[segment.group]
                adamw(
                    [value], [gradient], [mean], [square], [], [step], foreach=False, capturable=True, fused=True,
                    grad_scale=by, found_inf=skipped, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1], lr=speed,
                    weight_decay=segment.decay[run], eps=EPSILON, maximize=False,
                )  # fmt: skip
                if segment.anchors is not None:  # decoupled from the gradient, like the decay towards 0
                    share = (speed * segment.pull[run]).clamp(max=1.0) * (1 - skipped)
                    value.lerp_(segment.anchors[run], share)
        self.skipped += ~finite & learns.any(dim=1)
        return finite

    def _norms_here(self, groups: list[slice]) -> Tensor:
        norms = [torch.linalg.vector_norm(self.flat.gradients[:, columns], dim=1) for columns in groups]
        return torch.stack(norms, dim=1)
