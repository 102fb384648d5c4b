"""Deterministic scheduler: one thread runs at a time, and a seed decides which is next.

An actor runs only while it holds the baton, and returns it before every I/O operation, so the same
seed gives the same interleaving. If the actor with the baton blocks on a lock in PostgreSQL, the
others continue.
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

_PATIENCE = 60.0
"""Timeout in seconds of real time for one step of an actor."""
_CHECK_EVERY = 0.003
"""Seconds between checks whether an actor waits for a lock in PostgreSQL."""
_PACES = (0.02, 0.3, 1, 1, 1, 4)
"""Weights of an actor in the choice of the next one; its weight changes sometimes."""
_CHANGES = 0.25
"""Probability of such a change after a step."""


class Discrepancy(AssertionError):
    """The table, the log or the alerts differ from the expected ones."""


class Killed(BaseException):
    """Simulates kill -9: no `except Exception` catches it, and the actor does no more I/O."""


class _Turn(Enum):
    READY = auto()
    RUNNING = auto()
    BLOCKED = auto()


@dataclass(eq=False)
class Actor:
    """A thread of the simulation."""

    name: str
    work: Callable[[], object]
    pace: float
    at: str = "its beginning"
    contends: str | None = None
    """The lock that its next operation requests."""
    is_last: bool = False
    """Whether all other actors run first."""
    backend: int | None = None
    """The PostgreSQL backend that executes its statement."""
    turn: _Turn = _Turn.READY
    over: bool = False
    failure: BaseException | None = None
    baton: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    thread: threading.Thread | None = None


class Scheduler:
    """Passes the baton; `waits` returns whether a PostgreSQL backend waits for a lock."""

    def __init__(self, chance: random.Random, waits: Callable[[int], bool]) -> None:
        self._chance = chance
        self._waits = waits
        self._actors: list[Actor] = []
        self._returned: queue.SimpleQueue[Actor] = queue.SimpleQueue()
        self._here = threading.local()
        self.history: list[str] = []
        self._closed = False
        self.steps = 0
        self.lock_waits = 0

    @property
    def trace(self) -> str:
        """A hash that identifies this interleaving."""
        return hashlib.sha256("\n".join(self.history).encode()).hexdigest()[:16]

    @property
    def current(self) -> Actor | None:
        """The actor of the calling thread."""
        actor: Actor | None = getattr(self._here, "actor", None)
        return actor

    def note(self, event: str) -> None:
        self.history.append(event)

    def spawn(self, name: str, work: Callable[[], object]) -> None:
        """Add an actor."""
        self._actors.append(Actor(name, work, self._chance.choice(_PACES)))

    def pause(self, at: str, contends: str | None = None, *, last: bool = False) -> None:
        """Return the baton and wait for the next turn; outside of an actor, do nothing.

        Args:
            at: the position of the caller, for messages.
            contends: the lock that it requests next. While one actor waits for a lock, no other
                may request it: the order in which PostgreSQL grants a lock is not deterministic.
            last: continue only when all other actors wait or are last too.

        Raises:
            Killed: the simulation has ended.
        """
        actor = self.current
        if actor is None:
            return
        actor.at, actor.contends, actor.is_last = at, contends, last
        self._returned.put(actor)
        actor.baton.acquire()
        if self._closed:
            raise Killed

    def run(self) -> None:
        """Run all actors to their end; raise a Discrepancy if they are deadlocked or one hangs."""
        while self._actors:
            self._settle()
            ready = self._ready()
            if not ready:
                raise Discrepancy(f"deadlock: all actors wait: {self._places()}")
            [actor] = self._chance.choices(ready, [each.pace for each in ready])
            self._step(actor)
            if self._chance.random() < _CHANGES:
                actor.pace = self._chance.choice(_PACES)

    def close(self) -> None:
        """End the remaining actors after a failure."""
        self._closed = True
        for actor in self._actors:
            actor.baton.release()
        for actor in self._actors:
            if actor.thread:
                actor.thread.join(5)

    def _ready(self) -> list[Actor]:
        taken = {a.contends for a in self._actors if a.turn is _Turn.BLOCKED and a.contends}
        free = [a for a in self._actors if a.turn is _Turn.READY and a.contends not in taken]
        if first := [actor for actor in free if not actor.is_last]:
            return first
        for actor in free:
            actor.is_last = False
        return free

    def _step(self, actor: Actor) -> None:
        self.steps += 1
        self.note(f"{actor.name} continues at {actor.at}")
        actor.turn = _Turn.RUNNING
        if actor.thread is None:
            actor.thread = threading.Thread(target=self._live, args=(actor,), daemon=True)
            actor.thread.start()
        else:
            actor.baton.release()
        deadline = time.monotonic() + _PATIENCE
        while actor.turn is _Turn.RUNNING:
            if self._collect(_CHECK_EVERY):
                continue
            if actor.backend is not None and self._waits(actor.backend):
                actor.turn = _Turn.BLOCKED
                self.lock_waits += 1
                self.note(f"{actor.name} waits for a lock")
            elif time.monotonic() > deadline:
                raise Discrepancy(f"{actor.name} hangs after {actor.at}: {_stack(actor)}")

    def _settle(self) -> None:
        """Wait until each actor whose lock was granted has reached its next pause."""
        deadline = time.monotonic() + _PATIENCE
        for actor in [a for a in self._actors if a.turn is _Turn.BLOCKED]:
            while actor.turn is _Turn.BLOCKED:
                assert actor.backend is not None
                if self._waits(actor.backend):
                    break
                self._collect(_CHECK_EVERY)
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
