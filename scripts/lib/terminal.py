"""The terminal of scripts/run --monitor: the machine's COM1 on a socket, and who types there: a person, or lines of a script.

A script's lines (docs/monitor.md): a command, after which its @monitor record is waited for; while input goes to a guest, text for
it; "^]", the key that switches; "? TEXT", which waits until the machine has said TEXT since the last line; "#" begins a comment. At
the script's end the machine is told to quit."""
import os
import select
import signal
import socket
import sys
import termios
import tty

from serial import parse_record

SWITCH_KEY = b"\x1d"
CTRL_C = b"\x03"
QUIT = b"\x15quit\r"  # in a line of its own, whatever has been typed
PIECE = 8  # bytes sent at a time: a UART holds 16, and takes no more while the machine prints a line


class Link:
    """COM1: the emulator connects to us."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.connection = None

    def read(self):
        """What has come since the last time; b"" if nothing."""
        data = b""
        try:
            if not self.connection:
                self.connection = self.listener.accept()[0]
                self.connection.setblocking(False)
            while True:
                piece = self.connection.recv(65536)
                if not piece:
                    return data
                data += piece
        except (BlockingIOError, ConnectionError):
            return data

    def write(self, data):
        """How many bytes have been taken."""
        try:
            return self.connection.send(data) if self.connection else 0
        except (BlockingIOError, ConnectionError):
            return 0


class Typist:
    """Sends what is to be typed in pieces, and knows from the records whose the input is."""

    def __init__(self, link):
        self.link = link
        self.queue = b""
        self.row = ""  # that the machine has begun, and not ended yet
        self.up = False  # the monitor has said that it listens, and has not quit
        self.answers = 0
        self.guest = None

    def line(self, text):
        """A line of the machine's."""
        word, fields = parse_record(text) or (None, None)
        if word == "monitor":
            self.up = fields.get("command") != "quit"
            self.answers += 1
            self.guest = fields.get("input")

    def poll(self):
        """What an emulator leaves unread when it ends would take from us what it sent last: nothing is sent behind "quit"."""
        if self.queue and self.up:
            self.queue = self.queue[self.link.write(self.queue[:PIECE]):]


class Person(Typist):
    """Keys of our own terminal, as they come. Ctrl-C is a guest's while one types to it; else the machine quits, and at the second it is
    killed."""

    def __init__(self, link):
        super().__init__(link)
        self.keyboard = sys.stdin.fileno()
        self.before = termios.tcgetattr(self.keyboard)
        self.asked = False
        tty.setraw(self.keyboard)

    def close(self):
        termios.tcsetattr(self.keyboard, termios.TCSADRAIN, self.before)

    def interrupt(self):
        if not self.up or self.asked:
            raise KeyboardInterrupt(signal.SIGINT)
        self.asked = True
        self.queue += QUIT

    def poll(self):
        if select.select([self.keyboard], [], [], 0)[0]:
            keys = os.read(self.keyboard, 4096)
            if CTRL_C in keys and not self.guest:
                self.interrupt()
            else:
                self.queue += keys
        super().poll()


class Script(Typist):
    """Lines of a file, one after the other; a pipe's as they come."""

    def __init__(self, link, file):
        super().__init__(link)
        self.file = file
        self.input = b""
        self.ended = False
        self.awaited = 1  # answers; the first one says that the monitor is there
        self.said = ""  # by the machine since the last line
        self.wanted = None

    def close(self):
        self.file.close()

    def line(self, text):
        super().line(text)
        self.said += text + "\n"

    def read_line(self):
        """The next line, or None while there is none. At the end: back to the monitor, and quit."""
        if b"\n" not in self.input and not self.ended and select.select([self.file], [], [], 0)[0]:
            data = os.read(self.file.fileno(), 65536)
            self.ended = not data
            self.input += data
        first, newline, rest = self.input.partition(b"\n")
        if newline or (self.ended and first):
            self.input = rest
            return first.decode("utf-8", "replace").rstrip("\r")
        if not self.ended:
            return None
        return "^]" if self.guest else "quit"

    def perform(self, text):
        if text.startswith("#") or not text.strip():
            return
        if text.startswith("? "):
            self.wanted = text[2:]
            return
        self.said = ""
        if text == "^]":
            self.queue += SWITCH_KEY
            self.awaited += 1
        else:
            self.queue += text.encode("utf-8", "replace") + b"\r"
            self.awaited += self.guest is None

    def poll(self):
        super().poll()
        if self.queue or self.answers < self.awaited or not self.up:
            return
        if self.wanted is not None and self.wanted not in self.said + self.row:
            return
        self.wanted = None
        text = self.read_line()
        if text is not None:
            self.perform(text)


def typist(link, path):
    """Who types: lines of the file @path; or of standard input, unless that is a terminal."""
    if path:
        return Script(link, open(path, "rb", buffering=0))
    if sys.stdin.isatty():
        return Person(link)
    return Script(link, sys.stdin.buffer.raw)
