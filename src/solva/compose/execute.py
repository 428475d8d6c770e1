"""Carries a plan out: every operation as soon as what it needs is done, several at a time. Decides nothing."""

from __future__ import annotations

import threading

from solva.compose.errors import ComposeError, Interrupted
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from solva.client.transport import Connection, Transport
    from solva.compose.plan import Op, Plan
    from solva.compose.progress import Progress

    class Credentials(Protocol):
        """What `login` stored, as request headers."""

        def of(self, reference: str) -> dict[str, str]: ...

        def every(self) -> dict[str, str]: ...

        def login(self, host: str) -> tuple[str, str] | None: ...


def execute(plan: Plan, api: Transport, progress: Progress, *, parallel: int = -1, dry_run: bool = False,
            within: float = 0, credentials: Credentials | None = None) -> None:
    """Raise the first failure, after what was under way has ended; nothing that waits for a failed one is begun.
    ``credentials``: of registries, for pulls and builds. ``within``: seconds after which waiting is given up with an
    error, 0 for none.

    KeyboardInterrupt (^C): nothing new is begun, waits are given up, calls under way and begun chains are carried to
    their end, then it is raised again: what is left behind is whole. A second one ends at once.
    """
    for subject, state in plan.notes:
        progress.event(subject, state)
    if plan.ops:
        run = Run(plan, api, progress, parallel, dry_run, credentials)
        timer = threading.Timer(within, run.expire, (within,)) if within else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            with progress:
                run.run()
        finally:
            if timer is not None:
                timer.cancel()


class Run:
    """One execution."""

    def __init__(self, plan: Plan, api: Transport, progress: Progress, parallel: int, dry_run: bool,
                 credentials: Credentials | None) -> None:
        self.credentials = credentials
        self.api = api
        self.progress = progress
        self.limit = parallel if parallel > 0 else 64
        self.dry_run = dry_run
        self.waiting = {op.key: op for op in plan.ops}
        self.done: set[str] = set()
        self.begun: set[str] = set()            # chains
        self.active = 0
        self.warned: set[str] = set()
        self.error: BaseException | None = None
        self.interrupted = False
        self.given_up = False
        self.changed = threading.Condition()
        self.open: set[Connection] = set()      # connections of what may be given up

    def auth(self, reference: str) -> dict[str, str]:
        """Headers with the credentials of the registry that ``reference`` names."""
        return self.credentials.of(reference) if self.credentials else {}

    def every_auth(self) -> dict[str, str]:
        """Headers with all credentials, as a build needs them."""
        return self.credentials.every() if self.credentials else {}

    def login(self, host: str) -> tuple[str, str] | None:
        """User and password for a registry's host."""
        return self.credentials.login(host) if self.credentials else None

    def warn(self, text: str) -> None:
        """What the engine warns of, once however many containers it concerns."""
        from solva.compose.load.options import warn, warning

        with self.changed:
            if text in self.warned:
                return
            self.warned.add(text)
        if self.progress.mode in ("quiet", "json"):
            warn(text)
        else:
            self.progress.say(warning(text))

    def run(self) -> None:
        try:
            self.loop()
        except KeyboardInterrupt:
            self.interrupt()
            self.loop()
        if self.interrupted:
            raise KeyboardInterrupt
        if self.error is not None:
            raise self.error

    def interrupt(self) -> None:
        """Give up what only waits; begin nothing more but the rest of begun chains."""
        with self.changed:
            self.interrupted = self.given_up = True
            for connection in self.open:
                connection.cut()
        self.progress.say("Interrupted: finishing what is under way (^C again to leave it)")

    def opened(self, connection: Connection) -> None:
        """A connection that may be given up; at once, when that was decided while it was made."""
        with self.changed:
            self.open.add(connection)
            if self.given_up:
                connection.cut()

    def expire(self, seconds: float) -> None:
        """Give up waiting, as a failure."""
        with self.changed:
            self.error = self.error or ComposeError(f"application not healthy after {seconds:g}s")
            self.given_up = True
            for connection in self.open:
                connection.cut()

    def ready(self) -> list[Op]:
        """What can begin now."""
        stopped = self.interrupted or self.error is not None
        return [op for op in self.waiting.values() if self.done.issuperset(op.needs)
                and (not stopped or (op.chain and op.chain in self.begun))][: self.limit - self.active]

    def loop(self) -> None:
        with self.changed:
            while True:
                ready = self.ready()
                for op in ready:
                    del self.waiting[op.key]
                    if op.chain:
                        self.begun.add(op.chain)
                if len(ready) == 1 and not self.active and ready[0].kind == "call":
                    self.changed.release()
                    try:
                        self.one(ready[0])
                    finally:
                        self.changed.acquire()
                    continue
                for op in ready:
                    self.active += 1
                    threading.Thread(target=self.thread, args=(op,), daemon=True).start()
                if not self.active:
                    break
                self.changed.wait()

    def thread(self, op: Op) -> None:
        try:
            self.one(op)
        finally:
            with self.changed:
                self.active -= 1
                self.changed.notify_all()
            self.api.hang_up()

    def one(self, op: Op) -> None:
        from solva.compose.perform import perform

        doing = f"{op.doing} ({op.reason})" if op.reason and op.doing else op.doing
        self.progress.event(op.subject, doing)
        try:
            state = "" if self.dry_run else perform(op, self)
            self.progress.event(op.subject, *((op.done, "") if not state else state.split("\t", 1)))
        except Interrupted:
            self.progress.event(op.subject, "Interrupted")
            return
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                self.waiting[op.key] = op       # cut in the middle of a call: it is made again, or not at all
                raise
            self.progress.event(op.subject, "Error", str(error).split("\n", 1)[0])
            with self.changed:
                self.error = self.error or _with_place(error)
            return
        with self.changed:
            self.done.add(op.key)


def _with_place(error: BaseException) -> BaseException:
    if isinstance(error, SolvaError) and not isinstance(error, ComposeError):
        return ComposeError(f"Error response from daemon: {error}")
    return error
