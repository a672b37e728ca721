"""Guest tests: what guest-tests/expect.txt demands, the boots that serve it, and how a log is judged.

The head of that file explains its columns. A name may have several rows: the second row's VM and test
are called NAME-2, and so on. A leading ! gives a row a boot of its own. A verdict fail:CODE or
stopped:REASON demands that code or reason too.
"""
import collections
import os
import re
import subprocess

import children
import tree
from serial import read_log, records

EXPECT = "guest-tests/expect.txt"
GUESTS = "build/guests"
PER_BOOT = 4
MEM = 512      # MiB of every boot
TIMEOUT = 180  # seconds


class Row:
    def __init__(self, line):
        columns = [column.strip() for column in line.split("|", 4)]
        if len(columns) != 5:
            raise ValueError("a row has five columns")
        self.name, options, self.arguments, verdict, self.regex = columns
        self.alone = self.name.startswith("!")
        self.name = self.name.lstrip("! ")
        self.image = os.path.join(tree.ROOT, GUESTS, self.name + ".elf")
        self.options = re.split(r"[\s,]+", options) if options else []
        self.verdict, _, self.detail = verdict.partition(":")
        if self.verdict not in ("pass", "fail", "stopped", "any"):
            raise ValueError(f"unknown verdict {verdict!r}")
        re.compile(self.regex)

    def spec(self):
        return ",".join([self.image, f"name={self.name}", *self.options]) + ":" + self.arguments


def read_rows():
    """All rows; ValueError says where the file is wrong."""
    rows = []
    for number, line in enumerate(tree.read(EXPECT).splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            try:
                rows.append(Row(line))
            except (ValueError, re.error) as wrong:
                raise ValueError(f"{EXPECT}:{number}: {wrong}") from wrong
    seen = collections.Counter()
    for row in rows:
        seen[row.name] += 1
        if seen[row.name] > 1:
            row.name += f"-{seen[row.name]}"
    return rows


def boots(rows):
    """Rows that share a boot: one each for those that want to be alone, else PER_BOOT."""
    together = [row for row in rows if not row.alone]
    return [[row] for row in rows if row.alone] + \
           [together[at:at + PER_BOOT] for at in range(0, len(together), PER_BOOT)]


def run(log, *args):
    """scripts/run: (exit status, what it said on stderr)."""
    status, said = children.run([os.path.join(tree.ROOT, "scripts/run"), "--log", log, *args],
                                cwd=tree.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                text=True, errors="replace")
    return status, said.strip()


def run_rows(rows, log):
    """Boots @rows together: [(row, why it failed or None)]."""
    specs = [word for row in rows for word in ("--guest", row.spec())]
    status, said = run(log, "--machine", "bochs", "--mem", str(MEM), "--timeout", str(TIMEOUT), *specs)
    if status not in (0, 1, 3):
        return [(row, said or ("the hypervisor panicked" if status == 4 else f"exit status {status}")) for row in rows]
    lines = read_log(log)
    verdicts = {guest.get("vm"): guest for guest in records(lines, "guest")}
    wrong = [judge(row, lines, verdicts) for row in rows]
    if status != 3:
        passed = all(guest.get("verdict") == "pass" for guest in verdicts.values())
        if passed != (status == 0):
            wrong = [why or f"exit status {status}, but @guest records say otherwise" for why in wrong]
    return [(row, why and (f"{why}; {said}" if said else why)) for row, why in zip(rows, wrong)]


def judge(row, lines, verdicts):
    guest = verdicts.get(row.name)
    if guest is None:
        return "no verdict"
    got = f"{guest.get('verdict')}, reason {guest.get('reason')!r}, code {guest.get('code')}"
    if row.verdict not in (guest.get("verdict"), "any"):
        return f"expected {row.verdict}, got {got}"
    if row.detail and row.detail not in (guest.get("reason"), str(guest.get("code"))):
        return f"expected {row.verdict}:{row.detail}, got {got}"
    prefix = f"[{row.name}] "
    output = [line[len(prefix):] for line in lines if line.startswith(prefix)]
    if row.regex and not any(re.search(row.regex, line) for line in output):
        return f"no output matches {row.regex!r}"
    return None
