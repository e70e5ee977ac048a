"""Django settings, in short modules by subject; every value from outside comes through `config.env`."""

from gantry.config.settings.apps import *  # noqa: F403
from gantry.config.settings.database import *  # noqa: F403
from gantry.config.settings.security import *  # noqa: F403
from gantry.config.settings.web import *  # noqa: F403
