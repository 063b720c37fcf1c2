"""An engine whose client fails as the file `<TROUBLE>/<name of the host>` says: `raise`, `hang` or `refuse`.

So a test makes the worker of one host crash, hang or be parked, and mends it, while a supervisor runs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from hosts.errors import ConfigurationError
from hosts.executors.contract import HostView
from hosts.executors.process import ProcessExecutor


class TroubledExecutor(ProcessExecutor):
    """See the module."""

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        self._is_broken = False
        file = Path(os.environ["TROUBLE"]) / host.name
        match file.read_text() if file.is_file() else "":
            case "raise":
                self._is_broken = True
            case "refuse":
                raise ConfigurationError("this host's settings are wrong")
            case "hang":
                while file.is_file():
                    time.sleep(0.05)

    def __getattribute__(self, name: str) -> Any:
        # The worker's main thread takes it when it makes its threads: nothing shields it from that.
        if name == "close" and self._is_broken:
            raise RuntimeError("this engine's client is broken, password=hunter2")
        return super().__getattribute__(name)
