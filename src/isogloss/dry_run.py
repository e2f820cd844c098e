"""What a run would do: everything is resolved, nothing is fetched and nothing is trained."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

from isogloss.backbones import where
from isogloss.console import out
from isogloss.material import languages, open_spec
from isogloss.plan import cells
from isogloss.spec import Spec
from isogloss.store import Store


def describe(spec: Spec, folder: Path) -> None:
    """Print what would be fetched, trained and scored.

    Raises:
        IsoglossError: the spec could not be carried out.
    """
    say = partial(out.print, markup=False, soft_wrap=True)
    wanted = cells(spec)
    data = open_spec(spec)
    source, targets = languages(spec, data)
    finished = {cell.key for cell in Store(folder).finished()}
    missing = [cell for cell in wanted if (cell.label, cell.seed) not in finished]
    say(f"{spec.name}: {data.card.title}")
    say(f"  backbone    {spec.backbone} ({where(spec.backbone)})")
    say(f"  data        {data.where()}")
    trained = "" if data.trainer is None else f" of {data.trainer.card.title}, {data.trainer.where()}"
    say(f"  train       {source.name} ({source}){trained}")
    say(f"  score       {len(targets)} other languages")
    for label, count in Counter(cell.label for cell in wanted).items():
        left = sum(cell.label == label for cell in missing)
        settings = next(cell.settings for cell in wanted if cell.label == label)
        shown = ", ".join(f"{name}={value}" for name, value in settings.model_dump().items() if value is not None)
        say(f"  {label}: {count} seeds, {left} still to train\n    {shown}")
    say(f"  store       {folder}")
