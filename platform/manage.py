"""Django's own command line, for makemigrations and the like; people use `gantry`."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gantry.config.settings")
    execute_from_command_line(sys.argv)
