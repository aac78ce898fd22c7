"""Runs a command that ends when the process that asked for it does: tether.py PARENT COMMAND [ARGUMENT]...

A program of its own, run by its path, so that it starts without importing anything else of this package. It becomes
the command, so that signals and the exit status are the command's own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Become the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != int(parent):  # it was gone before the signal was asked for
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
