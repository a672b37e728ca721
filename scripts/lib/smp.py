"""Several processors: all are found, started, compared and parked; guests run on all of them, with several vCPUs, are
made and destroyed meanwhile, and what the scheduler promises is measured."""
import collections
import os

import guesttests
import tree
from serial import read_log, records

TIMEOUT = 400
FAIR = 0.05  # two VMs on one CPU
THROUGHPUT = 0.95  # of a VM on a CPU of its own, compared with one that is alone on the machine
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


def all_turns(lines):
    """The turns that the rings of the CPUs still have (trace=on), whole ones only."""
    turns, begun = [], {}
    for record in records(lines, "trace"):
        if record["vm"] is not None:
            continue
        cpu = record["cpu"]
        for ticks, kind, *values in record["events"]:
            tsc = record["tsc"] + ticks
            if kind == "turn":
                begun[cpu] = tsc, values
            elif kind == "rest" and cpu in begun:
                begin, (owner, vcpu) = begun.pop(cpu)
                turns.append({"cpu": cpu, "owner": owner, "vcpu": vcpu, "begin": begin, "end": tsc})
    return turns


def core_scheduling(lines):
    """No two VMs on one core at a time, as far back as the rings reach; and siblings were in use together."""
    turns = all_turns(lines)
    if not turns:
        return "no turns in the trace"
    cores = collections.defaultdict(list)
    where = {cpu["cpu"]: (cpu["package"], cpu["core"]) for cpu in records(lines, "cpu")}
    for turn in turns:
        cores[where[turn["cpu"]]].append(turn)
    shared = 0
    for core, here in cores.items():
        here.sort(key=lambda turn: turn["begin"])
        running = []
        for turn in here:
            running = [other for other in running if other["end"] > turn["begin"]]
            for other in running:
                if other["owner"] != turn["owner"]:
                    return f"core {core}: two VMs at a time: {other} and {turn}"
                shared += other["cpu"] != turn["cpu"]
            running.append(turn)
    return None if shared else "no core ever ran two vCPUs at a time: nothing was shown"


def idle_costs_nothing(lines):
    """One guest with one vCPU: the CPUs that have nothing to do have no turn."""
    rows = records(lines, "sched")
    busy = [row for row in rows if row["turns"]]
    return None if len(rows) == 4 and len(busy) <= 1 else f"turns on {len(busy)} of {len(rows)} CPUs"


def fair(lines):
    """By the time that each VM had while all ran: up to the end of the first."""
    turns = all_turns(lines)
    if not turns:
        return "no turns in the trace"
    last = {}
    for turn in turns:
        last[turn["owner"]] = max(turn["end"], last.get(turn["owner"], 0))
    end, ticks = min(last.values()), collections.Counter()
    for turn in turns:
        ticks[turn["owner"]] += max(0, min(turn["end"], end) - turn["begin"])
    mean = sum(ticks.values()) / len(ticks)
    worst = max(abs(value - mean) / mean for value in ticks.values())
    return None if len(ticks) > 1 and worst <= FAIR else f"off by {100 * worst:.1f} % of the mean: {dict(ticks)}"


def cheap_switch(lines):
    row, = records(lines, "sched")
    if row["switches"] < 20:
        return f"{row['switches']} switches only"
    mean = row["switch"]["mean"]
    return None if mean <= SWITCH_TICKS else f"a switch takes {mean} ticks, not {SWITCH_TICKS}"


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


# name: machine, cores, threads of each, Vestibule's command line, guests, judges of the log's lines
Case = collections.namedtuple("Case", "name machine cores threads cmdline guests judges")
HELLO = ["hello.elf"]
CASES = [
    Case("bochs-4", "bochs", 4, 1, "", HELLO, [idle_costs_nothing]),
    Case("bochs-2x2", "bochs", 2, 2, "selftest=on", HELLO, [parked_cpus]),
    Case("qemu-uefi-4", "qemu-uefi", 4, 1, "selftest=on", [], [parked_cpus]),  # xAPIC; the others have an x2APIC
    Case("vcpus-1", "bochs", 1, 1, "", ["smp.elf,mem=32,cpus=3:cpus=3 n=100"], []),
    Case("vcpus-2", "bochs", 2, 1, "audit=200", ["smp.elf,mem=32,cpus=2,domain=vcpu:cpus=2 n=200"], []),
    Case("vms-2x2", "bochs", 2, 2, "trace=on", ["smp.elf,mem=32,cpus=2,name=a:cpus=2 n=100 seed=1",
                                               "smp.elf,mem=32,cpus=2,name=b:cpus=2 n=100 seed=2"], [core_scheduling]),
    Case("churn-4", "bochs", 4, 1, "audit=200 secrets=on",
         ["balloon.elf,mem=48,name=b1:seed=1 n=40", "balloon.elf,mem=48,name=b2,guest-map=none:seed=2 n=40",
          "switch.elf,mem=32,name=s1:seed=1", "switch.elf,mem=32,name=s2,domain=vcpu:seed=2"], []),
    Case("control-1", "bochs", 1, 1, "", ["control.elf,mem=32,control=on:n=30", "spin.elf,mem=32"], [memory_back]),
    Case("control-2", "bochs", 2, 1, "",
         ["control.elf,mem=32,control=on:n=20 victims=2 seed=2", "smp.elf,mem=32,cpus=2:cpus=2", "spin.elf,mem=32"],
         [memory_back]),
    Case("no-control", "bochs", 1, 1, "", ["control.elf,mem=32"], []),
]


def run_case(case, log):
    """None, or why it failed."""
    specs = [word for guest in case.guests
             for word in ("--guest", os.path.join(tree.ROOT, guesttests.GUESTS, guest))]
    status, said = guesttests.run(log, "--machine", case.machine, "--cpus", str(case.cores), "--threads",
                                  str(case.threads), "--cmdline", case.cmdline, "--timeout", str(TIMEOUT), *specs)
    if status != 0:
        return f"exit status {status}" + (f"; {said}" if said else "")
    lines = read_log(log)
    if any(audit["violations"] for audit in records(lines, "audit")):
        return "the audit found something"
    for why in [judge_cpus(lines, case.cores, case.threads), *(judge(lines) for judge in case.judges)]:
        if why:
            return why
    return None
