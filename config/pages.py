"""Whether this process serves pages. One that only runs jobs leaves out the applications that pages need.

`manage.py` says so before the settings are read. What is left out has no tables, so the migrations that a
process knows are the same either way; its imports take 150 ms of CPU at the start of a supervisor.
"""

from __future__ import annotations

are_served = True
