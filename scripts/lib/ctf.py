"""Writes a trace in the Common Trace Format 1.8, which babeltrace2 and Trace Compass read: one stream for each CPU."""
import os
import struct

from tracelog import FIELDS, TOUCHED

STRINGS = {"reason", "kinds", "cause", "place", "old", "new", "address", "vm"}
# Of every event, what says whose it is; then its own.
LAYOUT = {kind: ("vm", "vcpu_id", *names, *(TOUCHED if kind == "crossing" else ())) for kind, names in FIELDS.items()}
IDS = {kind: number for number, kind in enumerate(LAYOUT)}
MAGIC = 0xC1FC1FC1
PACKET = struct.Struct("<IIQQQQI")  # magic, stream, begin, end, content and packet size in bits, CPU
HEADER = struct.Struct("<HQ")  # of an event: id, TSC

METADATA = """\
/* CTF 1.8 */
typealias integer {{ size = 16; align = 8; signed = false; }} := uint16_t;
typealias integer {{ size = 32; align = 8; signed = false; }} := uint32_t;
typealias integer {{ size = 64; align = 8; signed = false; }} := uint64_t;
typealias integer {{ size = 64; align = 8; signed = true; }} := int64_t;
trace {{
	major = 1; minor = 8; byte_order = le;
	packet.header := struct {{ uint32_t magic; uint32_t stream_id; }};
}};
env {{ domain = "kernel"; tracer_name = "vestibule"; }};
clock {{ name = tsc; freq = {frequency}; offset = 0; description = "time-stamp counter"; }};
typealias integer {{ size = 64; align = 8; signed = false; map = clock.tsc.value; }} := tsc_t;
stream {{
	id = 0;
	packet.context := struct {{
		tsc_t timestamp_begin; tsc_t timestamp_end;
		uint64_t content_size; uint64_t packet_size; uint32_t cpu_id;
	}};
	event.header := struct {{ uint16_t id; tsc_t timestamp; }};
}};
"""


def _declare(kind):
    fields = " ".join(f"string {name};" if name in STRINGS else f"int64_t {name};" for name in LAYOUT[kind])
    return f'event {{ id = {IDS[kind]}; name = "{kind}"; stream_id = 0; fields := struct {{ {fields} }}; }};\n'


def _encode(event):
    values = {"vm": event.vm or "", "vcpu_id": -1 if event.vcpu is None else event.vcpu, "address": "", "error": 0, **event.args}
    out = HEADER.pack(IDS[event.type], event.tsc)
    for name in LAYOUT[event.type]:
        out += str(values[name]).encode() + b"\0" if name in STRINGS else struct.pack("<q", values[name])
    return out


def write(trace, folder):
    """Writes @trace to @folder, which is made if it is not there."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "metadata"), "w", encoding="ascii") as file:
        file.write(METADATA.format(frequency=trace.tsc_khz * 1000) + "".join(map(_declare, LAYOUT)))
    for cpu in sorted({event.cpu for event in trace.events}):
        mine = [event for event in trace.events if event.cpu == cpu]
        body = b"".join(map(_encode, mine))
        bits = (PACKET.size + len(body)) * 8
        with open(os.path.join(folder, f"cpu{cpu}"), "wb") as file:
            file.write(PACKET.pack(MAGIC, 0, mine[0].tsc, mine[-1].tsc, bits, bits, cpu) + body)
