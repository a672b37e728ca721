"""Several processors: all are found, started, compared and parked; guests run on all of them, with several vCPUs, are
made and destroyed meanwhile, and what the scheduler promises is measured."""
import collections
import os
import re

import guesttests
import tree
from serial import read_log, records

TIMEOUT = 400
FAIR = 0.05  # two VMs on one CPU
THROUGHPUT = 0.95  # of a VM on a CPU of its own, compared with one that is alone on the machine
RACES = 20000
APICV_EXITS = 0.85  # of those that local APICs in software cost
SWITCH_TICKS = 1200  # from one VM's last exit to the next one's entry, no flush


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


def parked_cpus(lines):
    return None if "selftest: parked CPUs: ok" in lines else "no self-test of parked CPUs"


def nothing_stale(lines):
    """The run fails if something stale was read; here, that readers were in the way, and away at times."""
    row, = records(lines, "races")
    good = row["rounds"] == RACES and not row["stale"] and row["control"] and row["kicks"] > RACES / 10 and row["leaves"] > RACES / 100
    return None if good else f"{row}"


def core_scheduling(lines):
    """No two VMs on one core at a time in the whole run, and siblings were in use together."""
    rows = records(lines, "sched")
    if any(row["beside_other"] for row in rows):
        return f"two VMs on one core: {rows}"
    return None if sum(row["beside_own"] for row in rows) > 100 else f"siblings were hardly in use together: {rows}"


def idle_costs_nothing(lines):
    """One guest with one vCPU: the CPUs that have nothing to do have no turn."""
    rows = records(lines, "sched")
    busy = [row for row in rows if row["turns"]]
    return None if len(rows) == 4 and len(busy) <= 1 else f"turns on {len(busy)} of {len(rows)} CPUs"


def progress(lines):
    """What each smp-busy guest has done in its time, by its own count."""
    return [int(count) for line in lines for count in re.findall(r"MEASURE kind=busy n=(\d+)", line)]


def fair(lines):
    done = progress(lines)
    mean = sum(done) / max(1, len(done))
    worst = max((abs(n - mean) / mean for n in done), default=1)
    return None if len(done) == 2 and worst <= FAIR else f"off by {100 * worst:.1f} % of the mean: {done}"


def throughput(alone, lines):
    (reference,), done = progress(alone), progress(lines)
    return None if len(done) == 2 and min(done) >= THROUGHPUT * reference else f"{done}, and alone {reference}"


def cheap_switch(lines):
    row, = records(lines, "sched")
    if row["switches"] < 1000:
        return f"{row['switches']} switches only"
    mean = row["switch"]["mean"]
    return None if mean <= SWITCH_TICKS else f"a switch takes {mean} ticks, not {SWITCH_TICKS}"


def nobody_is_told_in_vain(lines):
    """VMs of one vCPU unmap in domains that no other CPU is in."""
    rows = records(lines, "asi")
    kicks, avoided = (sum(row[field] for row in rows) for field in ("kicks", "kicks_avoided"))
    return None if not kicks and avoided > 20 else f"{kicks} kicks, {avoided} avoided"


def served_by_cpu(without, lines):
    """The same guest with its local APICs in software, and served by the CPU, which saves exits for registers and windows."""
    saved = ("RDMSR", "WRMSR", "CR_ACCESS", "INTERRUPT_WINDOW", "EPT_VIOLATION", "APIC_ACCESS", "APIC_WRITE")
    before, now = (sum(row["count"] for row in records(log, "exits") if row["reason"] in saved) for log in (without, lines))
    return None if now <= APICV_EXITS * before else f"{now} exits where the CPU serves local APICs, {before} where it does not"


def memory_back(lines):
    """What is left when all VMs have gone is as much as after one round: nothing is lost in the others."""
    mem = [row for row in records(lines, "mem") if row["class"] == "sensitive"]
    kept = mem[-1]["total_pages"] - mem[-1]["free"] - mem[-1]["quarantine"]
    glob = [row for row in records(lines, "mem") if row["class"] == "global"][-1]["pages"]
    used = kept - glob - mem[-1]["tables"]
    ended = records(lines, "end")[-1]["ended"]
    if ended < 20:
        return f"only {ended} VMs were ended"
    return None if used <= 64 else f"{used} pages have not come back"


# name: machine, cores, threads of each, Vestibule's command line, guests, judges of the log's lines; the exit status
# wanted; and guests that ran before, for a judge of both logs' lines
Case = collections.namedtuple("Case", "name machine cores threads cmdline guests judges status before compare model",
                              defaults=(0, None, None, "corei7_skylake_x"))
HELLO = ["hello.elf"]
# Bochs's model that virtualises local APICs.
VIRTUAL_APIC = "corei7_haswell_4770"


def with_apicv(name, guest, cores=1, more="", cmdline="audit=200"):
    """The same @guest with its local APICs in software, then served by the CPU, with @more arguments."""
    options, _, arguments = guest.partition(":")
    off, on = ([f"{options},apicv={word}:{arguments} {also}"] for word, also in (("off", ""), ("on", more)))
    return Case(name, "bochs", cores, 1, cmdline, on, [], 0, off, served_by_cpu, VIRTUAL_APIC)


