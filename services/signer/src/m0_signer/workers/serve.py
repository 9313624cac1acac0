"""A worker's process: it answers what comes in, and ends when the desk closes its input or is gone."""

import os
import signal
import sys

from m0common.process import tune_gc
from m0common.process.signals import SIGNALS

from m0_signer.workers.wire import asked, frame
from m0_signer.workers.work import HeartOf, Work


def serve(heart_of: HeartOf) -> None:
    """Until the input ends. A signal to stop is the desk's to take: it hands over what is unsaved, then closes."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(os.dup(sys.stdout.fileno()), "wb") as sink:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whoever prints does not speak to the desk
        work = Work(heart_of)
        tune_gc()
        try:
            for message in asked(sys.stdin.buffer):
                for answer in work.answer(message):
                    sink.write(frame(answer))
                sink.flush()
        except BrokenPipeError:
            os._exit(0)  # nobody reads any more: closing the sink would fail as well
