"""Presets: each resolves without network, and those of the papers run on what is at hand."""

import pytest

from isogloss.api import run
from isogloss.cli import dry_run
from isogloss.cli.dry_run import describe
from isogloss.errors import IsoglossError
from isogloss.runtime.console import out
from isogloss.spec import presets, read_spec
from models import checkpoint
from real_data import SHARED

OWN_DATA = {  # from a package
    "demo",
    "voice-slots",
    "slow-fast-voice-intents",
    "slow-fast-grids-voice-intents",
    "slow-fast-dynamics",
}
LOCAL_ONLY = {"udpos", "slow-fast-udpos", "slow-fast-grids-udpos", "tu2022-udpos", "park2023-pos"}


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_dry_run_says_what_would_be_fetched(name, tmp_path, monkeypatch):
    def fetched(*_, **__):
        raise AssertionError("a dry run fetches nothing")

    monkeypatch.setattr("datasets.load_dataset", fetched)
    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", fetched)
    monkeypatch.setattr(dry_run, "out", out)
    if name == "xquad":  # parts of its own articles: nothing that the hub has
        with pytest.raises(IsoglossError, match=r"trained on squad here; .* give data.path"):
            describe(read_spec(name), tmp_path / "run")
        return
    with out.capture() as shown:
        describe(read_spec(name), tmp_path / "run")
    text = shown.get()
    source = "drawn from" if name in OWN_DATA else "give data.path" if name in LOCAL_ONLY else "from the hub, "
    assert source in text
    assert "runs still to train" in text
    if name.startswith("tu2022"):
        assert "FacebookAI/xlm-roberta-large (from the hub" in text
        assert {"deep-prompt", "fine-tuning", "fair"} == set(read_spec(name).methods)
    if name.startswith("philippy2024"):
        assert "51 other languages" in text
    assert not (tmp_path / "run").exists()


PARTS = {
    "tu2022-xnli": ("xnli", '{train: "dev[:1%]", dev: "dev[1%:2%]"}'),
    "tu2022-udpos": ("udpos", "{}"),
    "tu2022-xquad": ("xquad", '{train: "test[:1]", dev: "test[1:2]", test: "test[2:3]"}'),
}


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the published data sets are not beside the project")
@pytest.mark.parametrize("name", sorted(PARTS))
def test_a_papers_preset_runs_on_files_and_another_backbone(name, tmp_path):
    folder, parts = PARTS[name]
    spec = read_spec(
        name,
        [
            f"backbone={checkpoint(tmp_path / 'model', positions=600)}", f"data.path={SHARED / folder}",
            f"data.splits={parts}", "data.train_limit=40", "data.dev_limit=10", "data.test_limit=10", "seeds=[0]",
            "data.unseen=keep", "device=cpu", "dtype=float32",
            *(f"methods.{method}.epochs=1" for method in ("deep-prompt", "fine-tuning", "fair")),
        ],
    )  # fmt: skip
    scores = run(spec, tmp_path / "run").store.table("scores")
    assert set(scores["method"]) == {"deep-prompt", "fine-tuning", "fair"}
    assert scores["language"].n_unique() == {"xnli": 3, "udpos": 17, "xquad": 5}[folder]
