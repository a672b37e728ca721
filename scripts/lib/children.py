"""Child processes that do not outlive us."""
import shutil
import signal
import subprocess
import threading

_lock = threading.Lock()
_running = set()


def run(command, timeout=None, **options):
    """As subprocess.run(), standard input aside; returns (exit status, stderr if piped, else None)."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **options)
    with _lock:
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


def stop_on_signals():
    """SIGINT, SIGTERM and SIGHUP end the children first, which clean up behind themselves."""
    def stop(number, _frame):
        with _lock:
            for process in _running:
                process.terminate()
        raise KeyboardInterrupt(number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def tied(command):
    """@command, killed by the system should this process vanish without a chance to clean up."""
    return ["setpriv", "--pdeathsig", "KILL", "--", *command] if shutil.which("setpriv") else command
