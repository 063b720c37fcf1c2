"""How far the reading of each run's log is: follow while it runs, one last read after the exit, then done.

A container that exits at once is read once, after its exit: nothing is followed for its first moment.
"""

from __future__ import annotations

import struct

import structlog

from hosts.errors import ContainerExecutionError
from hosts.executors import frames
from hosts.executors.capabilities import Capabilities
from hosts.executors.log_source import LogSource, Resume
from jobs import logs
from jobs.logs import Piece
from jobs.models import Attempt
from jobs.states import AttemptState
from supervisor.worker import steps
from supervisor.worker.engine import Engine
from supervisor.worker.log_news import LogEnded, LogMoves, PieceRead
from supervisor.worker.run import LogStage, Need, Run
from supervisor.worker.short_log import ShortLog
from supervisor.worker.steps import StepDone

logger = structlog.get_logger(__name__)

_OPEN_AGAIN_SECONDS = 1.0
_DRAIN_SECONDS = 5.0
_LAST_IDLE_SECONDS = 30.0
_LAST_READS = 20
_LINE_OVERHEAD_BYTES = 32
_LIVE = Capabilities(logs=True, live_logs=True)


class Logbook:
    """Opens sources and hands them to the pump; main thread only."""

    def __init__(self, engine: Engine, can: Capabilities = _LIVE) -> None:
        self._engine, self._can = engine, can

    def advance(self, run: Run, now: float) -> None:
        """Do the next thing for the run's log, if there is one to be done now."""
        if run.state in {AttemptState.RUNNING, AttemptState.STOPPING}:
            if not self._can.live_logs:
                return
            if run.need is not Need.OBSERVE and run.log in {LogStage.NONE, LogStage.ENDED} and run.described:
                self._open(run, LogStage.OPENING, now)
        elif run.need is Need.COLLECT:
            self._collect(run, now)

    def _collect(self, run: Run, now: float) -> None:
        if not self._can.logs and run.log is not LogStage.DONE:
            run.logs_note, run.log = "Its executor has no logs to give.", LogStage.DONE
        self._read_to_the_end(run, now)

    def _read_to_the_end(self, run: Run, now: float) -> None:
        if run.log is LogStage.DONE:
            run.need, run.log_clock = Need.END, 0.0
        elif run.log is LogStage.FOLLOWING:
            # The followed stream ends by itself soon after the exit; the last read makes up for a hung one.
            if not run.log_clock:
                run.log_clock = now + _DRAIN_SECONDS
            elif now >= run.log_clock:
                self._engine.pump.drop(run.attempt_id)
                run.log_clock = now + _DRAIN_SECONDS
        elif run.log is LogStage.LAST and now >= run.log_clock:
            # The engine went quiet in the middle of the last read: give it up, and read again.
            self._engine.pump.drop(run.attempt_id)
            run.log_clock = now + _LAST_IDLE_SECONDS
        elif run.log in {LogStage.NONE, LogStage.ENDED} and not run.pieces:
            # Only when everything read before is stored: the last read begins where the stored log ends.
            if run.followed_to_end:  # its end came before the news of the exit: there is nothing to wait for
                run.log_clock = 0.0
            self._open(run, LogStage.LAST_OPENING, now)

    def _open(self, run: Run, stage: LogStage, now: float) -> None:
        if now < run.log_clock or run.pieces:
            return
        resume = _known_end(run) if stage is LogStage.LAST_OPENING else None
        if resume is None and run.next_seq:
            seconds = self._engine.executor.log_tail_seconds
            resume = logs.resume_point(Attempt.objects.get(pk=run.attempt_id), tail_seconds=seconds)
        resume = resume or Resume(tty=bool(run.spec["tty"]))
        follow = stage is LogStage.OPENING
        run.log, run.log_clock, run.followed_to_end = stage, 0.0, False
        self._engine.step(run.attempt_id, "LOG", steps.open_log, run.container_id, resume, follow=follow)

    def opened(self, run: Run | None, done: StepDone, now: float) -> None:
        """A source was opened, or could not be."""
        source = done.result
        if run is None:
            if source is not None:
                source.close()  # type: ignore[attr-defined]
            return
        if done.error is None:
            run.log = LogStage.FOLLOWING if run.log is LogStage.OPENING else LogStage.LAST
            run.log_clock = now + _LAST_IDLE_SECONDS if run.log is LogStage.LAST else 0.0
            self._engine.pump.follow(run.attempt_id, source)  # type: ignore[arg-type]
            return
        if isinstance(done.error, ContainerExecutionError) and run.log is LogStage.LAST_OPENING:
            _give_up(run, str(done.error))
            return
        run.log, run.log_clock = LogStage.ENDED, now + _OPEN_AGAIN_SECONDS

    def harvested(self, run: Run | None, log: ShortLog | LogSource, now: float) -> None:
        """A log came with the news of the exit, before it was asked for."""
        if run is None or run.need is not Need.COLLECT or run.log is not LogStage.NONE:
            if not isinstance(log, ShortLog):
                log.close()
            return
        run.log, run.log_clock = LogStage.LAST, now + _LAST_IDLE_SECONDS
        if isinstance(log, ShortLog):
            self._take_whole(run, log, now)
        else:
            self._engine.pump.follow(run.attempt_id, log)

    def _take_whole(self, run: Run, log: ShortLog, now: float) -> None:
        """What the log pump would tell of it."""
        error, end = "", b""
        try:
            if log.frames:
                piece = Piece.of(log.frames)
                self._take_piece(run, PieceRead(run.attempt_id, piece, 0, log.missing), now)
                end = frames.recognisable_end(log.frames)
        except (ValueError, struct.error) as exc:
            error = f"the log holds something that is no record: {exc}"
        self._take_end(run, LogEnded(run.attempt_id, error, missing=log.missing, end=end), now)

    def take(self, run: Run | None, message: PieceRead | LogEnded | LogMoves, now: float) -> None:
        """A piece was read, or a source came to its end, or it is on its way to something new."""
        if isinstance(message, LogMoves):
            if run is not None and run.log is LogStage.LAST:
                run.log_clock = now + _LAST_IDLE_SECONDS
        elif isinstance(message, PieceRead):
            self._take_piece(run, message, now)
        elif run is not None:
            self._take_end(run, message, now)

    def _take_piece(self, run: Run | None, message: PieceRead, now: float) -> None:
        if run is None:
            self._engine.pump.stored(message.run_id, message.held)
            return
        run.pieces.append(message)
        run.logs_note = run.logs_note or message.missing
        run.vain_reads = 0
        if run.log is LogStage.LAST:
            run.log_clock = now + _LAST_IDLE_SECONDS
        elif run.log is LogStage.FOLLOWING and run.log_clock:
            run.log_clock = now + _DRAIN_SECONDS  # much is left of it, and nothing is faster than following

    def _take_end(self, run: Run, message: LogEnded, now: float) -> None:
        run.logs_note = run.logs_note or message.missing
        end_was_known, run.log_end = bool(run.log_end), message.end
        if message.error:
            logger.debug("log source broke", attempt_id=str(run.attempt_id), reason=message.error)
        if run.log is LogStage.LAST and end_was_known and message.error and not message.is_gone:
            run.log, run.log_clock = LogStage.ENDED, 0.0  # so it is looked for by all that is stored
            return
        if run.log is LogStage.LAST and self._take_last(run, message):
            return
        run.followed_to_end = run.log is LogStage.FOLLOWING and not message.error
        run.log = LogStage.ENDED
        running = run.state is not AttemptState.EXITED
        run.log_clock = now + _OPEN_AGAIN_SECONDS if message.error or running else 0.0
        run.look_clock = now

    def _take_last(self, run: Run, message: LogEnded) -> bool:
        """The last read came to its end; False: it has to be made again."""
        run.vain_reads += 1
        if not message.error:
            run.log, run.log_clock = LogStage.DONE, 0.0
            run.logs_note = run.logs_note or _rotated(run)
        elif message.is_gone or run.vain_reads >= _LAST_READS:
            _give_up(run, message.error)
        return run.log is LogStage.DONE


