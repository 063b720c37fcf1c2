"""Logs: one event a line, as JSON or for people, with secrets masked, whoever wrote it.

Our code logs through structlog (`logger.info("attempt ended", attempt=7)`), libraries through the standard
library; both end in its one handler, so a level, a broken pipe or a test's capture is the same for both.
Fields bound with `structlog.contextvars` ride along on every line.
"""

from __future__ import annotations

import logging
import logging.config
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.environment import Environment
from hosts import log_fields
from hosts.masking import mask_field

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


PROBES = ("/health/", "/metrics")


class CurrentStream(logging.StreamHandler[TextIO]):
    """Writes to what `sys.stdout` (or stderr) is at that moment, so redirected output holds the logs too."""

    def __init__(self, name: str) -> None:
        logging.Handler.__init__(self)
        self.stream_name = name

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        stream: TextIO = getattr(sys, self.stream_name)
        return stream


class LeaveOutGoodProbes(logging.Filter):
    """Drops the access lines of health probes that succeeded: a few a second, and they say nothing."""

    def filter(self, record: logging.LogRecord) -> bool:
        atoms = record.args
        if not isinstance(atoms, Mapping):
            return True
        path, status = str(atoms.get("U", "")), str(atoms.get("s", ""))
        return not (path.startswith(PROBES) and status < "400")


class LeaveOutAnsweredProbes(logging.Filter):
    """Drops Django's ERROR for each probe that answers 503: that is an answer, and has its access line."""

    def filter(self, record: logging.LogRecord) -> bool:
        path = getattr(getattr(record, "request", None), "path", "")
        return not (path.startswith(PROBES) and getattr(record, "status_code", None) == 503)  # noqa: PLR2004


def mask_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """structlog's form of `mask`; the last step before a line is written."""
    return {key: mask_field(key, one) for key, one in event.items()}


def add_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Which of our many processes speaks."""
    return log_fields.added({**event, "pid": event["_record"].process})


def settings_from(env: Environment, *, debug: bool) -> dict[str, Any]:
    """What `configure` takes, from LOG_LEVEL, LOG_FORMAT and LOG_STREAM."""
    return build(
        level=env.choice("LOG_LEVEL", "INFO", among=LEVELS),
        form=env.choice("LOG_FORMAT", "console" if debug else "json", among=("json", "console")),
        stream=env.choice("LOG_STREAM", "stdout", among=("stdout", "stderr")),
    )


def build(*, level: str, form: str, stream: str) -> dict[str, Any]:
    """A `logging.config` dictionary; every logger there is writes through the root's one handler."""
    through_root = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": "config.logging.line_formatter", "form": form}},
        "filters": {
            "good_probes": {"()": "config.logging.LeaveOutGoodProbes"},
            "answered_probes": {"()": "config.logging.LeaveOutAnsweredProbes"},
        },
        "handlers": {
            "console": {"()": "config.logging.CurrentStream", "name": stream, "formatter": "line"},
        },
        "root": {"handlers": ["console"], "level": level},
        "loggers": {
            "django": through_root,
            "django.request": {**through_root, "filters": ["answered_probes"]},
            "django.server": through_root,
            "gunicorn.error": through_root,
            "gunicorn.access": {**through_root, "filters": ["good_probes"]},
            # Logs every failing check with a traceback, at every probe; the answer already says it.
            "health_check": {**through_root, "level": "CRITICAL"},
            # Their INFO and DEBUG lines hold whole requests, headers and bodies included.
            "docker": {**through_root, "level": "WARNING"},
            "urllib3": {**through_root, "level": "WARNING"},
            "asyncio": {**through_root, "level": "WARNING"},
        },
    }


class BoundLogger(structlog.stdlib.BoundLogger):
    """structlog's, but quick about what is below its level: three such events cost a job 0.1 ms."""

    def debug(self, event: str | None = None, *args: Any, **words: Any) -> Any:
        """As structlog's."""
        return super().debug(event, *args, **words) if self._is_heard(logging.DEBUG) else None

    def info(self, event: str | None = None, *args: Any, **words: Any) -> Any:
        """As structlog's."""
        return super().info(event, *args, **words) if self._is_heard(logging.INFO) else None

    def _is_heard(self, level: int) -> bool:
        is_by_level = structlog.stdlib.filter_by_level in self._processors  # a test may want them all
        return not is_by_level or bool(self._logger.isEnabledFor(level))


_BEFORE: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(settings: dict[str, Any]) -> None:
    """Django's LOGGING_CONFIG, and structlog's way into it."""
    logging.config.dictConfig(settings)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_BEFORE,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=BoundLogger,
        cache_logger_on_first_use=True,
    )


def line_formatter(form: str) -> logging.Formatter:
    """The formatter of every handler; `form` is `json` or `console`."""
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if form == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_BEFORE, structlog.stdlib.ExtraAdder()],
        processors=[
            add_process,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            mask_event,
            renderer,
        ],
    )
