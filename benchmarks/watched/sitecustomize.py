"""Makes a worker tell how many tasks its event loop has: at SIGUSR2 the number is in $TASKS_FOLDER/PID.

Python loads this by itself where PYTHONPATH names this folder. So what is measured is the service as it is.
"""

import asyncio
import os
import signal
from pathlib import Path


def _tell(*_: object) -> None:
    path = Path(os.environ["TASKS_FOLDER"], str(os.getpid()))
    path.write_text(str(len(asyncio.all_tasks())))


os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGUSR2, _tell))
