"""A stored run predicts what it predicted when it was trained, for every method."""

import polars as pl
import pytest
import torch

from isogloss.api import run
from isogloss.experiment.predict import Model
from isogloss.methods.method import Importer
from isogloss.methods.registry import methods
from isogloss.spec import Spec
from models import checkpoint, sib200

TRAINED = [name for name, method in methods().items() if not isinstance(method, Importer)]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# What is read anew lies in other batches, for which a GPU has other kernels, that add in another order: in bf16, of
# eight significant bits, a score near 1 is then off by a step of the last bit or less. On a CPU, and in float32, what
# is left is that `predict` rounds to four digits.
TOLERANCE = {("bfloat16", "cuda"): 2**-8}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_reloaded_run_predicts_the_same(tmp_path, dtype):
    spec = Spec(
        name="small", backbone=str(checkpoint(tmp_path / "model")), task="sib200",
        data={"path": sib200(tmp_path / "data")}, methods={name: {"epochs": 2} for name in TRAINED}, seeds=[0],
        dtype=dtype, device=DEVICE,
    )  # fmt: skip
    stored = run(spec, tmp_path / "run").store
    predictions = pl.read_parquet(tmp_path / "run" / "predictions.parquet")
    texts = pl.read_csv(tmp_path / "data/deu_Latn/test.tsv", separator="\t")["text"].to_list()
    for cell in stored.finished():
        old = predictions.filter(method=cell.key[0], seed=cell.key[1], language="deu-Latn")
        new = Model.load(tmp_path / "run", method=cell.key[0], seed=cell.key[1]).predict(texts)
        assert [answer["label"] for answer in new] == old["predicted"].to_list()
        tolerance = TOLERANCE.get((dtype, DEVICE), 1e-4)
        sure = cell.table("confidence").filter(language="deu-Latn")["calibrated"].to_list()
        # A temperature below one sets scores apart, and what they are rounded by.
        tolerance /= min(1, cell.record.temperature)
        assert [answer["score"] for answer in new] == pytest.approx(sure, abs=tolerance)
