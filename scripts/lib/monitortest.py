"""The serial monitor, used: a script that gives every command once, while one guest echoes what is typed to it and another never ends;
and a person at a terminal."""
import os
import pty
import re
import select
import subprocess
import tempfile
import time

import guesttests
import tree
from serial import clean, parse_record, read_log, records

TIMEOUT = 120  # seconds for each session
TYPED = ("hello, guest", "x" * 700, "y" * 700)  # more than any buffer on the way holds
SECRET = "not for the monitor"
SCRIPT = f"""\
# Each command once, and what is refused.
help
vms
exits endless
surface echo
surface
mem
asi
crossings
audit
map echo idt
map echo/0 boot_stack_bottom
map echo 0x1000000000000
bench
stop endless
? @guest
# A trace of little: printing it takes long.
trace on
input echo
{TYPED[0]}
? echo: {len(TYPED[0])} bytes, sum {sum(TYPED[0].encode())}
^]
trace off
trace dump
trace dump com2
^]
{TYPED[1]}
{TYPED[2]}
? echo: {len(TYPED[2])} bytes, sum {sum(TYPED[2].encode())}
^]
start endless
? endless: now
start endless
^]
end
? @guest
{SECRET}
^]
expose sensitive_word
expose sensitive_word
map endless sensitive_word
audit
surface endless
vms
frobnicate
quit
"""
COMMANDS = ("help", "vms", "exits", "surface", "mem", "asi", "crossings", "audit", "map", "bench", "trace", "input", "stop", "start", "expose", "quit")


class Failed(Exception):
    """Why a test failed."""


def demand(condition, why):
    if not condition:
        raise Failed(why)


def guest(spec):
    return ("--guest", os.path.join(tree.ROOT, guesttests.GUESTS, spec))


GUESTS = (*guest("echo.elf,mem=16,platform=pic:rx=irq"), *guest("endless.elf,mem=16"))


def session(log):
    """The log of the scripted session."""
    with tempfile.NamedTemporaryFile("w", prefix="vestibule-monitor-", encoding="ascii") as script:
        script.write(SCRIPT)
        script.flush()
        status, said = guesttests.run(log, "--machine", "bochs", "--timeout", str(TIMEOUT), "--monitor-input", script.name, *GUESTS)
    demand(status == 0, f"exit status {status}; {said}")
    return (log,)


def answers(lines):
    """[(command, result, the lines between the answer before and this one)]."""
    found, between = [], []
    for line in lines:
        word, fields = parse_record(line) or (None, None)
        if word == "monitor":
            found.append((fields["command"], fields["result"], between))
            between = []
        else:
            between.append(line)
    return found


def check_answers(found):
    results = {}
    for command, result, _ in found:
        results.setdefault(command, []).append(result)
    for command in COMMANDS:
        demand(any(text.split()[:1] == [command] and "done" in results[text] for text in results), f"{command} was not done")
    for command, want in (("map echo 0x1000000000000", ["refused"]), ("expose sensitive_word", ["done", "refused"]),
                          ("start endless", ["done", "refused"]), ("frobnicate", ["unknown"]), ("^]", ["done"] * 5)):
        demand(results.get(command) == want, f"{command}: {results.get(command)}, not {want}")


def check_reports(found):
    """What each command printed, by the records of the usual reports."""
    for command, word, nr in (("vms", "vm", 2), ("exits endless", "exits", 4), ("surface echo", "surface", 1), ("surface", "surface", 3),
                              ("mem", "mem", 4), ("asi", "asi", 1), ("crossings", "crossing", 1), ("audit", "audit", 1), ("map echo idt", "map", 1),
                              ("bench", "bench", 5), ("trace dump", "trace", 2), ("expose sensitive_word", "experiment", 1)):
        lines = next(between for text, _, between in found if text == command)
        demand(len(records(lines, word)) >= nr, f"{command}: {len(records(lines, word))} @{word} records")
    audits = [records(between, "audit")[0] for text, _, between in found if text == "audit"]
    demand([audit["violations"] for audit in audits] == [0, 0], "an audit has found something")
    demand("experiment" not in audits[0] and audits[1].get("experiment") is True, "an experiment is not marked in @audit")


def check_walks(lines):
    shown, hidden, exposed = records(lines, "map")
    demand(shown["mapped"] and len(shown["restricted"]) == len(shown["unrestricted"]) == 4, f"map idt: {shown}")
    demand(int(shown["restricted"][3], 0) & 0xFFFFFFFFF000 == int(shown["unrestricted"][3], 0) & 0xFFFFFFFFF000, "the IDT is at two places")
    demand(exposed["mapped"] and exposed["experiment"] and "experiment" not in shown, f"map sensitive_word, exposed: {exposed}")
    demand(not hidden["mapped"] and int(hidden["unrestricted"][3], 0) & 1, f"map boot_stack_bottom: {hidden}")


def check_typing(lines):
    """All that was typed came, and nothing of it came anywhere else."""
    text = "\n".join(lines)
    for line in TYPED:
        demand(f"[echo] echo: {len(line)} bytes, sum {sum(line.encode())}" in text, f"the guest did not get {line[:20]}...")
    demand("[echo] PASS: bytes that the receiver lost" in text, "the guest's receiver was overrun")
    demand(SECRET not in text, "what was typed to a guest that is gone is shown")
    demand("echo has ended: what is typed to it is lost" in text, "nobody says that the guest is gone")


