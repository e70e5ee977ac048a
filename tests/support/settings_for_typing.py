"""The settings, for a type checker: it reads them and connects to nothing."""

import os

os.environ.update(
    {
        "GANTRY_SECRET_KEY": "only-read-by-a-type-checker",
        "GANTRY_CONTEXT_KEY": "00" * 32,
        "GANTRY_JOB_KEY": "00" * 32,
        "GANTRY_DATABASE__HOST": "nowhere.invalid",
    }
)

from gantry.config.settings import *  # noqa: F403 - the environment comes first
