"""A guest that is alone: turns that end, halts and wakes cost no crossing. It goes in once and comes out once."""
import os

import guesttests
import tree
from serial import read_log, records


def run_turns(log):
    """None, or why it failed."""
    guest = os.path.join(tree.ROOT, guesttests.GUESTS, "switch.elf,mem=32:seed=1")
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "60", "--guest", guest)
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    lines = read_log(log)
    for cpu in records(lines, "asi"):
        if (cpu["enters"], cpu["exits_fault"], cpu["exits_call"]) != (1, 0, 1):
            return f"not in once and out once: {cpu}"
    exits = {record["reason"]: record for record in records(lines, "exits")}
    for reason in ("HLT", "PREEMPTION_TIMER"):
        if reason not in exits:
            return f"no exit by {reason}: nothing was tested"
        if exits[reason]["restricted"] != exits[reason]["count"]:
            return f"{reason} was not always served restricted: {exits[reason]}"
    return None
