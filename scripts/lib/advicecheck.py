"""scripts/advise on canned logs: the advice, and one clear line on anything else."""
import json
import os
import subprocess

import tree

BOOT = '@boot {"version":"1"}'


MEM = '@mem {"vm":"one","owner":1,"class":"local"}', '@mem {"vm":"two","owner":2,"vcpu":1,"class":"local"}'


def crossing(cause, rip, caller, what, count, *, size=0, domain=1, others=False):
    return "@crossing " + json.dumps({"cause": cause, "rip": rip, "caller": caller, "domain": domain, "others": others,
                                      "address": hex(0x1000 + len(what)), "what": what, "bytes": size, "count": count, "rate": count * 2})


LOG = [BOOT, *MEM, "text @crossing", '[guest] @crossing {"forged":1}',
       crossing("fault", "a+0x1", "b+0x2", "static table+0x10", 2, size=40),  # from the monitor, when it was asked
       crossing("fault", "a+0x1", "b+0x2", "static table+0x10", 4, size=40), crossing("fault", "a+0x1", "c+0x3", "static table+0x8", 3, size=40),
       crossing("fault", "d+0x1", "", "vmalloc area 0xffff of 8192 bytes, at 12", 8, size=8192, domain=2),
       crossing("call", "e+0x5", "", "", 9), crossing("fault", "f+0x1", "g+0x1", "devices", 1),
       crossing("fault", "h+0x1", "", "slab vcpu", 6, size=16384), crossing("fault", "h+0x2", "", "slab vcpu", 5, size=32768, domain=3),
       crossing("fault", "i+0x2", "", "sensitive page, used, order 1, owner 0", 5, size=8192, domain=3),
       crossing("fault", "j+0x2", "", "sensitive page, used, order 0, owner 0", 2, size=4096, others=True)]
ADVICE = """34 crossings by fault, 9 by call
      11 crossings, 22 a second, 1100 ticks: slab vcpu; from h+0x1 (6), h+0x2 (5)
          a cache of class GLOBAL: 32768 bytes, exposed to every guest
       8 crossings, 16 a second, 800 ticks: vmalloc area 0xffff of 8192 bytes; from d+0x1 (8)
          vmalloc() with class LOCAL: 8192 bytes, exposed to two/1 alone
       7 crossings, 14 a second, 700 ticks: static table; from b+0x2 (4), c+0x3 (3)
          __nonsensitive, and its reason in asi/nonsensitive.list: 40 bytes, exposed to every guest
       5 crossings, 10 a second, 500 ticks: sensitive page, used, order 1, owner 0; from i+0x2 (5)
          page_alloc() with class LOCAL: 8192 bytes, exposed to domain 3 alone
       2 crossings, 4 a second, 200 ticks: sensitive page, used, order 0, owner 0; from j+0x2 (2)
          page_alloc() with class GLOBAL: 4096 bytes, exposed to every guest
       1 crossings, 2 a second, 100 ticks: devices; from g+0x1 (1)
          nothing to annotate: leave by call before it, if it is often
"""

# name, lines of the log (None: there is none), more arguments, exit status, standard output, what standard error has
CASES = [
    ("advice", LOG, ["--ticks", "100"], 0, ADVICE, ""),
    ("top", LOG, ["--ticks", "100", "--top", "1"], 0, "".join(ADVICE.splitlines(True)[:3]), ""),
    ("no-crossings", [BOOT], [], 0, "0 crossings by fault, 0 by call\n", ""),
    ("no-log", None, [], 2, "", "No such file or directory"),
    ("other-file", ["hello", "\x00\xff"], [], 2, "", "no @boot record"),
    ("bad-record", [BOOT, '@crossing {"cause":"fault"}'], [], 2, "", "'rip'"),
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
