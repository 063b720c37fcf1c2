"""Hypothesis for a machine that may be busy: the same examples every time, and no deadline."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("tallyman", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("tallyman")
