"""Cells of list pages and read-only fields, as safe HTML."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from admin_ui import presenters

NOTHING = "-"


def badge(word: str, label: str) -> str:
    """A coloured label; the colours are in admin_ui/badges.css."""
    return format_html('<span class="badge badge-{}">{}</span>', word, label) if word else NOTHING


def job_link(job_id: UUID, text: str) -> SafeString:
    """A link to a job's page."""
    return format_html('<a href="{}">{}</a>', reverse("admin:jobs_containerjob_change", args=[job_id]), text)


def log_link(job_id: UUID, number: int, text: str) -> SafeString:
    """A link to the log of one attempt."""
    url = reverse("admin:jobs_containerjob_log", args=[job_id])
    return format_html('<a href="{}?attempt={}">{}</a>', url, number, text)


def measured(figures: Mapping[str, Any]) -> SafeString:
    """What a run used, a line for each figure; those that nobody took say so."""
    return format_html_join("\n", "<div>{}: {}</div>", presenters.measures(figures))


def short(identifier: str) -> str:
    """The first characters of a container id, as Docker shows it."""
    return identifier[:12] or NOTHING
