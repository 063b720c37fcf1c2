"""What our processes say when they end; the README has the same list."""

from __future__ import annotations

OK = 0
FAILED = 1
NOT_FOUND = 4  # what was named does not exist
INTERNAL = 70  # sysexits.h EX_SOFTWARE: a bug; the log has the traceback
TRY_LATER = 75  # EX_TEMPFAIL: the database is away, migrations are missing, the lease is somebody else's
CONFIGURATION = 78  # EX_CONFIG: a person must edit a setting or a row
