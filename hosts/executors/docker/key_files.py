"""Keys and certificates that are kept as text, for libraries that want files: in memory, never on a disk."""

from __future__ import annotations

import os
from functools import cache

BEGIN = "-----BEGIN "


@cache
def path_of(text: str) -> str:
    """A path where this process, and those that it forks, can read the text for as long as it lives."""
    # Closed when another program is executed.
    descriptor = os.memfd_create("tallyman-key", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text.encode() if text.endswith("\n") else f"{text}\n".encode())
    return f"/proc/self/fd/{descriptor}"
