"""Where real data lie that tests read: published files that are not part of the project."""

import os
from pathlib import Path

SHARED = Path(os.environ.get("ISOGLOSS_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
