"""The command line: one verb a file, imported when it is called."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a SightlineError is one sentence and exit code 2."""
    from sightline.cli.app import app
    from sightline.core.errors import SightlineError

    try:
        app()
    except SightlineError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
