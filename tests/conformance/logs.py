"""Logs: every byte, in whole frames, from any place on, as the flags say: at the end, or while it runs."""

from __future__ import annotations

import pytest

from hosts.errors import ContainerExecutionError, EngineError
from hosts.executors import frames
from hosts.executors.contract import ContainerExecutor
from hosts.executors.log_source import Resume
from tests.conformance.kit import NOTHING_STORED, Kit, Program, cuts, resume_after, written

EVERY_BYTE = bytes(range(256)) + b"\r\n\xff\xfe\0 no newline at the end"
LINES = b"".join(b"line %d\n" % number for number in range(20))


class Logs:
    """A part of `tests.conformance.suite.Conformance`."""

    @pytest.fixture
    def logged(self, executor: ContainerExecutor) -> ContainerExecutor:
        """The executor, if it has logs at all."""
        if not executor.capabilities.logs:
            pytest.skip("it has no logs")
        return executor

    def test_without_logs_that_is_said(self, kit: Kit, executor: ContainerExecutor):
        if executor.capabilities.logs:
            pytest.skip("it has logs")
        seen = kit.run(executor, Program())
        with pytest.raises(ContainerExecutionError):
            executor.open_log(seen.container_id, NOTHING_STORED, follow=False)

    def test_both_streams_are_kept_byte_for_byte(self, kit: Kit, logged: ContainerExecutor):
        seen = kit.run(logged, Program(stdout=EVERY_BYTE, stderr=EVERY_BYTE[::-1]))
        assert written(kit.read(logged, seen.container_id)) == (EVERY_BYTE, EVERY_BYTE[::-1])

    def test_a_line_longer_than_any_frame_is_one_line(self, kit: Kit, logged: ContainerExecutor):
        line = b"x" * 40_000 + b"\nnext\n"
        seen = kit.run(logged, Program(stdout=line))
        assert written(kit.read(logged, seen.container_id))[0] == line

    def test_a_log_comes_in_whole_frames_with_times(self, kit: Kit, logged: ContainerExecutor):
        seen = kit.run(logged, Program(stdout=LINES))
        source = logged.open_log(seen.container_id, NOTHING_STORED, follow=False)
        for block in kit.blocks(source, budget=64):
            for frame in frames.walk(block):
                assert frame.stream in (frames.STDOUT, frames.STDERR)
                assert frames.moment(frame.time.decode()).year > 2000
                assert len(frame.payload) <= frames.PIECE_BYTES
        source.close()  # closing twice is fine
        assert source.missing == ""

    def test_a_log_goes_on_at_any_cut_without_gap_or_repeat(self, kit: Kit, logged: ContainerExecutor):
        seen = kit.run(logged, Program(stdout=LINES, stderr=b"one\ntwo\n"))
        log = kit.read(logged, seen.container_id)
        assert written(log) == (LINES, b"one\ntwo\n")
        places = list(cuts(log))
        for place in {*places[:3], places[len(places) // 2], *places[-3:]}:
            rest = kit.read(logged, seen.container_id, resume_after(log[:place]))
            assert written(log[:place] + rest) == (LINES, b"one\ntwo\n"), f"cut at byte {place}"

    def test_after_a_known_end_nothing_comes_or_it_is_not_found_again(
        self, kit: Kit, logged: ContainerExecutor
    ):
        seen = kit.run(logged, Program(stdout=LINES))
        log = kit.read(logged, seen.container_id)
        counted = frames.tally(log)
        resume = Resume(
            newest=counted.newest,
            end=frames.recognisable_end(log),
            stdout_bytes=counted.stdout_bytes,
            stderr_bytes=counted.stderr_bytes,
        )
        try:
            rest = kit.read(logged, seen.container_id, resume)
        except EngineError:
            rest = kit.read(logged, seen.container_id, resume_after(log))
        assert rest == b""

    def test_a_program_that_writes_nothing_has_an_empty_log(self, kit: Kit, logged: ContainerExecutor):
        assert kit.read(logged, kit.run(logged, Program()).container_id) == b""

    def test_the_log_of_what_is_gone_is_an_error(self, kit: Kit, logged: ContainerExecutor):
        container_id = kit.run(logged, Program(stdout=b"x\n")).container_id
        logged.remove(container_id)
        kit.until(lambda: logged.observe(container_id) is None, "it to be gone")
        with pytest.raises(EngineError):
            kit.read(logged, container_id)

    def test_a_log_is_followed_while_its_container_runs(self, kit: Kit, logged: ContainerExecutor):
        if not logged.capabilities.live_logs:
            pytest.skip("its logs are read at the end")
        container_id = kit.begin(logged, Program(stdout=b"up\n", waits=True))
        source = logged.open_log(container_id, NOTHING_STORED, follow=True)
        log = b""
        for block in kit.blocks(source):
            log += block
            if written(log)[0] == b"up\n":
                logged.signal(container_id, "KILL")
        kit.until_state(logged, container_id, "exited")
        log += kit.read(logged, container_id, resume_after(log))
        assert written(log)[0] == b"up\n"
