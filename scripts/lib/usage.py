"""Bad usage and missing tools: one line on stderr, exit status 2."""
import argparse
import os
import shutil
import sys


class Usage(Exception):
    """What the caller did wrong, or what the machine lacks, in one line."""


def need(*things):
    """Each is a command or the absolute path of a file; Usage names the first one missing."""
    for thing in things:
        if not (os.path.exists(thing) if thing.startswith("/") else shutil.which(thing)):
            raise Usage(f"{thing} is missing: scripts/deps installs it")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage page."""

    def error(self, message):
        raise Usage(f"{message} (--help explains)")


def run_main(main):
    """Runs main() as a whole program."""
    try:
        sys.exit(main())
    except Usage as wrong:
        print(f"{os.path.basename(sys.argv[0])}: {wrong}", file=sys.stderr)
        sys.exit(2)
