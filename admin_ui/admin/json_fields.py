"""JSON in forms: small boxes, and an empty one means what the column has by default."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.db import models

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Any]
else:
    ModelForm = forms.ModelForm

SMALL_BOXES: dict[type[models.Field[Any, Any]], dict[str, Any]] = {
    models.JSONField: {"widget": forms.Textarea(attrs={"rows": 3, "cols": 100})}
}


class JsonForm(ModelForm):
    """Takes an emptied JSON field for the column's default, where Django would write NULL."""

    def clean(self) -> dict[str, Any] | None:
        """The values, none of them NULL that must not be."""
        cleaned = super().clean()
        model: type[models.Model] = self._meta.model
        for name, field in self.fields.items():
            if isinstance(field, forms.JSONField) and self.cleaned_data.get(name, field) is None:
                self.cleaned_data[name] = model._meta.get_field(name).get_default()  # type: ignore[union-attr]
        return cleaned