def _known_end(run: Run) -> Resume | None:
    """Where the log goes on that was followed to its end, known without asking the database."""
    if not run.log_end or run.spec["tty"]:
        return None
    return Resume(
        newest=frames.tally(run.log_end).newest,
        stdout_bytes=run.stdout_bytes,
        stderr_bytes=run.stderr_bytes,
        end=run.log_end,
    )


def _rotated(run: Run) -> str:
    """A sentence if the engine has rotated the log: a reader may then have been left behind without a word.

    It has not as long as all that was read has room below its limit: a file is full before it is rotated,
    and the one before is kept.
    """
    limit = run.seen.log_limit_bytes if run.seen else None
    counted = [read.piece.tally for read in run.pieces]
    payload = (
        run.stdout_bytes + run.stderr_bytes + sum(each.stdout_bytes + each.stderr_bytes for each in counted)
    )
    lines = run.log_lines + sum(each.stdout_lines + each.stderr_lines for each in counted)
    # Of a line the driver writes at most this much more, of each piece of a long one 112 bytes.
    if limit is None or payload + payload // 64 + _LINE_OVERHEAD_BYTES * lines < limit:
        return ""
    return f"The engine rotated the log at {limit} bytes (log_max_size of the host): bytes may be missing."


def _give_up(run: Run, reason: str) -> None:
    run.logs_note = f"The engine gives no log to read: {reason}"[:200]
    run.log, run.log_clock = LogStage.DONE, 0.0
