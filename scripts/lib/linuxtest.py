"""Unmodified systems as guests: Debian's kernel to userspace and its verdict, memtest86+ through its first tests. Their
packages come by the network (scripts/linux); where they cannot be had, the tests are skipped."""
import hashlib
import os
import re
import subprocess
import threading

import children
import guesttests
import tree
from serial import read_log, records
from skip import Skip

OUT = "build/linux"
DISK = f"{OUT}/disk.img"
TIMEOUT = 900  # seconds for each boot
SHARE = 0.999  # of all exits are served restricted

# Kernel and guest options, its command line, verdict and reason, lines of its output that have to be there ({disk}:
# the sum of the disk). The kernel skips its crypto self-tests, which are half of a boot.
CASES = [
    ("linux", f"{OUT}/vmlinuz,initrd={OUT}/initrd.gz,disk={DISK}", "console=ttyS0 quiet cryptomgr.notests", ("pass", None),
     [r"^ok 200 processes$", r"^ok timers$", r"^by virtio$", r"^disk: 2048 sectors, sha256 {disk} ", r"^ok written to the disk$",
      r"^ok the disk as it was$", r"^userspace: 0 failed$"]),
    ("memtest", f"{OUT}/memtest.bin,mem=24,limit=12000", "console=ttyS0,115200 nosmp", ("stopped", "time-limit"),
     [r"Memtest86\+", r"Address test, walking ones", r"Address test, own address", r"Moving inversions", r"Errors: 0 "]),
]


_preparing = threading.Lock()  # of the same files for all


def prepare(log):
    """None, or why the systems cannot be had."""
    with _preparing, open(log, "wb") as out:
        status, said = children.run([os.path.join(tree.ROOT, "scripts/linux"), "--memtest"], TIMEOUT, cwd=tree.ROOT,
                                    stdout=out, stderr=subprocess.PIPE, text=True, errors="replace")
    return Skip(said.strip().splitlines()[-1] if said.strip() else f"scripts/linux: exit status {status}") if status else None


def judge(lines, verdict, regexes):
    guests = records(lines, "guest")
    if [(guest["verdict"], guest["reason"]) for guest in guests] != [verdict]:
        return f"not {verdict}: {guests}"
    # A line of the guest's may be cut in two: the screen of memtest86+ has no ends of lines.
    output = [re.sub(r"^\[[^]]*\] ", "", line) for line in lines if line.startswith("[")]
    joined = output + ["".join(output)]
    for regex in regexes:
        if not any(re.search(regex, line) for line in joined):
            return f"no output matches {regex!r}"
    if any("Errors: " in line and not re.search(r"Errors: (0 |$)", line) for line in output):
        return "memtest86+ has found errors"
    exits = records(lines, "exits")
    count = sum(record["count"] for record in exits)
    restricted = sum(record["restricted"] for record in exits)
    if not count or restricted < SHARE * count:
        return f"{restricted} of {count} exits were served restricted"
    return None


def run_case(case, log):
    """None, why it failed, or a Skip."""
    _, guest, arguments, verdict, regexes = case
    missing = prepare(log)
    if missing:
        return missing
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", str(TIMEOUT), "--guest", f"{guest}:{arguments}")
    if status != (0 if verdict[0] == "pass" else 1):
        return f"exit status {status}" + (f"; {said}" if said else "")
    with open(os.path.join(tree.ROOT, DISK), "rb") as disk:
        digest = hashlib.sha256(disk.read()).hexdigest()
    return judge(read_log(log), verdict, [regex.replace("{disk}", digest) for regex in regexes])
