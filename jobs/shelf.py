"""Templates out of use: what archiving one means, and taking it back."""

from __future__ import annotations

from uuid import UUID

from django.db.models.functions import Now

from jobs.audited import TEMPLATE
from jobs.models import ContainerTemplate
from jobs.operations import Refused


@TEMPLATE.act("archive", fields=("archived_at",))
def archive(template_id: UUID) -> None:
    """Let no new jobs of the template be submitted; those that wait or run go on all the same."""
    used = ContainerTemplate.objects.filter(pk=template_id, archived_at=None)
    if not used.update(archived_at=Now(), updated_at=Now()):
        raise _refusal(template_id, "It is archived already.")


@TEMPLATE.act("unarchive", fields=("archived_at",))
def unarchive(template_id: UUID) -> None:
    """Let jobs of the template be submitted again."""
    shelved = ContainerTemplate.objects.filter(pk=template_id).exclude(archived_at=None)
    if not shelved.update(archived_at=None, updated_at=Now()):
        raise _refusal(template_id, "It is not archived.")


def _refusal(template_id: UUID, rule: str) -> Refused:
    name = ContainerTemplate.objects.filter(pk=template_id).values_list("name", flat=True).first()
    return Refused(f"Template {name}: {rule}" if name else f"There is no template {template_id}.")
