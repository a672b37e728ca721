"""Two guests under secrets=on and a periodic audit: nothing leaks, nothing is violated, and both were looked at."""
import os

import guesttests
import tree
from serial import read_log, records

GUESTS = ("exits.elf,name=a,mem=16:n=2000", "switch.elf,name=b,mem=32:seed=3")
PERIOD = 10  # ms between audits
DOMAINS = (1, 2, 512)  # the guests' and the idle class's


def judge_secrets(found, domains=DOMAINS):
    """None, or what is wrong with the @secrets records."""
    if sorted((one["when"], one["domain"]) for one in found) != [(when, d) for when in ("boot", "end") for d in domains]:
        return "not one search of each domain before and after the guests"
    for one in found:
        if one["found"] or not 0 < one["own"] == one["own_found"]:
            return f"domain {one['domain']}: {one['own_found']} of {one['own']} of its own found, {one['found']} others"
    return None


def judge_audits(audits):
    """None, or what is wrong with the @audit records."""
    walks = {audit["when"]: audit["walks"] for audit in audits}
    if sorted(walks) != ["boot", "end", "run"] or walks["run"] < 2:
        return f"audits before, while and after the guests run: {walks}"
    if any(audit["violations"] for audit in audits):
        return "an audit found violations"
    end = next(audit for audit in audits if audit["when"] == "end")
    if end["domains"] != len(DOMAINS) or end["vms"] != len(GUESTS) or not end["leaves"] or not end["ept_leaves"]:
        return f"an audit that has not looked at both guests: {end}"
    return None


def run_inspections(log):
    """None, or why it failed."""
    specs = [word for spec in GUESTS for word in
             ("--guest", os.path.join(tree.ROOT, guesttests.GUESTS, spec))]
    status, said = guesttests.run(log, "--machine", "bochs", "--mem", "128", "--timeout", "120",
                                  "--cmdline", f"secrets=on audit={PERIOD}", *specs)
    lines = read_log(log)
    why = judge_secrets(list(records(lines, "secrets"))) or judge_audits(list(records(lines, "audit")))
    if status != 0:
        return f"exit status {status}" + (f"; {why}" if why else "") + (f"; {said}" if said else "")
    return why
