"""What can be run: templates with their variables and networks."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminTextareaWidget
from django.db import models
from django.forms import Textarea
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from admin_ui.admin.bases import Choices, ModelAdmin, TabularInline
from admin_ui.admin.columns import NOTHING
from admin_ui.admin.json_fields import SMALL_BOXES, JsonForm
from admin_ui.admin.secrets import VariableFields, VariableForm, VariableFormSet, mark
from admin_ui.commands import argv
from hosts.models import DockerHost
from jobs import needs
from jobs.models import ContainerTemplate, EnvironmentVariable, NetworkAssignment


class VariableInline(VariableFields, TabularInline[EnvironmentVariable, ContainerTemplate]):
    model = EnvironmentVariable
    form = VariableForm
    formset = VariableFormSet
    extra = 0


class NetworkInline(TabularInline[NetworkAssignment, ContainerTemplate]):
    model = NetworkAssignment
    formfield_overrides = {models.JSONField: {"widget": Textarea(attrs={"rows": 1, "cols": 50})}}
    extra = 0


@admin.register(ContainerTemplate)
class TemplateAdmin(ModelAdmin[ContainerTemplate]):
    readonly_fields = ("as_argv", "not_on")
    list_display = ("name", "docker_image", "memory_limit", "cpu_limit", "timeout_seconds", "updated_at")
    search_fields = ("name", "docker_image", "description")
    show_full_result_count = False
    inlines = (VariableInline, NetworkInline)
    form = JsonForm
    formfield_overrides = {
        **SMALL_BOXES,
        models.TextField: {"widget": AdminTextareaWidget(attrs={"rows": 3, "cols": 80})},
    }
    fieldsets = (
        (None, {"fields": ("name", "description")}),
        (
            _("What runs"),
            {
                "fields": (
                    *("docker_image", "pull_policy", "entrypoint", "command"),
                    *("user", "working_directory", "tty", "container_labels"),
                ),
                "description": _("The image, and what is started in it. Jobs may bring their own command."),
            },
        ),
        (
            _("How much it may have, and for how long"),
            {
                "fields": (
                    "memory_limit",
                    "cpu_limit",
                    "start_deadline_seconds",
                    "timeout_seconds",
                    "max_log_bytes",
                    "resources",
                ),
                "description": _("What is over its limit is stopped, and says so."),
            },
        ),
        (_("Files"), {"fields": ("volumes", "tmpfs"), "description": _("What it sees of its host's disks.")}),
        (_("Network"), {"fields": ("ports", "extra_hosts")}),
        (
            _("Security"),
            {"fields": ("security",), "description": _("A host's policy has the last word on these.")},
        ),
        (
            _("Where it may run"),
            {
                "fields": ("required_executor", "required_labels", "preferred_labels"),
                "description": _("Nothing here: every host that can do what it asks for."),
            },
        ),
        (
            _("How many at once"),
            {
                "fields": ("max_concurrent", "limit_key"),
                "description": _("Over all hosts together; what is too many waits."),
            },
        ),
        (_("How it is stopped"), {"fields": ("stop_signal", "stop_grace_seconds")}),
        (
            _("When it fails"),
            {
                "fields": (
                    "max_attempts",
                    "retry_on",
                    "retry_delay_seconds",
                    "retry_max_delay_seconds",
                    "infra_retries",
                ),
                "description": _("What has started is run again only if you say so here."),
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: ContainerTemplate | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        return [*fieldsets, (_("As it is stored"), {"fields": ("as_argv", "not_on")})] if obj else fieldsets

    @admin.display(description=_("the command, word by word"))
    def as_argv(self, template: ContainerTemplate) -> str:
        words = argv(template)
        if words is None:
            return str(_("It cannot be read: a quote is open."))
        return format_html_join(" ", "<code>{}</code>", ((word,) for word in words)) or str(
            _("the image's own")
        )

    @admin.display(description=_("hosts that cannot run it"))
    def not_on(self, template: ContainerTemplate) -> str:
        return " ".join(_unable(template)) or NOTHING

    def response_post_save_add(self, request: HttpRequest, obj: ContainerTemplate) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:template", args=[obj.pk]))

    def response_post_save_change(self, request: HttpRequest, obj: ContainerTemplate) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:template", args=[obj.pk]))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        for formset in formsets:
            for one in formset.forms:
                if isinstance(one.instance, EnvironmentVariable) and one.has_changed():
                    mark(one.instance, one, request.user.get_username())
        super().save_related(request, form, formsets, change)
        for host in _unable(form.instance):
            self.message_user(request, host, messages.WARNING)


def _unable(template: ContainerTemplate) -> list[str]:
    """A sentence for each active host whose executor cannot run the template, with the reasons."""
    if template._state.adding:
        return []
    found = []
    reasons: dict[str, list[str]] = {}
    for host in DockerHost.objects.active().only("name", "executor_type").order_by("name"):
        kind = host.executor_type
        reasons[kind] = reasons[kind] if kind in reasons else needs.lacking(kind, template)
        if reasons[kind]:
            found.append(f"Host {host.name} cannot run it: {' '.join(reasons[kind])}")
    return found


class _OfTemplate(Choices, ModelAdmin[Any]):
    list_select_related = ("template",)
    show_full_result_count = False
    autocomplete_fields = ("template",)


@admin.register(EnvironmentVariable)
class VariableAdmin(VariableFields, _OfTemplate):
    form = VariableForm
    list_display = ("key", "template", "is_secret", "reference", "as_file", "set_at", "set_by")
    list_filter = ("is_secret",)
    search_fields = ("key", "template__name")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("template", *super().get_fields(request, obj))

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[EnvironmentVariable]:
        return super().get_queryset(request).defer("value")

    def save_model(self, request: HttpRequest, obj: EnvironmentVariable, form: Any, change: bool) -> None:
        mark(obj, form, request.user.get_username())
        super().save_model(request, obj, form, change)


@admin.register(NetworkAssignment)
class NetworkAdmin(_OfTemplate):
    list_display = ("network_name", "template")
    search_fields = ("network_name", "template__name")
