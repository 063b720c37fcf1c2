"""How far a pull is, in a few words, from the engine's many lines. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hosts.executors.docker.client import one_line

_DONE = {"Already exists", "Pull complete"}
_LAST_WORDS = ("Digest:", "Status:")
_MEGABYTE = 1_000_000


@dataclass(slots=True)
class _Layer:
    is_done: bool = False
    had: int = 0
    of: int | None = None  # not known before its download begins


class PullProgress:
    """Tells `progress` whenever there is something new to be said."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._layers: dict[str, _Layer] = {}
        self._said = ""

    def take(self, line: Mapping[str, Any]) -> None:
        """Take in one line of the engine's."""
        status, layer_id = str(line.get("status", "")), str(line.get("id", ""))
        if layer_id and not status.startswith("Pulling from"):
            self._take_layer(self._layers.setdefault(layer_id, _Layer()), status, line.get("progressDetail"))
            self._say(self._words())
        elif not layer_id and not self._layers and not status.startswith(_LAST_WORDS):
            self._say(one_line(status))  # an engine that tells of it in other words than Docker

    def _take_layer(self, layer: _Layer, status: str, detail: Any) -> None:
        if status == "Already exists":
            layer.of = 0
        elif status == "Downloading" and isinstance(detail, dict):
            layer.had = int(detail.get("current") or 0)
            layer.of = int(detail.get("total") or 0) or None
        elif status in {"Download complete", "Extracting", "Pull complete"}:
            layer.had = layer.of = layer.of or layer.had
        layer.is_done = layer.is_done or status in _DONE

    def _words(self) -> str:
        layers = self._layers.values()
        done = sum(layer.is_done for layer in layers)
        words = f"{done} of {len(layers)} layers"
        total = sum(layer.of or 0 for layer in layers)
        if not total:
            return words
        least = "at least " if any(layer.of is None for layer in layers) else ""
        return f"{words}, {_megabytes(sum(layer.had for layer in layers))} of {least}{_megabytes(total)}"

    def _say(self, words: str) -> None:
        if words and words != self._said:
            self._said = words
            self._progress(words)


def _megabytes(count: int) -> str:
    return f"{count / _MEGABYTE:.0f} MB" if count >= _MEGABYTE else f"{count / _MEGABYTE:.1f} MB"
