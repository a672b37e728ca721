"""Child processes that do not outlive us."""
import shutil
import signal
import subprocess
import threading

_lock = threading.Lock()
_running = set()
_stopped = False


class Stopped(Exception):
    """No child is started any more."""


def run(command, timeout=None, **options):
    """As subprocess.run(), standard input aside; returns (exit status, stderr if piped, else None)."""
    with _lock:
        if _stopped:
            raise Stopped("stopped")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
        _running.add(process)
    try:
        said = process.communicate(timeout=timeout)[1]
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
        with _lock:
            _running.discard(process)
    return process.returncode, said


def stop():
    """Ends the children, which clean up behind themselves, and lets no other begin."""
    global _stopped
    with _lock:
        _stopped = True
        for process in _running:
            process.terminate()


def stop_on_signals():
    """SIGINT, SIGTERM and SIGHUP end the children first. A signal may come while the lock is held here, so it is left to another
    thread."""
    def on_signal(number, _frame):
        threading.Thread(target=stop).start()
        raise KeyboardInterrupt(number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def tied(command):
    """@command, killed by the system should this process vanish without a chance to clean up."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command] if shutil.which("setpriv") else command
