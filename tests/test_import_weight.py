"""What answers at once loads nothing heavy: each module is imported by a Python of its own."""

import subprocess
import sys

import pytest

HEAVY = "torch transformers datasets polars numpy scipy sklearn pandas altair matplotlib peft huggingface_hub".split()


@pytest.mark.parametrize(
    "module",
    [
        "isogloss",
        "isogloss.errors",
        "isogloss.spec",
        "isogloss.cli.commands",
        "isogloss.data.cards",
        "isogloss.data.kinds.registry",
        "isogloss.data.card_draft",
        "isogloss.interop.serve.server",
        "isogloss.languages.language",
        "isogloss.languages.groups",
        "isogloss.languages.cc100",
        "isogloss.methods.settings",
        "isogloss.preprocessing.templates",
        "isogloss.runtime.yaml",
    ],
)
def test_a_light_module_loads_nothing_heavy(module):
    loaded = subprocess.run(
        [sys.executable, "-c", f"import {module}, sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert module in loaded
    assert not set(HEAVY) & set(loaded)


def test_nothing_of_the_libraries_that_only_some_methods_need_is_loaded_with_them_all():
    code = "from isogloss.methods.registry import methods; methods(); import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "isogloss.methods.lora" in run.stdout.split()
    assert not {"transformers", "peft", "datasets", "polars", "scipy", "sklearn", "pandas"} & set(run.stdout.split())


@pytest.mark.parametrize("module", ["isogloss.store", "isogloss.experiment.choice", "isogloss.cli.predict.labelling"])
def test_a_run_directory_is_looked_at_without_torch(module):
    code = f"import {module}, sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(HEAVY) - {"polars", "numpy"} & set(run.stdout.split())


def test_a_model_is_loaded_without_what_draws_charts():
    code = "from isogloss import load; import sys; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "isogloss.experiment.predict" in run.stdout.split()
    assert not {"altair", "pandas", "matplotlib", "sklearn", "datasets", "peft"} & set(run.stdout.split())
