"""Several processors: all are found, started, compared and parked, the self-test wakes them, and a guest passes."""
import collections
import os

import guesttests
import tree
from serial import read_log, records

# name: machine, cores, threads of each, Vestibule's command line
CASES = [
    ("bochs-2", "bochs", 2, 1, ""),
    ("bochs-4", "bochs", 4, 1, ""),
    ("bochs-2x2", "bochs", 2, 2, "selftest=on"),
    ("qemu-uefi-4", "qemu-uefi", 4, 1, "selftest=on"),  # xAPIC; the others have an x2APIC
]


def judge_cpus(lines, cores, threads):
    """None, or what is wrong with the @cpu records and the number in @boot."""
    cpus = records(lines, "cpu")
    if [cpu["cpu"] for cpu in cpus] != list(range(cores * threads)):
        return f"not {cores * threads} CPUs: {cpus}"
    if len({cpu["apic_id"] for cpu in cpus}) != len(cpus):
        return f"an APIC id twice: {cpus}"
    siblings = collections.Counter((cpu["package"], cpu["core"]) for cpu in cpus)
    if sorted(siblings.values()) != [threads] * cores or {cpu["thread"] for cpu in cpus} != set(range(threads)):
        return f"not {cores} cores of {threads} threads: {cpus}"
    if [boot["cpus"] for boot in records(lines, "boot")] != [len(cpus)]:
        return "@boot has another number of CPUs"
    return None


def run_case(case, log):
    """None, or why it failed."""
    _, machine, cores, threads, cmdline = case
    guest = ["--guest", os.path.join(tree.ROOT, guesttests.GUESTS, "hello.elf")] if machine == "bochs" else []
    status, said = guesttests.run(log, "--machine", machine, "--cpus", str(cores), "--threads", str(threads),
                                  "--cmdline", cmdline, "--timeout", "120", *guest)
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    lines = read_log(log)
    if cmdline and "selftest: parked CPUs: ok" not in lines:
        return "no self-test of parked CPUs"
    if any(audit["violations"] for audit in records(lines, "audit")):
        return "the audit found something"
    return judge_cpus(lines, cores, threads)
