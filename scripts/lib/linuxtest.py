"""Unmodified systems as guests: Debian's kernel to userspace and its verdict, alone, on several vCPUs, twice at once, and in
every mode of isolation; memtest86+ through its first tests; GNU Mach and Xen, which come by Multiboot, up to where they miss
what they should start. Their packages come by the network (scripts/linux); where they cannot be had, the tests are skipped."""
import collections
import hashlib
import os
import re
import subprocess
import threading

import children
import guesttests
import tree
from inspections import judge_secrets
from serial import read_log, records
from skip import Skip

OUT = "build/linux"
TIMEOUT = 1800  # seconds for each boot
SHARE_BEFORE, SHARE_AFTER = 0.99, 0.999  # of exits that are served restricted, before userspace begins and behind it

# guests: (options, kernel's command line) each. @boot: options of scripts/run. @expected: verdict and reason of each guest;
# @output: of each, lines that have to be there. @restricted: whether the shares above are demanded. @long: left out unless
# asked for. @other: it is not Linux.
Case = collections.namedtuple("Case", "name guests boot expected output restricted long other",
                              defaults=((), ("pass", None), (), True, False, False))

DISK = f"{OUT}/disk.img"
LINUX = f"{OUT}/vmlinuz,initrd={OUT}/initrd.gz,disk={DISK}"
# The kernel skips its crypto self-tests, which are half of a boot.
QUIET = "console=ttyS0 quiet cryptomgr.notests"
OFF = ("pass", "power-off")  # with platform=apic
# {disk} is the sum of the disk.
DONE = (r"^ok 200 processes$", r"^ok timers$", r"^by virtio$", r"^disk: 2048 sectors, sha256 {disk} ", r"^ok written to the disk$",
        r"^ok the disk as it was$", r"^userspace: 0 failed$")
SMP = DONE + (r"^ok processors$", r"^ok a process on each$")
TWO = f"{QUIET} cpus=2"


def case(name, options="", cmdline=QUIET, number=1, **more):
    return Case(name, [(f"{LINUX},name=linux{i or ''}{options}", cmdline) for i in range(number)], **{"output": DONE, **more})


CASES = [
    case("linux", expected=OFF),
    case("linux-pic", ",platform=pic", long=True),
    case("linux-smp", ",cpus=2", TWO, boot=("--cpus", "2"), expected=OFF, output=SMP),
    Case("memtest", other=True, guests=[(f"{OUT}/memtest.bin,mem=24,platform=pic,limit=12000", "console=ttyS0,115200 nosmp")], expected=("stopped", "time-limit"),
         output=(r"Memtest86\+", r"Address test, walking ones", r"Address test, own address", r"Moving inversions", r"Errors: 0 ")),
    Case("mach", other=True, guests=[(f"{OUT}/gnumach,mem=64,platform=pic,limit=2000", "console=com0")], expected=("stopped", "time-limit"),
         output=(r"^GNU Mach 1\.", r"^vm_page: DMA32: pages: ", r"bootstrap_create: No bootstrap code loaded")),
    # Any module is taken for the first domain's kernel; CPUs are started before that is looked at.
    Case("xen", other=True, guests=[(f"{OUT}/xen,mem=128,platform=apic,cpus=2,initrd=build/guests/hello.elf",
                                     "no-real-mode noreboot console=com1 com1=115200,8n1,0x3f8,4 dom0_mem=32M")],
         boot=("--cpus", "2"), expected=("stopped", "halted"),
         output=(r"^\(XEN\) Xen version 4\.", r"^\(XEN\) Switched to APIC driver x2apic", r"^\(XEN\) Platform timer is .* ACPI PM Timer",
                 r"^\(XEN\) Brought up 2 CPUs", r"^\(XEN\) Could not construct domain 0")),
    case("linux-smp-one-cpu", ",cpus=2", TWO, expected=OFF, output=SMP, long=True),
    case("linux-strict", ",cpus=2,asi=strict", TWO, boot=("--cpus", "2"), expected=OFF, output=SMP, long=True),
    case("linux-vcpu-domains", ",cpus=2,domain=vcpu,guest-map=none", TWO, boot=("--cpus", "2"), expected=OFF, output=SMP, long=True),
    # Without ASI the L1D is flushed at each entry, for which this model has an MSR.
    case("linux-no-asi", ",asi=off", boot=("--cpu-model", "corei7_icelake_u"), expected=OFF, restricted=False, long=True),
    case("linux-twice", number=2, boot=("--cpus", "2", "--mem", "512"), expected=OFF, long=True),
    case("linux-secrets", boot=("--cmdline", "secrets=on"), expected=OFF, long=True),
]