# The same text by the virtio console: to one that never stops to look, one that halts, one with many buffers of a byte.
BY_VIRTIO = {"poller": "mem=16,platform=pic,guest-map=none,input=virtio:rx=poll con=virtio buffers=2 size=1000",
             "hvc": "mem=16,cpus=2,platform=apic,domain=vcpu,guest-map=none,asi=strict,input=virtio:rx=irq con=virtio",
             "bytes": "mem=16,platform=pic,input=virtio:rx=irq con=virtio buffers=64 size=1"}


def test_virtio(log):
    """Input by the virtio console, on two CPUs: all of it comes, in order, and nobody leaves his space for it by a fault."""
    script = "".join(f"input {name}\n" + "".join(f"{line}\n? echo: {len(line)} bytes, sum {sum(line.encode())}\n" for line in TYPED[:2])
                     + "end\n? @guest\n^]\n" for name in BY_VIRTIO)
    guests = [word for name, options in BY_VIRTIO.items() for word in guest(f"echo.elf,name={name},{options}")]
    with tempfile.NamedTemporaryFile("w", prefix="vestibule-monitor-", encoding="ascii") as file:
        file.write(script + "audit\n")
        file.flush()
        status, said = guesttests.run(log, "--machine", "bochs", "--cpus", "2", "--timeout", str(TIMEOUT), "--monitor-input", file.name, *guests)
    demand(status == 0, f"exit status {status}; {said}")
    lines = read_log(log)
    for name in BY_VIRTIO:
        for line in TYPED[:2]:
            demand(f"[{name}] echo: {len(line)} bytes, sum {sum(line.encode())}" in lines, f"{name} did not get {line[:20]}...")
        demand(f"[{name}] PASS: the virtio console's status" in lines, f"{name}'s console has stopped")
    demand(all(record["count"] == record["restricted"] for record in records(lines, "exits")), "an exit left its guest's space")
    demand(all(record["cause"] == "call" for record in records(lines, "crossing")), "a crossing by a fault")
    demand(all(record["violations"] == 0 for record in records(lines, "audit")), "an audit has found something")


def test_script(log):
    lines = read_log(log)
    found = answers(lines)
    check_answers(found)
    check_reports(found)
    check_walks(lines)
    check_typing(lines)
    end = records(lines, "end")[0]
    demand(end["experiment"] and (end["passed"], end["ended"], end["failed"]) == (1, 2, 0), f"@end: {end}")
    demand(records(read_log(log + ".com2"), "trace"), "no @trace record has come out of COM2")


class Person:
    """Keys for scripts/run at a terminal, and what that shows."""

    def __init__(self, log, *options):
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen([os.path.join(tree.ROOT, "scripts/run"), "--log", log, "--monitor", *options], cwd=tree.ROOT, stdin=theirs,
                                        stdout=theirs, stderr=theirs, close_fds=True)
        os.close(theirs)
        self.shown = b""

    def read(self, seconds):
        if select.select([self.ours], [], [], seconds)[0]:
            try:
                self.shown += os.read(self.ours, 65536)
            except OSError:  # the other side is gone
                time.sleep(seconds)

    def wait_for(self, regex):
        """Until a line of what is shown from here on matches; the rest stays for the next."""
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            lines = self.shown.split(b"\n")
            for number, line in enumerate(lines):
                if re.search(regex, clean(line)):
                    self.shown = b"\n".join(lines[number + 1:])
                    return
            self.read(0.2)
        raise Failed(f"a person at the terminal does not see {regex}")

    def type(self, keys):
        os.write(self.ours, keys)

    def end(self):
        deadline = time.monotonic() + TIMEOUT
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.2)
        return self.process.poll()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
        os.close(self.ours)


def test_person(log):
    """At a terminal, two CPUs, and no interrupt for input: editing keys and history; Ctrl-] and back; Ctrl-C ends it with a whole report."""
    person = Person(log, "--machine", "bochs", "--cpus", "2", "--timeout", str(TIMEOUT), "--cmdline", "monitor=poll", *GUESTS)
    try:
        person.wait_for(r"^vestibule> $|^\[echo\] echo: type")
        person.type(b"xvmx\x1b[D\x1b[3~s\x01\x1b[3~\r")
        person.wait_for(r'^@monitor \{"command":"vms","result":"done"')
        person.type(b"\x1b[A\r")
        person.wait_for(r'^@monitor \{"command":"vms","result":"done"')
        person.type(b"\x1d")
        person.wait_for(r'^@monitor .*"input":"echo"')
        person.type(b"ab\x03c\r")
        person.wait_for(r"^\[echo\] ab\\x03c$")
        person.wait_for(r"^\[echo\] echo: 4 bytes")
        person.type(b"\x1d")
        person.wait_for(r'^@monitor .*"input":null')
        person.type(b"half a command\x03")
        person.wait_for(r'^@monitor \{"command":"quit","result":"done"')
        person.wait_for(r'^@end \{"verdict":"pass"')
        demand(person.end() == 0, f"scripts/run --monitor: exit status {person.process.poll()}")
    finally:
        person.close()
