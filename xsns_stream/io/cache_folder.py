"""The cache folder of the user, which contains results that can be computed again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from platformdirs import user_cache_path

#: Environment variable with the folder.
FOLDER_VARIABLE: Final = "XSNS_STREAM_CACHE"


def cache_folder() -> Path:
    """Return the cache folder: `$XSNS_STREAM_CACHE`, or `xsns-stream` in the user's cache folder."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    return user_cache_path("xsns-stream", appauthor=False)
