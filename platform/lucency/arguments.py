"""Command lines."""

import argparse
from typing import NoReturn

from lucency.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """What is wrong with a command line is told as what is wrong with a configuration."""

    def error(self, message: str) -> NoReturn:
        """
        Instead of leaving the process.

        Raises:
            ConfigError: always; it says what was found and how the line has to be.
        """
        raise ConfigError(f"{message}; {' '.join(self.format_usage().split())}")
