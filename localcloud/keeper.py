"""Runs one program and lets nothing of it outlive the one who asked for it.

    python keeper.py folder program argument...

The program and its descendants share a process group. When the program ends, or when standard
input closes, the whole group is ended. Standard input is a pipe held by the process that started
the keeper, and the kernel closes it however that process dies, SIGKILL included. In that case the
folder is removed too, unless its name is empty. The exit status is the program's. Imports only the
standard library, so that it starts in a few milliseconds with `python -I -S`.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading

GRACE_S = 3.0  # servers whose data is thrown away; MiniStack would finish its executions first


def main(folder: str, argv: list[str]) -> int:
    # A handler, not SIG_IGN: SIG_IGN would be inherited by the program, a handler is not.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, process_group=0)
    except OSError as error:
        print(f"cannot run {argv[0]}: {error.strerror}", file=sys.stderr)
        return 127

    owner_is_gone = threading.Event()

    def end_group(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, number)

    def stop_when_the_owner_is_gone() -> None:
        while os.read(0, 1):
            pass
        owner_is_gone.set()
        end_group(signal.SIGTERM)
        last_resort = threading.Timer(GRACE_S, end_group, (signal.SIGKILL,))
        last_resort.daemon = True
        last_resort.start()

    threading.Thread(target=stop_when_the_owner_is_gone, daemon=True).start()
    status = program.wait()
    end_group(signal.SIGKILL)  # what the program left behind: workers, helpers
    if folder and owner_is_gone.is_set():
        import shutil  # noqa: PLC0415 - its imports cost more than all others, and few need it

        shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    # Not sys.exit: the thread that reads standard input may hold a lock that exiting waits for.
    os._exit(main(sys.argv[1], sys.argv[2:]))
