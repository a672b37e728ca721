"""The debug build (make B=build/debug DEBUG=1) boots, runs its self-test unasked and then its guest."""
import os
import re

import guesttests
import tree
from serial import read_log, records

IMAGE = os.path.join(tree.ROOT, "build/debug/vestibule.elf")


def run_debug(log):
    """None, or why it failed."""
    guest = os.path.join(tree.ROOT, guesttests.GUESTS, "hello.elf")
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "60", "--image", IMAGE,
                                  "--guest", guest)
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    lines = read_log(log)
    if not all(boot["debug"] for boot in records(lines, "boot")):
        return "this is no debug build"
    if not any(re.search(r"^selftest: (\d+) of \1 passed", line) for line in lines):
        return "the self-test did not run, or failed"
    return None
