"""The command of a template as its container runs it. Pure."""

from __future__ import annotations

import shlex

from jobs.models import ContainerTemplate


def argv(template: ContainerTemplate) -> list[str] | None:
    """Entrypoint and command, word by word; empty: the image's own. None if they cannot be read."""
    try:
        return [*shlex.split(template.entrypoint), *shlex.split(template.command)]
    except ValueError:
        return None
