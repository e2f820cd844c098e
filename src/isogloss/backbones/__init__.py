"""Backbones by name: an embedded one, a folder or GGUF file on disk, or a model on the hub."""

from __future__ import annotations

from isogloss.backbones.backbone import Backbone, Identity, Shape
from isogloss.backbones.insert import AttentionPrefix, InputPrompt, Insert
from isogloss.backbones.loading import EMBEDDED, fingerprint, load, where

__all__ = [
    "EMBEDDED",
    "AttentionPrefix",
    "Backbone",
    "Identity",
    "InputPrompt",
    "Insert",
    "Shape",
    "fingerprint",
    "load",
    "where",
]
