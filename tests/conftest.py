"""Shapes are checked in every test: jaxtyping's annotations with beartype, before anything of isogloss is imported."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from jaxtyping import install_import_hook

install_import_hook("isogloss", "beartype.beartype")
