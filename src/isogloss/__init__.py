"""isogloss: train in one language, know how well it works in every other, and close the gap."""

__version__ = "0.1.0"
