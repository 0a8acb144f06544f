"""Signals that end a development world: handled for as long as it stands, and no longer."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType

Handler = Callable[[int, FrameType | None], object]


@contextmanager
def handled(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Give the signals *numbers* to *handler*, in the main thread, and afterwards to whom they
    belonged.
    """
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


@contextmanager
def put_off(*numbers: signal.Signals) -> Iterator[None]:
    """The signals *numbers*, where they arrive meanwhile, are handled afterwards.

    Who is interrupted while a process starts does not know it, and cannot stop it. In the main
    thread alone.
    """
    arrived: list[int] = []
    try:
        with handled(lambda number, _: arrived.append(number), *numbers):
            yield
    finally:
        for number in arrived:
            signal.raise_signal(number)


@contextmanager
def until_told() -> Iterator[Event]:
    """An event that is set when we are told to stop: by Ctrl-C, SIGTERM, or a terminal that closes.

    Nothing is interrupted: whatever is being started gets to where it can be stopped.
    """
    told = Event()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as `nohup` asks for
        numbers.append(signal.SIGHUP)
    with handled(lambda *_: told.set(), *numbers):
        yield told


@contextmanager
def unheard(*numbers: signal.Signals) -> Iterator[None]:
    """Processes that are started meanwhile never hear the signals *numbers*; we do, afterwards.

    A terminal sends Ctrl-C to all that belongs to it, and who ends first pulls the ground from
    under the others.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
