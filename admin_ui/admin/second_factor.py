"""The devices of second factors, for who has to take away one that was lost."""

from __future__ import annotations

from django.contrib import admin
from django_otp.plugins.otp_static.admin import StaticDeviceAdmin
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.admin import TOTPDeviceAdmin
from django_otp.plugins.otp_totp.models import TOTPDevice

from admin_ui.admin.audited import Audited

for model in (StaticDevice, TOTPDevice):  # the library has registered them when it was imported just now
    admin.site.unregister(model)


@admin.register(TOTPDevice)
class AppAdmin(Audited, TOTPDeviceAdmin):  # type: ignore[misc]  # the library is not typed
    """An authenticator app."""


@admin.register(StaticDevice)
class CodesAdmin(Audited, StaticDeviceAdmin):  # type: ignore[misc]
    """Recovery codes."""
