"""A tuned model whose weights can be set back to what they were, group by group."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from isogloss.backbones.backbone import Backbone
from isogloss.experiment.cells import Cell
from isogloss.experiment.evaluate import TestSet
from isogloss.experiment.opened_run import OpenedRun
from isogloss.methods.fine_tuning import FineTuningSettings
from isogloss.optim.master_weights import MasterWeights
from isogloss.optim.sparse_embedding import SparseEmbedding
from isogloss.optim.weight_places import HEAD
from isogloss.optim.weight_places import places as known_places
from isogloss.preprocessing.truncate import fit
from isogloss.runtime.seeding import derive
from isogloss.store import StoredCell
from isogloss.tasks import heads
from isogloss.training.run import Run, new_head

ALL, NONE = "all", "none"
Group = tuple[int | None, str]  # a layer, if any, and a kind of weights, `head`, `all` or `none`


class RewindableModel:
    """A tuned model whose weights can be set back, group by group.

    Args:
        opened_run: where it is stored.
        cell: which it is.
        stored: where its weights are.
    """

    def __init__(self, opened_run: OpenedRun, cell: Cell, stored: StoredCell) -> None:
        self.stack = opened_run.stack(stored)
        self.run = self.stack.runs[0]
        self.masters = masters_of(self.run)
        self.tuned = {f"part.{name}": value.clone() for name, value in self.masters.named().items()}
        self.start = {
            f"part.{name}": _pretrained(opened_run.backbone, self.stack.backbone, name) for name in self.masters.named()
        }
        fresh = new_head(
            opened_run.backbone, cell.settings, classes=len(opened_run.data.labels),
            verbalizer=opened_run.verbalizer(stored),
            generator=torch.Generator().manual_seed(derive("init", cell.seed)),
        )  # fmt: skip
        self.tuned |= {f"head.{name}": value.clone() for name, value in self.run.head.state_dict().items()}
        self.start |= {f"head.{name}": value for name, value in fresh.state_dict().items()}
        self.groups: dict[Group, list[str]] = {}
        places = known_places(self.masters.named(), opened_run.backbone.identity.name)
        for name in self.tuned:
            where = HEAD if name.startswith("head.") else places[name.removeprefix("part.")]
            self.groups.setdefault((where.layer, str(where.kind)), []).append(name)
        self.head = self.groups.get((HEAD.layer, HEAD.kind), [])  # a verbalizer has nothing of its own

    def set(self, tuned: Iterable[str]) -> None:
        """Give these weights their tuned values, and all others those that training began with."""
        names = set(tuned)
        mixed = {name: self.tuned[name] if name in names else value for name, value in self.start.items()}
        self.masters.load({name.removeprefix("part."): value for name, value in mixed.items()})
        self.run.head.load_state_dict(
            {name.removeprefix("head."): value for name, value in mixed.items() if name.startswith("head.")}
        )

    def states(self) -> Iterator[tuple[str, Group, list[str]]]:
        """Every way to put the model together: its name, the group that it is about, and the weights that are tuned."""
        names, head = list(self.tuned), self.head
        yield "tuned", (None, NONE), names
        yield "rewind", (None, ALL), []
        for group, members in self.groups.items():
            yield "rewind", group, [name for name in names if name not in members]
        yield "transplant", (None, NONE), head
        for group, members in self.groups.items():
            if members is not head:
                yield "transplant", group, [*members, *head]


def masters_of(run: Run) -> MasterWeights:
    """The weights of the backbone that a run tunes."""
    return next(module for module in run.part.modules() if isinstance(module, MasterWeights))


def tunes_backbone(cell: Cell) -> bool:
    """Whether what a cell's method trains besides the head is the backbone's own weights, and those alone."""
    return issubclass(cell.method.settings, FineTuningSettings)


def fisher(rewindable: RewindableModel, test: TestSet) -> dict[Group, float]:
    """The Fisher information of each group: the trace of its diagonal, the mean over examples.

    Answers are drawn from the model's own distribution, which makes it the true Fisher and not the empirical one
    (Kunstner et al. 2019, arXiv 1905.12558, section 2).
    """
    stack, run = rewindable.stack, rewindable.run
    features = fit(test.features, stack.room(run), stack.backbone.tokenizer)
    weights = {f"part.{name}": weight for name, weight in rewindable.masters.parameters_by_name().items()}
    weights |= {f"head.{name}": weight for name, weight in run.head.named_parameters()}
    total = dict.fromkeys(rewindable.groups, 0.0)
    generator = torch.Generator().manual_seed(derive("fisher", run.seed))
    for rows in features.of_example:
        for weight in weights.values():
            weight.grad = None
        for row in rows:  # windows of a passage one by one, since each has a span of its own in training
            batch = stack.collated([(features, np.asarray([row]))], stack.form([run]))
            scores = heads.logits([run.head], stack.head_inputs(batch, stack.prompt([run])), batch.wording)[0]
            asked = scores.T if features.passages else scores  # a unit for each class, or a class for each unit
            chances = asked.log_softmax(dim=1)
            drawn = torch.multinomial(chances.detach().exp().cpu(), 1, generator=generator).to(chances.device)
            chances.gather(1, drawn).sum().backward()  # type: ignore[no-untyped-call]
        for group, names in rewindable.groups.items():
            gradients = [weights[name].grad for name in names]
            total[group] += sum(float(grad.double().square().sum()) for grad in gradients if grad is not None)
    return {group: value / len(features.of_example) for group, value in total.items()}


def _pretrained(backbone: Backbone, tuned: Backbone, name: str) -> Tensor:
    """The value that a weight of a tuned model had before, by its name there."""
    words = tuned.word_embedding
    if isinstance(words, SparseEmbedding) and tuned.weights()[name] is words.rows.weight:
        return words.table.weight.detach()[words.ids].float()
    return backbone.weights()[name].detach().float()
