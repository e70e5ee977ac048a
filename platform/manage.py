"""Django's own command line, for makemigrations and the like; people use `gantry`."""

import sys

from django.core.management import execute_from_command_line

from gantry.config.env import use_settings

if __name__ == "__main__":
    use_settings()
    execute_from_command_line(sys.argv)
