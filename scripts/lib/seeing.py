"""What shows what ran: scripts/trace, advise, surface, report, bench, attack and gdb, each used once on real output; docs/serial.md against
every record of it; the monitor. Most share the logs of a few boots."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import children
import guesttests
import monitortest
import tree
from monitortest import Failed, demand, guest
from serial import read_log, records

TIMEOUT = 300  # seconds for each command
# A boot that prints nearly every record, and one that has siblings.
CMDLINE = "trace=on detail=on bench=on secrets=on selftest=on audit=100"
GUESTS = ("exits.elf,mem=32:n=100", "hello.elf,mem=16,domain=vcpu")
PNG = b"\x89PNG\r\n\x1a\n"
BLANK = 4000  # bytes; an empty picture of gnuplot's has less


def script(name, *args, status=0):
    """Standard output and error of one of our scripts."""
    with tempfile.TemporaryFile("w+", errors="replace") as out:
        found, said = children.run([os.path.join(tree.ROOT, "scripts", name), *args], TIMEOUT, cwd=tree.ROOT, stdout=out,
                                   stderr=subprocess.PIPE, text=True, errors="replace")
        out.seek(0)
        text = out.read()
    if found != status:
        raise Failed(f"scripts/{name}: exit status {found}: {(said or text).strip()[-300:]}")
    return text, said


def demand_picture(path):
    with open(path, "rb") as file:
        data = file.read()
    demand(data.startswith(PNG) and len(data) > BLANK, f"{path} is no picture, or an empty one")


def boots(log):
    """The two logs."""
    specs = [word for spec in GUESTS for word in guest(spec)]
    for path, options in ((log, ("--cmdline", CMDLINE, *specs)), (log + ".siblings", ("--threads", "2", "--cmdline", "races=100", *guest(GUESTS[1])))):
        status, said = guesttests.run(path, "--machine", "bochs", "--timeout", "240", *options)
        demand(status == 0, f"exit status {status}; {said}")
    return log, log + ".siblings"


def test_trace(folder, logs):
    table = script("trace", logs[0])[0].splitlines()
    for word in ("exit ", "entry", "flush", "turn", "rest", "crossing", "conversion"):
        demand(any(f" {word}" in line for line in table), f"no {word.strip()} in the table")
    times = [float(line.split()[0]) for line in table if re.match(r" *\d+\.\d ", line)]
    demand(times == sorted(times) and len(times) > 1000, "the table is not in the order of time")
    out = os.path.join(folder, "trace.json")
    script("trace", logs[0], "--json", out, "--ctf", os.path.join(folder, "ctf"))
    with open(out, encoding="ascii") as file:
        slices = [event for event in json.load(file)["traceEvents"] if event["ph"] == "X"]
    demand(slices and all(event["dur"] >= 0 for event in slices), "no slices, or some with a negative length")
    read = subprocess.run(["babeltrace2", os.path.join(folder, "ctf")], capture_output=True, text=True, check=False)
    demand(read.returncode == 0 and not read.stderr, f"babeltrace2: {read.stderr.strip()[-300:]}")
    demand(len(read.stdout.splitlines()) == len(times), f"babeltrace2 reads {len(read.stdout.splitlines())} events of {len(times)}")


def test_advise(_folder, logs):
    """The self-test crosses, on purpose, by a variable of its own."""
    said = script("advise", logs[0])[0]
    demand(re.search(r"^ +[1-9]\d* crossings, \d+ a second, [1-9]\d* ticks: static \w+; from \w+.*\n +__nonsensitive, .*: [1-9]\d* bytes, "
                     "exposed to every guest$", said, re.M), f"advise says {said}")


def test_surface(folder, logs):
    picture = os.path.join(folder, "surface.png")
    table = script("surface", logs[0], "--picture", picture)[0]
    demand_picture(picture)
    for word in ("image: text", "its VM's", "idt", "exits", "hello/0"):
        demand(word in table, f"no {word!r} in the table")
    table = script("surface", logs[0], logs[1], "--elf2", "build/debug/vestibule.elf" if os.path.exists(os.path.join(
        tree.ROOT, "build/debug/vestibule.elf")) else "build/vestibule.elf")[0]
    demand("symbols differ" in table, "no difference of symbols")


def test_report(folder, logs):
    copy = os.path.join(folder, "siblings.log")  # a name of its own
    shutil.copyfile(logs[1], copy)
    said = script("report", logs[0], copy, "--out", folder)[0]
    written = re.search(r"^written: (.*)", said, re.M)[1].split()
    pictures = [path for path in written if path.endswith(".png")]
    for word in ("-rate", "-latency", "-restricted", "modes"):
        demand(any(word in path for path in pictures), f"no picture of {word.strip('-')}")
    for path in pictures:
        demand_picture(os.path.join(tree.ROOT, path))
    with open(os.path.join(folder, "latency.csv"), encoding="utf-8") as file:
        rows = [line.split(",") for line in file.read().splitlines()[1:]]
    for exit in records(read_log(logs[0]), "exits"):
        counted = sum(int(row[5]) for row in rows if row[1] == exit["vm"] and row[3] == exit["reason"])
        demand(counted == exit["count"], f"{counted} of {exit['count']} {exit['reason']} in latency.csv")
    with open(os.path.join(folder, "rate.csv"), encoding="utf-8") as file:
        demand(any(",CPUID," in line for line in file), "no CPUID in rate.csv")
    script("report", logs[0], "--out", folder, "--format", "svg")
    demand(any(name.endswith("-rate.svg") for name in os.listdir(folder)), "no SVG")


def test_serial(_folder, logs):
    script("check_serial", *logs)


def test_bench(folder, _logs):
    """Two modes; compared with themselves, with better figures, and interrupted."""
    few = ("--count", "20", "--modes", "none,asi", "--out")
    first = os.path.join(folder, "first")
    said, progress = script("bench", *few, first)
    demand("2 of 2: asi" in progress and "done in" in progress, f"no progress: {progress}")
    demand("trace-event" in said and "l1d per 1000" in said, "rows are missing")
    said = script("bench", *few, os.path.join(folder, "second"), "--base", first)[0]
    demand("compared: 0 worse" in said, "the same image is worse than itself")
    figures = os.path.join(first, "figures.json")
    with open(figures, encoding="ascii") as file:
        base = json.load(file)
    base["modes"]["asi"]["CPUID"] /= 2
    with open(figures, "w", encoding="ascii") as file:
        json.dump(base, file)
    said = script("bench", *few, os.path.join(folder, "second"), "--base", first, status=1)[0]
    demand(re.search(r"^WORSE +asi +CPUID", said, re.M), "what is worse is not marked")
    interrupt(folder, few)


def interrupt(folder, few):
    """Ctrl-C in the second step: the report is of the first."""
    process = subprocess.Popen([os.path.join(tree.ROOT, "scripts/bench"), *few, os.path.join(folder, "third")], cwd=tree.ROOT,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if "2 of 2" in line:
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    said, rest = process.communicate(timeout=TIMEOUT)
    demand(process.returncode == 130 and "1 of 2 steps" in rest, f"interrupted: exit status {process.returncode}: {rest}")
    demand(re.search(r"^CPUID +\d", said, re.M), "no report of what was measured before the interruption")


def test_attack(folder, _logs):
    said, progress = script("attack", "--exits", "400", "--rounds", "1", "--timeout", "200", "--out", folder)
    demand(re.search(r"^1 of 1 rounds from seed 1 on: [1-9]\d* exits, .*, 0 violations$", said, re.M), f"attack says {said}")
    demand("1 of 1 done" in progress, f"no progress: {progress}")


PRINTER = "python print(gdb.Value(bytes(gdb.lookup_type('struct {0}').sizeof), gdb.lookup_type('struct {0}')))"


def test_gdb(_folder, _logs):
    """Under QEMU, at the first enter of the self-test; the printers of VMs on ones that are all zeros, since there is no VMX."""
    asks = ["hbreak asi_switch", "continue", "print *asi", "vestibule-cpus", "vestibule-block 0x200000", "vestibule-vms",
            "vestibule-trace 4", PRINTER.format("vm"), PRINTER.format("vcpu"), "kill"]
    said = script("gdb/run", "--cmdline", "trace=on", "--", "-batch", *[word for ask in asks for word in ("-ex", ask)])[0]
    for what in (r"Breakpoint 1, hv_serve", r"= domain \d+ \(vm, owner \d+\), root 0x", r"^CPU 0: depth 0; asi_curr = ",
                 r"^0x200000: SENSITIVE", r"^CPU 0: \d+ conversion 0x", r"^VM , nobody, 0 vCPUs", r"^vCPU 0 of \?, runnable"):
        demand(re.search(what, said, re.M), f"gdb does not say {what}: {said[-400:]}")


def test_bochs_debugger(folder, _logs):
    process = subprocess.run([os.path.join(tree.ROOT, "scripts/run"), "--machine", "bochs", "--gdb", "--log", os.path.join(folder, "debugger.log")],
                             input='lb "hv_serve"\nc\nprint-stack 2\nq\n', capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False)
    demand(process.returncode == 0 and "(hv_serve+0)" in process.stdout, f"Bochs's debugger: {process.stdout[-300:]}{process.stderr[-200:]}")


def test_panic(folder, _logs):
    log = os.path.join(folder, "panic.log")
    status, _ = guesttests.run(log, "--machine", "bochs", "--timeout", "120", "--cmdline", "trace=on selftest=on crash=assert", *guest(GUESTS[1]))
    demand(status == 4, f"exit status {status} for a panic")
    lines = read_log(log)
    at = [number for number, line in enumerate(lines) if line.startswith("@panic ")]
    demand(at and any(line.startswith("  trace of the CPU: ") for line in lines[at[0]:]), "no trace behind the panic")


def test_monitor(folder, logs):
    monitortest.test_script(logs[0])
    monitortest.test_person(os.path.join(folder, "person.log"))
    monitortest.test_virtio(os.path.join(folder, "virtio.log"))


TESTS = {"trace": test_trace, "advise": test_advise, "surface": test_surface, "report": test_report, "serial": test_serial, "bench": test_bench,
         "attack": test_attack, "gdb": test_gdb, "bochs-debugger": test_bochs_debugger, "panic": test_panic, "monitor": test_monitor}
# What makes logs, and who needs them, in this order.
SESSIONS = {"boots": boots, "monitor": lambda log: monitortest.session(log + ".monitor")}
NEEDS = {"trace": ("boots",), "advise": ("boots",), "surface": ("boots",), "report": ("boots",), "serial": ("boots", "monitor"), "monitor": ("monitor",)}


def make_logs(log, names):
    """Session -> (logs, why there are none)."""
    made = {}
    for session in dict.fromkeys(session for name in names for session in NEEDS.get(name, ())):
        try:
            made[session] = SESSIONS[session](log), None
        except Failed as wrong:
            made[session] = (), str(wrong)
    return made


def run_seeing(log, wanted):
    """[(name, why or None)] of those tests that are @wanted."""
    names = [name for name in TESTS if wanted(f"see/{name}")]
    found, made = [], make_logs(log, names)
    for name in names:
        sessions = [made[session] for session in NEEDS.get(name, ())]
        why = next((why for _, why in sessions if why), None)
        if not why:
            with tempfile.TemporaryDirectory(prefix="vestibule-see-") as folder:
                try:
                    TESTS[name](folder, [path for logs, _ in sessions for path in logs])
                except (Failed, subprocess.TimeoutExpired) as wrong:
                    why = str(wrong)
        found.append((f"see/{name}", why))
    return found
