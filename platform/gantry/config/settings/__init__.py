"""Django settings, in short modules by subject; every value from outside comes through `config.env`."""

from gantry.config.settings.apps import *
from gantry.config.settings.database import *
from gantry.config.settings.security import *
from gantry.config.settings.web import *
