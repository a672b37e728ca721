"""A guest that is alone: turns that end, halts and wakes cost no crossing. It goes in once and comes out once; with
asi=off it never does, and no CR3 is written; without PCIDs it is as with them."""
import os

import guesttests
import tree
from serial import read_log, records

# What @asi says of each boot: name, command line, (enters, exits_fault, exits_call), CR3 writes
BOOTS = (
    ("asi-on", "", (1, 0, 1), 2),
    ("no-pcid", "pcid=off", (1, 0, 1), 2),
    ("asi-off", "asi=off", (0, 0, 0), 0),
)


def judge(lines, switches, writes, asi):
    """None, or what contradicts the numbers."""
    for cpu in records(lines, "asi"):
        if (cpu["enters"], cpu["exits_fault"], cpu["exits_call"]) != switches:
            return f"enters and exits: {cpu}"
        if cpu["flush"] + cpu["noflush"] != writes:
            return f"writes of CR3: {cpu}"
    exits = {record["reason"]: record for record in records(lines, "exits")}
    for reason in ("HLT", "PREEMPTION_TIMER"):
        if reason not in exits:
            return f"no exit by {reason}: nothing was tested"
        if exits[reason]["restricted"] != (exits[reason]["count"] if asi else 0):
            return f"{reason} was not always served restricted: {exits[reason]}"
    return None


def run_turns(log):
    """None, or why it failed."""
    guest = os.path.join(tree.ROOT, guesttests.GUESTS, "switch.elf,mem=32:seed=1")
    for name, cmdline, switches, writes in BOOTS:
        status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "120", "--cmdline", cmdline, "--guest", guest)
        if status != 0:
            return f"{name}: exit status {status}" + (f"; {said}" if said else "")
        lines = read_log(log)
        if not records(lines, "asi"):
            return f"{name}: no @asi record"
        why = judge(lines, switches, writes, name != "asi-off")
        if why:
            return f"{name}: {why}"
    return None
