"""Which of a log's last records are stored already, told by the records themselves. Pure.

What is stored is the first part of what an engine holds, and engines give the last so many records of a log.
Where the last stored ones stand among these, all that follows is new, whatever the times are. They have to be
such that stand at one place only: see `Resume.end`.
"""

from __future__ import annotations

from hosts.errors import DockerConnectionError
from hosts.executors.frames import END_RECORDS, HEADER

# Those to be recognised, and as many that may be new: a last line without an end, or what was written while
# a followed log came to its end.
ASKED_RECORDS = END_RECORDS + 168


class Ending:
    """Drops the frames up to the last stored one. `done` turns true when only new ones can follow."""

    since = ""
    broken = False

    def __init__(self, name: str, stored: bytes) -> None:
        """`stored` is a `Resume.end`, and not empty."""
        self._name, self._stored = name, stored
        self._place = 0

    @property
    def done(self) -> bool:
        """Whether nothing that is stored can come any more."""
        return self._place == len(self._stored)

    def keep(self, data: bytes) -> bytes:
        """The frames in `data` (whole ones) that are not stored; DockerConnectionError: nobody can tell."""
        at = 0
        while at < len(data) and not self.done:
            end = at + _size(data, at)
            if self._stored.startswith(data[at:end], self._place):
                self._place += end - at
            elif self._place:
                raise self._unknown()
            at = end
        return data[at:]

    def end(self) -> None:
        """The log, read up to an end that is proved, has no more frames."""
        if not self.done:
            raise self._unknown()

    def _unknown(self) -> DockerConnectionError:
        return DockerConnectionError(
            f"{self._name}: the last records of the log are not those that are stored."
        )


def _size(data: bytes, at: int) -> int:
    length: int = HEADER.unpack_from(data, at)[1]
    return HEADER.size + length
