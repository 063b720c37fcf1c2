"""Whether this process serves pages. One that only runs jobs leaves out the applications that pages need.

`manage.py` says so before the settings are read. What is left out has no tables, or (axes, django_otp)
such as only logins at pages use, so a process knows all migrations that it needs either way; its imports take
150 ms of CPU at the start of a supervisor.
"""

from __future__ import annotations

are_served = True
