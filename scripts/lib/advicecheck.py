"""scripts/advise on canned logs: the advice, and one clear line on anything else."""
import json
import os
import subprocess

import tree

BOOT = '@boot {"version":"1"}'


def crossing(cause, rip, caller, what, count):
    return "@crossing " + json.dumps({"cause": cause, "rip": rip, "caller": caller, "domain": 1, "address": "0x1000",
                                      "what": what, "count": count})


LOG = [BOOT, "text @crossing", '[guest] @crossing {"forged":1}',
       crossing("fault", "a+0x1", "b+0x2", "static table+0x10", 4), crossing("fault", "a+0x1", "c+0x3", "static table+0x8", 3),
       crossing("fault", "d+0x1", "", "vmalloc area 0xffff of 8192 bytes, at 12", 8),
       crossing("call", "e+0x5", "", "", 9), crossing("fault", "f+0x1", "g+0x1", "devices", 1)]
ADVICE = """16 crossings by fault, 9 by call
       8 crossings,        800 ticks: vmalloc area 0xffff of 8192 bytes; from d+0x1 (8)
          vmalloc() with class LOCAL or GLOBAL
       7 crossings,        700 ticks: static table; from b+0x2 (4), c+0x3 (3)
          __nonsensitive, and its reason in asi/nonsensitive.list
       1 crossings,        100 ticks: devices; from g+0x1 (1)
          nothing to annotate: leave by call before it, if it is often
"""

# name, lines of the log (None: there is none), more arguments, exit status, standard output, what standard error has
CASES = [
    ("advice", LOG, ["--ticks", "100"], 0, ADVICE, ""),
    ("top", LOG, ["--ticks", "100", "--top", "1"], 0, "".join(ADVICE.splitlines(True)[:3]), ""),
    ("no-crossings", [BOOT], [], 0, "0 crossings by fault, 0 by call\n", ""),
    ("no-log", None, [], 2, "", "No such file or directory"),
    ("other-file", ["hello", "\x00\xff"], [], 2, "", "no @boot record"),
    ("bad-record", [BOOT, '@crossing {"cause":"fault"}'], [], 2, "", "'what'"),
    ("bad-count", [BOOT, crossing("fault", "a", "b", "c", "many")], [], 2, "", "docs/serial.md"),
    ("bad-option", [BOOT], ["--top", "all"], 2, "", "--top"),
]


def run_case(case, log):
    """None, or why it failed."""
    name, lines, options, status, out, said = case
    path = f"{log}.{name}"
    if lines is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines))
    found = subprocess.run([os.path.join(tree.ROOT, "scripts/advise"), path, *options], capture_output=True, text=True,
                           check=False)
    if found.returncode != status:
        return f"{name}: exit status {found.returncode}, expected {status}: {found.stderr}"
    if found.stdout != out:
        return f"{name}: said {found.stdout!r}"
    if said not in found.stderr or found.stderr.count("\n") != (status == 2):
        return f"{name}: not one clear line: {found.stderr!r}"
    return None


def run_check(log):
    """None, or why the first of the cases failed."""
    return next(filter(None, (run_case(case, log) for case in CASES)), None)
