"""What the templates of our pages say things with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django import template
from django.templatetags.static import static
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from admin_ui import charts, presenters

register = template.Library()

NOTHING = "\N{EN DASH}"


@register.filter
def ago(at: datetime | None) -> str:
    """A moment: the page's script says how long ago it is, in the viewer's zone; without it, in UTC."""
    return _time(at, "ago")


@register.filter
def clock(at: datetime | None) -> str:
    """A moment as date and time of day, in the viewer's zone."""
    return _time(at, "clock")


@register.filter
def since(at: datetime | None) -> str:
    """How long it has been since then, counted on by the page's script."""
    return _time(at, "since")


def _time(at: datetime | None, kind: str) -> str:
    if at is None:
        return NOTHING
    return format_html(
        '<time datetime="{}" data-time="{}">{}</time>', at.isoformat(), kind, presenters.moment(at)
    )


@register.filter
def duration(seconds: float | None) -> str:
    """`12 s`, `3 min 4 s`; a dash for None."""
    return presenters.duration(seconds) or NOTHING


@register.filter
def size(count: int | None) -> str:
    """`1.5 GiB`; a dash for None."""
    return presenters.size(count) or NOTHING


@register.filter
def sentence(text: str) -> str:
    """A text that ends in one full stop, whether it had one or not."""
    return f"{str(text).rstrip().rstrip('.')}."


@register.simple_tag
def badge(word: str, label: str = "") -> str:
    """A coloured word for a state; the colours are in css/app.css."""
    return format_html('<span class="state state-{}">{}</span>', word, label or word) if word else NOTHING


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A drawing of vendor/icons.svg: an ornament, unless it has a label."""
    sprite = static("admin_ui/vendor/icons.svg")
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}#{}"/></svg>', label, sprite, name
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>', sprite, name)


@register.simple_block_tag
def live(content: str, name: str, url: str, every: int = 3, label: str = "") -> SafeString:
    """A part of the page that asks `url` for itself every so many seconds, and after each act.

    Morphing keeps focus, selection and scroll. It rests while nobody looks at the page (js/live.js).
    """
    return format_html(
        '<div id="{}" class="live" data-live hx-get="{}" hx-trigger="every {}s, refresh" hx-target="this" '
        'hx-ext="morph" hx-swap="morph:innerHTML" hx-sync="this:drop"{}>{}</div>',
        name,
        url,
        every,
        format_html(' role="region" aria-label="{}"', label) if label else "",
        content,
    )


@register.simple_tag
def spark(values: Sequence[float | None], label: str, top: float | None = None) -> SafeString:
    """A small line of how a value went; `label` says it in words."""
    lines = format_html_join("", '<polyline points="{}"/>', ((run,) for run in charts.spark(values, top=top)))
    return format_html(
        '<svg class="spark" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" '
        'aria-label="{}">{}</svg>',
        charts.SPARK_WIDTH,
        charts.SPARK_HEIGHT,
        label,
        lines,
    )
