"""Faults on demand (crash=KIND, boot/crash.c): each ends the machine with the panic verdict, and what it
prints says which fault it was, where, and how we got there."""
import re

import guesttests
from serial import read_log, records

# KIND, then a regex for each line that has to be there.
CASES = [
    ("ud", [r"^trap 6 \(invalid opcode\)", r"#0 .* invalid_opcode\+0x", r"#\d+ .* hv_serve\+0x"]),
    ("low", [r"^trap 14 \(page fault\)", r"^  read of 0x1000: nothing is mapped there", r"#0 .* low_read\+0x"]),
    ("gp", [r"^trap 13 \(general protection\)", r"#0 .* noncanonical\+0x"]),
    ("text", [r"^  write of 0xffffffff80\w+: not allowed by the mapping", r"#0 .* text_write\+0x"]),
    ("init", [r"^  write of 0xffffffff80\w+: nothing is mapped there", r"#0 .* freed_init\+0x"]),
    ("stack", [r"^trap 8 \(double fault\)", r"#1 .* overflow\S*\+0x"]),
    ("assert", [r"^panic: boot/crash.c:\d+: failed_assert: assertion failed: sensitive_word != 0"]),
    ("canary", [r"^panic: stack overwritten: the canary of a function has changed", r"#0 .* buffer_overrun\+0x"]),
    ("base", [r"^panic: asi/switch.c:\d+: asi_switch: assertion failed: .*stack_is_sensitive"]),
    ("df", [r"^trap 8 \(double fault\)", r"^  rip .* rsp 0010:ffff91", r"#1 .* overflow\S*\+0x"]),
    ("mc", [r"machine check: global status 0x0; no way to go on", r"^trap 18 \(machine check\)",
            r"#0 .* machine_check\S*\+0x"]),
    ("critical", [r"that leaving it does not serve: no progress", r"unrestricted walk: present",
                  r"restricted walk  : absent", r"#0 .* critical_section\+0x"]),
]

NO_TRAP = ("assert", "canary", "base")  # panics without registers


def run_case(case, log):
    """None, or why it failed."""
    kind, regexes = case
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", "60", "--cmdline", f"crash={kind}")
    if status != 4:
        return f"exit status {status}, expected 4" + (f"; {said}" if said else "")
    lines = read_log(log)
    for regex in [*regexes, r"^  rip [0-9a-f]{4}:" if kind not in NO_TRAP else ""]:
        if not any(re.search(regex, line) for line in lines):
            return f"no line matches {regex!r}"
    return None if len(list(records(lines, "panic"))) == 1 else "not exactly one @panic record"
