"""The same request for many containers: every one is tried, failures are gathered."""

from __future__ import annotations

from solva.cli.session import response_error, say, warn
from solva.client.transport import EngineUnreachable
from solva.errors import SolvaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def each(names: Iterable[str], act: Callable[[str], str | None]) -> int:
    """``act`` on each name and print what it returns (the name for None, nothing for ``""``); 1 when any failed."""
    failed = False
    for name in names:
        try:
            answer = act(name)
        except EngineUnreachable:
            raise
        except SolvaError as error:
            failed = True
            warn(response_error(error))
            continue
        if answer != "":
            say(name if answer is None else answer)
    return int(failed)


def together(names: list[str], act: Callable[[str], str | None]) -> int:
    """Like `each`, all at once: stopping ten containers takes as long as the slowest."""
    if len(names) < 2:
        return each(names, act)
    import threading

    results: dict[int, str | SolvaError | None] = {}

    def work(index: int, name: str) -> None:
        try:
            results[index] = act(name)
        except SolvaError as error:
            results[index] = error

    threads = [threading.Thread(target=work, args=(index, name), daemon=True) for index, name in enumerate(names)]
    for thread in threads:
        thread.start()
    failures: list[SolvaError] = []
    for index, thread in enumerate(threads):
        thread.join()
        result = results[index]
        if isinstance(result, SolvaError):
            failures.append(result)
        elif result != "":
            say(names[index] if result is None else result)
    for failure in failures:
        warn(response_error(failure))
    return int(bool(failures))
