"""Searching a log: what matches, a bounded part of the log at a time. Reads only.

Text is compared as it is seen (`jobs.log_text.shown`), up to 256 KiB of a line. Expressions are those of
`regex`, which gives up after a time; Python's own would hold the whole process for as long as it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import regex
from django.utils.translation import gettext as _

from hosts.executors import frames
from hosts.identity import boot_clock
from jobs.log_lines import Assembler, Line, Lines
from jobs.log_text import shown

MOST_HITS = 5000
MOST_SECONDS = 0.3
MOST_BYTES = 32 * 1024 * 1024
KEPT_BYTES = 256 * 1024
LONGEST_QUERY = 500
_LINE_SECONDS = 0.25
# The letters beyond ASCII of which the small one is in it.
_ODD = ("\N{KELVIN SIGN}".encode(), "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}".encode())


class BadSearch(ValueError):
    """What was asked for cannot be searched; the sentence is for people."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for. `matches` decides of a line's text; `is_inverse`: those that do not have it."""

    text: str
    is_regex: bool = False
    minds_case: bool = False
    is_inverse: bool = False

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Search:
        """As an address has it: `q`, `regex=1`, `case=1`, `inverse=1`. BadSearch if it cannot be."""
        text = query.get("q", "")
        if not text or len(text) > LONGEST_QUERY:
            raise BadSearch(_("Search for something of 1 to %(most)s characters.") % {"most": LONGEST_QUERY})
        search = cls(text, *(query.get(name) == "1" for name in ("regex", "case", "inverse")))
        search.matcher()
        return search

    def matcher(self) -> Callable[[str], bool]:
        """Whether a line is to be found, by its text as it was written. BadSearch for a bad expression."""
        found = self._expression() if self.is_regex else self._plain()
        wanted = not self.is_inverse
        return lambda text: found(shown(text)) is wanted

    def _plain(self) -> Callable[[str], bool]:
        if self.minds_case:
            return lambda text: self.text in text
        low = self.text.lower()
        return lambda text: low in text.lower()

    def _expression(self) -> Callable[[str], bool]:
        try:
            pattern = regex.compile(self.text, 0 if self.minds_case else regex.IGNORECASE)
        except regex.error as exc:
            raise BadSearch(_("This is no regular expression: %(why)s") % {"why": exc}) from None

        def found(text: str) -> bool:
            try:
                return pattern.search(text, timeout=_LINE_SECONDS) is not None
            except TimeoutError:
                raise BadSearch(_("This expression takes too long: make it simpler.")) from None

        return found

    def skips(self, data: bytes) -> bool:
        """Whether no line that ends in these frames can be a hit, seen at a glance."""
        if self.is_regex or self.is_inverse or not self.text.isascii():
            return False
        if b"\x1b" in data or b"\r" in data or frames.PIECE_MARK in data:
            return False
        if self.minds_case:
            return self.text.encode() not in data
        return not any(odd in data for odd in _ODD) and self.text.lower().encode() not in data.lower()


@dataclass(slots=True)
class Found:
    """Numbers of lines in their order. `next`: where to go on; None: all of the log was looked through."""

    hits: list[int]
    next: int | None


def step(lines: Lines, search: Search, *, first: int, total: int) -> Found:
    """Look through a part of the log from the line `first` on."""
    until, size, hits = boot_clock() + MOST_SECONDS, 0, list[int]()
    matches = search.matcher()
    for place, found, read in _scan(lines, search, first, total):
        if size and (size > MOST_BYTES or boot_clock() > until or len(hits) >= MOST_HITS):
            return Found(hits, place)
        size += read
        hits += [
            line.number
            for line in found
            if line.number < total and matches(line.data.decode(errors="replace"))
        ]
    return Found(hits, None)


def matching(lines: Lines, search: Search, *, total: int) -> Iterator[Line]:
    """All lines that are found, one after the other."""
    matches = search.matcher()
    for _place, found, _read in _scan(lines, search, 0, total):
        yield from (line for line in found if matches(line.data.decode(errors="replace")))


def _scan(lines: Lines, search: Search, first: int, total: int) -> Iterator[tuple[int, Iterator[Line], int]]:
    """By chunk: the line it begins with, lines that may be hits from `first` on, and the bytes read."""
    assembler: Assembler | None = None
    for part in lines.chunks(first, total):
        assembler = assembler or lines.begun(part.place.seq)
        if part.after_gap:
            assembler.skip()
        number = max(first, part.place.lines)
        # A line may have begun before; the glance is only at what is in here.
        if not assembler.is_open and search.skips(part.data):
            yield number, iter(()), len(part.data)
            continue
        found = assembler.feed(part.data, part.place.lines)
        yield number, (line for line in list(found) if line.number >= first), len(part.data)
