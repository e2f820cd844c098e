"""Which columns of flat parameters learn alike: by rate and by weight decay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from isogloss.optim.adamw import Segment
from isogloss.optim.flat_parameters import FlatParameters
from isogloss.training.run import Run


@dataclass(frozen=True, eq=False)
class Segments:
    """Parameters in the order of their columns, and what they have in common.

    Args:
        order: of their names: what learns alike stands together.
        kinds: what the weights of each rate belong to.
        members: the names that learn alike, with their group of rates and each run's weight decay.
        anchors: by name, of a single run: what weight decay pulls towards, and how strongly.
    """

    order: list[str]
    kinds: list[str]
    members: list[tuple[list[str], int, tuple[float, ...]]]
    anchors: dict[str, tuple[Tensor, float]]

    def of(self, flat: FlatParameters) -> list[Segment]:
        """Those of flat parameters in this order."""
        return [self._segment(flat, *member) for member in self.members]

    def _segment(self, flat: FlatParameters, names: list[str], group: int, decay: tuple[float, ...]) -> Segment:
        begin, end = flat.columns[names[0]].start, flat.columns[names[-1]].stop
        if names[0] not in self.anchors:
            return Segment(slice(begin, end), group, decay)
        anchors = flat.values.new_zeros(1, end - begin)
        for name in names:
            columns = flat.columns[name]
            anchors[0, columns.start - begin : columns.stop - begin] = self.anchors[name][0].flatten()
        return Segment(slice(begin, end), group, decay, (self.anchors[names[0]][1],), anchors)


def segments(runs: Sequence[Run]) -> Segments:
    """What learns alike in alike runs. Matrices decay, vectors do not.

    They are told apart where nothing decays, too: a run goes on in whatever company, and its state must fit there.
    """
    rates = [run.rates() for run in runs]
    name_of = {id(parameter): name for name, parameter in runs[0].named().items()}
    members: dict[tuple[int, bool], list[str]] = {}
    anchors = {}
    for number, group in enumerate(rates[0]):
        for index, parameter in enumerate(group.parameters):
            name = name_of[id(parameter)]
            members.setdefault((number, parameter.ndim > 1 and group.anchors is None), []).append(name)
            if group.anchors is not None:
                anchors[name] = group.anchors[index], group.pull
    ordered = [
        (names, number, tuple(run.settings.weight_decay if decays else 0.0 for run in runs))
        for (number, decays), names in sorted(members.items(), key=lambda item: item[0][0])
    ]
    return Segments(
        [name for names, _, _ in ordered for name in names], [group.of for group in rates[0]], ordered, anchors
    )