_preparing = threading.Lock()  # of the same files for all


def prepare(log, other):
    """None, or why the systems cannot be had."""
    with _preparing, open(log, "wb") as out:
        status, said = children.run([os.path.join(tree.ROOT, "scripts/linux"), *(("--others",) if other else ())], TIMEOUT,
                                    cwd=tree.ROOT, stdout=out, stderr=subprocess.PIPE, text=True, errors="replace")
    return Skip(said.strip().splitlines()[-1] if said.strip() else f"scripts/linux: exit status {status}") if status else None


def judge_output(lines, name, regexes):
    start = f"[{name}] "
    # A line of the guest's may be cut in two: the screen of memtest86+ has no ends of lines.
    output = [line[len(start):] for line in lines if line.startswith(start)]
    joined = output + ["".join(output)]
    for regex in regexes:
        if not any(re.search(regex, line) for line in joined):
            return f"{name}: no output matches {regex!r}"
    if any("Errors: " in line and not re.search(r"Errors: (0 |$)", line) for line in output):
        return "memtest86+ has found errors"
    return None


def shares(lines, name):
    """((exits, restricted) before the guest's mark, the same behind it). Only the vCPU that marked tells them apart: exits
    of others count as behind it. A guest without a mark has no before."""
    exits = [record for record in records(lines, "exits") if record["vm"] == name]
    total = [sum(record[key] for record in exits) for key in ("count", "restricted")]
    mark = next((record for record in records(lines, "mark") if record["vm"] == name), {"exits": 0, "restricted": 0})
    before = (mark["exits"], mark["restricted"])
    return before, tuple(all_ - first for all_, first in zip(total, before))


def judge_shares(lines, name):
    for (count, restricted), least, when in zip(shares(lines, name), (SHARE_BEFORE, SHARE_AFTER), ("before", "after")):
        if (not count and when == "after") or restricted < least * count:
            return f"{name}: {restricted} of {count} exits {when} its first act in userspace were served restricted"
    return None


def judge(lines, wanted):
    guests = records(lines, "guest")
    if [(guest["verdict"], guest["reason"]) for guest in guests] != [wanted.expected] * len(wanted.guests):
        return f"not {wanted.expected}: {guests}"
    for guest in guests:
        why = judge_output(lines, guest["vm"], wanted.output) or (wanted.restricted and judge_shares(lines, guest["vm"]))
        if why:
            return why
    if any(record["violations"] for record in records(lines, "audit")):
        return "an audit has found violations"
    if "secrets=on" in wanted.boot:
        return judge_secrets(records(lines, "secrets"), (1, 512))
    return None


def run_case(wanted, log):
    """None, why it failed, or a Skip."""
    missing = prepare(log, wanted.other)
    if missing:
        return missing
    guests = [word for options, cmdline in wanted.guests for word in ("--guest", f"{options}:{cmdline}")]
    status, said = guesttests.run(log, "--machine", "bochs", "--timeout", str(TIMEOUT), *wanted.boot, *guests)
    if status != (0 if wanted.expected[0] == "pass" else 1):
        return f"exit status {status}" + (f"; {said}" if said else "")
    with open(os.path.join(tree.ROOT, DISK), "rb") as disk:
        digest = hashlib.sha256(disk.read()).hexdigest()
    return judge(read_log(log), wanted._replace(output=[regex.replace("{disk}", digest) for regex in wanted.output]))
