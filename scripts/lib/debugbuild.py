"""The debug build (make B=build/debug DEBUG=1) boots, runs its self-test unasked and then its guest."""
import os
import re

import guesttests
import tree
from serial import read_log, records

IMAGE = os.path.join(tree.ROOT, "build/debug/vestibule.elf")


def boot(log, *guests):
    """(exit status, what it said, lines of the log)"""
    given = [word for guest in guests for word in ("--guest", os.path.join(tree.ROOT, guesttests.GUESTS, guest))]
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "120", "--image", IMAGE, *given)
    return status, said, read_log(log)


def run_debug(log):
    """None, or why it failed."""
    status, said, lines = boot(log, "hello.elf")
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    if not all(record["debug"] for record in records(lines, "boot")):
        return "this is no debug build"
    if not any(re.search(r"^selftest: (\d+) of \1 passed", line) for line in lines):
        return "the self-test did not run, or failed"
    return None


# name: options, and how it ends
STRICT = {
    "before": ("mem=16:", "pass", None),
    "strict": ("mem=16,asi=strict:", "stopped", "sensitive-access"),
    "locked": ("mem=16,asi=strict:locked=1", "stopped", "sensitive-access"),
    "vcpu": ("mem=16,asi=strict,domain=vcpu:", "stopped", "sensitive-access"),
    "off": ("mem=16,asi=off:", "pass", None),
    "after": ("mem=16:locked=1", "pass", None),
}


def run_strict(log):
    """Guests that make a handler touch sensitive memory: None if those with asi=strict end, and the others do not."""
    status, said, lines = boot(log, *(f"strict.elf,name={name},{options}" for name, (options, _, _) in STRICT.items()))
    if status != 1:
        return f"exit status {status}" + (f"; {said}" if said else "")
    for name, (_, verdict, reason) in STRICT.items():
        found = [(g["verdict"], g["reason"]) for g in records(lines, "guest") if g["vm"] == name]
        if found != [(verdict, reason)]:
            return f"{name}: {found}, not {verdict}, {reason}"
    # Those that were served: one crossing each, but asi=off, which has no space to leave.
    if any("still here" in line and re.match(r"\[(strict|locked|vcpu)\]", line) for line in lines):
        return "a strict guest went on"
    if sum(a["violations"] for a in records(lines, "audit")):
        return "the audit found something"
    return None
