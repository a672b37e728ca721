"""NMI torture (torture=on, boot/torture.c): every scenario ran, with an injection at each boundary, and found nothing."""
import os

import guesttests
import tree
from serial import read_log, records

TIMEOUT = 300  # seconds

# name, options of scripts/run, whether the CPU has PCIDs (they need INVPCID here, which QEMU does not emulate)
CASES = [
    ("bochs", ["--machine", "bochs", "--guest", os.path.join(tree.ROOT, guesttests.GUESTS, "hello.elf")], True),
    ("uefi", ["--machine", "qemu-uefi"], False),
]


def run_case(case, log):
    """None, or why it failed."""
    _, options, pcid = case
    status, said = guesttests.run(log, *options, "--timeout", str(TIMEOUT), "--cmdline", "torture=on")
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    lines = read_log(log)
    if any(boot["pcid"] != pcid for boot in records(lines, "boot")):
        return f"this was to be a machine {'with' if pcid else 'without'} PCIDs"
    found = list(records(lines, "torture"))
    if not found:
        return "no @torture record"
    few = [row["scenario"] for row in found if row["injected"] < row["boundaries"] or row["failures"]]
    return f"too few injections, or failures, in {', '.join(few)}" if few else None
