"""Threads that take turns: one moves at a time, and a seed says which is next.

An actor runs only while it holds the baton, and gives it back at every boundary of I/O, so the
same seed gives the same interleaving. Only a lock inside PostgreSQL can hold up the actor that has
the baton: it is then left to wait there, and the others go on.
"""

import hashlib
import queue
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.storms.discrepancy import Discrepancy

_PATIENCE = 60.0
"""Seconds of real time in which an actor comes to its next boundary, or something hangs."""
_LOOK_EVERY = 0.003
"""Seconds after which an actor inside PostgreSQL may be waiting for a lock."""
_PACES = (0.02, 0.3, 1, 1, 1, 4)
"""How likely an actor is to be next; it changes its pace now and then, wherever it is."""
_CHANGES = 0.25


class Killed(BaseException):
    """As after kill -9: no `except Exception` stops it, and whoever got it does no more I/O."""


class _Turn(Enum):
    READY = auto()
    RUNNING = auto()
    BLOCKED = auto()


@dataclass(eq=False)
class Actor:
    """Somebody who does one thing after another."""

    name: str
    work: Callable[[], object]
    pace: float
    at: str = "its beginning"
    contends: str | None = None
    """The lock that it will ask for when it goes on."""
    polite: bool = False
    """Whether it lets all others go first."""
    backend: int | None = None
    """The process of PostgreSQL that it has sent a statement to."""
    turn: _Turn = _Turn.READY
    over: bool = False
    failure: BaseException | None = None
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    thread: threading.Thread | None = None


class Scheduler:
    """Passes the baton; `waits` tells whether a process of PostgreSQL waits for a lock."""

    def __init__(self, chance: random.Random, waits: Callable[[int], bool]) -> None:
        self._chance = chance
        self._waits = waits
        self._actors: list[Actor] = []
        self._returned: queue.SimpleQueue[Actor] = queue.SimpleQueue()
        self._here = threading.local()
        self.story: list[str] = []
        self._closed = False
        self.steps = 0
        self.lock_waits = 0

    @property
    def trace(self) -> str:
        """What tells this interleaving from any other."""
        return hashlib.sha256("\n".join(self.story).encode()).hexdigest()[:16]

    @property
    def current(self) -> Actor | None:
        """The actor whose thread calls."""
        actor: Actor | None = getattr(self._here, "actor", None)
        return actor

    def note(self, event: str) -> None:
        """Write an event into the story."""
        self.story.append(event)

    def spawn(self, name: str, work: Callable[[], object]) -> None:
        """Let somebody join."""
        self._actors.append(Actor(name, work, self._chance.choice(_PACES)))

    def pause(self, at: str, contends: str | None = None, *, politely: bool = False) -> None:
        """Give the baton back and wait for the next turn; where nobody passes it, go on.

        Args:
            at: where the caller stands.
            contends: a lock that it asks for next. While one waits for it, no other may try, for
                which of several PostgreSQL lets in first is chance.
            politely: go on only when all others wait or are polite too, and all of those with it.

        Raises:
            Killed: everything is over.
        """
        actor = self.current
        if actor is None:
            return
        actor.at, actor.contends, actor.polite = at, contends, politely
        self._returned.put(actor)
        actor.baton.acquire()
        if self._closed:
            raise Killed

    def run(self) -> None:
        """Let all of them, and who joins them, go on until everybody is done.

        Raises:
            Discrepancy: all wait for each other, or one is stuck.
        """
        while self._actors:
            self._settle()
            ready = self._ready()
            if not ready:
                raise Discrepancy(f"deadlock: everybody waits: {self._places()}")
            [actor] = self._chance.choices(ready, [each.pace for each in ready])
            self._step(actor)
            if self._chance.random() < _CHANGES:
                actor.pace = self._chance.choice(_PACES)

    def close(self) -> None:
        """End what is left, after a failure."""
        self._closed = True
        for actor in self._actors:
            actor.baton.release()
        for actor in self._actors:
            if actor.thread:
                actor.thread.join(5)

    def _ready(self) -> list[Actor]:
        taken = {a.contends for a in self._actors if a.turn is _Turn.BLOCKED and a.contends}
        free = [a for a in self._actors if a.turn is _Turn.READY and a.contends not in taken]
        if first := [actor for actor in free if not actor.polite]:
            return first
        for actor in free:
            actor.polite = False
        return free

    def _step(self, actor: Actor) -> None:
        self.steps += 1
        self.note(f"{actor.name} goes on from {actor.at}")
        actor.turn = _Turn.RUNNING
        if actor.thread is None:
            actor.thread = threading.Thread(target=self._live, args=(actor,), daemon=True)
            actor.thread.start()
        else:
            actor.baton.release()
        deadline = time.monotonic() + _PATIENCE
        while actor.turn is _Turn.RUNNING:
            if self._collect(_LOOK_EVERY):
                continue
            if actor.backend is not None and self._waits(actor.backend):
                actor.turn = _Turn.BLOCKED
                self.lock_waits += 1
                self.note(f"{actor.name} waits for a lock")
            elif time.monotonic() > deadline:
                raise Discrepancy(f"{actor.name} hangs after {actor.at}: {_stack(actor)}")

    def _settle(self) -> None:
        """Wait until each that PostgreSQL has let go on is back."""
        deadline = time.monotonic() + _PATIENCE
        for actor in [a for a in self._actors if a.turn is _Turn.BLOCKED]:
            while actor.turn is _Turn.BLOCKED:
                assert actor.backend is not None
                if self._waits(actor.backend):
                    break
                self._collect(_LOOK_EVERY)
                if time.monotonic() > deadline:
                    raise Discrepancy(f"{actor.name} hangs after {actor.at}: {_stack(actor)}")

    def _collect(self, within: float) -> bool:
        try:
            actor = self._returned.get(timeout=within)
        except queue.Empty:
            return False
        actor.turn = _Turn.READY
        if actor.over:
            self._actors.remove(actor)
        if actor.failure:
            raise actor.failure
        return True

    def _live(self, actor: Actor) -> None:
        self._here.actor = actor
        try:
            actor.work()
        except BaseException as error:
            actor.failure = error
        actor.over = True
        self._returned.put(actor)

    def _places(self) -> str:
        return "; ".join(f"{actor.name} at {actor.at}" for actor in self._actors)


def _stack(actor: Actor) -> str:
    frame = sys._current_frames().get(actor.thread.ident or 0) if actor.thread else None
    return "".join(traceback.format_stack(frame)[-8:])