BUSY = "smp-busy.elf,mem=32,apic=on,name={}:cpus=1 ms=2000"
CASES = [
    Case("bochs-4", "bochs", 4, 1, "", HELLO, [idle_costs_nothing]),
    Case("bochs-2x2", "bochs", 2, 2, "selftest=on", HELLO, [parked_cpus]),
    Case("qemu-uefi-4", "qemu-uefi", 4, 1, "selftest=on", [], [parked_cpus]),  # xAPIC; the others have an x2APIC
    Case("races-2", "bochs", 2, 1, f"races={RACES}", HELLO, [nothing_stale]),
    Case("races-2x2", "bochs", 2, 2, f"races={RACES}", HELLO, [nothing_stale]),
    Case("vcpus-1", "bochs", 1, 1, "", ["smp.elf,mem=32,cpus=3:cpus=3 n=100"], []),
    Case("vcpus-2", "bochs", 2, 1, "audit=200", ["smp.elf,mem=32,cpus=2,domain=vcpu:cpus=2 n=200"], []),
    # Without ASI each entry flushes the L1D, here in software, which is longer than this guest's timers are.
    Case("vcpus-asi-off", "bochs", 1, 1, "mitigate=none", ["smp.elf,mem=32,cpus=2,asi=off:cpus=2 mode=xapic start=ids n=100 rounds=100 seed=7"], []),
    Case("vms-2x2", "bochs", 2, 2, "trace=on", ["smp.elf,mem=32,cpus=2,name=a:cpus=2 n=100 seed=1",
                                               "smp.elf,mem=32,cpus=2,name=b:cpus=2 n=100 seed=2"], [core_scheduling]),
    Case("churn-4", "bochs", 4, 1, "audit=200 secrets=on",
         ["balloon.elf,mem=48,name=b1:seed=1 n=40", "balloon.elf,mem=48,name=b2,guest-map=none:seed=2 n=40",
          "switch.elf,mem=32,name=s1:seed=1", "switch.elf,mem=32,name=s2,domain=vcpu:seed=2"],
         [nobody_is_told_in_vain]),
    Case("control-1", "bochs", 1, 1, "", ["control.elf,mem=32,control=on:n=30", "spin.elf,mem=32"], [memory_back]),
    Case("control-2", "bochs", 2, 1, "audit=200",
         ["control.elf,mem=32,control=on:n=30 victims=2 seed=2", "smp.elf,mem=32,cpus=2:cpus=2", "spin.elf,mem=32"],
         [memory_back]),
    Case("fair-1", "bochs", 1, 1, "", [BUSY.format("a"), BUSY.format("b")], [fair]),
    Case("busy-2", "bochs", 2, 1, "", [BUSY.format("a"), BUSY.format("b")], [], 0, [BUSY.format("a")], throughput),
    Case("switch-1", "bochs", 1, 1, "mitigate=none", ["spin.elf,mem=32,limit=8000,name=a", "spin.elf,mem=32,limit=8000,name=b"],
         [cheap_switch], 1),  # they end by their limits
    Case("no-control", "bochs", 1, 1, "", ["control.elf,mem=32"], []),
    with_apicv("apicv", "apic.elf,mem=32,apic=on,asi=strict", 1, "page=plain", ""),  # it measures time, and so does the next
    with_apicv("apicv-pc", "pc.elf,mem=32,platform=apic:pc=1 acpi=on last=off", cmdline=""),
    with_apicv("apicv-pc-x2", "pc.elf,mem=32,platform=apic:pc=1 acpi=on mode=x2apic last=off", cmdline=""),
    with_apicv("apicv-smp", "smp.elf,mem=32,cpus=3,domain=vcpu:cpus=3 n=200 rounds=200 touch=on"),
    with_apicv("apicv-smp-2", "smp.elf,mem=32,cpus=2:cpus=2 n=100 rounds=100 touch=on", 2, "held=off"),
    with_apicv("apicv-hostile", "smp-hostile.elf,mem=32,cpus=3,limit=60000:cpus=3 n=300 seed=2 mode=x2apic touch=on"),
    with_apicv("apicv-hostile-x", "smp-hostile.elf,mem=32,cpus=3,limit=60000:cpus=3 n=300 seed=2 mode=xapic touch=on"),
]


def boot(case, guests, log):
    """The lines of one boot, and None or why it failed."""
    specs = [word for guest in guests
             for word in ("--guest", os.path.join(tree.ROOT, guesttests.GUESTS, guest))]
    status, said = guesttests.run(log, "--machine", case.machine, "--cpu-model", case.model, "--cpus", str(case.cores),
                                  "--threads", str(case.threads), "--cmdline", case.cmdline, "--timeout", str(TIMEOUT), *specs)
    if status != case.status:
        return [], f"exit status {status}" + (f"; {said}" if said else "")
    lines = read_log(log)
    if any(audit["violations"] for audit in records(lines, "audit")):
        return lines, "the audit found something"
    return lines, judge_cpus(lines, case.cores, case.threads)


def run_case(case, log):
    """None, or why it failed."""
    before, why = boot(case, case.before, log) if case.before else ([], None)
    if not why:
        lines, why = boot(case, case.guests, log)
    if not why and case.compare:
        why = case.compare(before, lines)
    for judge in case.judges:
        why = why or judge(lines)
    return why
