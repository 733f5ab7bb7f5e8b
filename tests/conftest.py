"""What holds for every test process."""

from __future__ import annotations

import os

# Tests share the cores with each other and with the processes that they start: torch's threads
# must sleep between two operations instead of spinning. It is read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
