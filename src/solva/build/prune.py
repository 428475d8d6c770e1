"""Which records of the cache a prune takes."""

from solva.build import durations
from solva.build.cache import CacheRecord
from solva.errors import InvalidParameter

_KNOWN = {"until", "unused-for", "id", "description", "type", "inuse", "shared", "private", "parents", "parent"}


def prunable(records: list[CacheRecord], used: set[str], filters: dict[str, list[str]], now: int,
             keep: int) -> list[CacheRecord]:
    """Those that pass ``filters``, least recently used first, until at most ``keep`` bytes of records remain."""
    unknown = set(filters) - _KNOWN
    if unknown:
        raise InvalidParameter(f"invalid filter '{sorted(unknown)[0]}'")
    age = max((durations.parse(text) for name in ("until", "unused-for") for text in filters.get(name, ())), default=0)
    total = sum(record.size for record in records if record.chain_id not in used)
    chosen = []
    for record in sorted(records, key=lambda record: record.used):
        if keep and total <= keep:
            break
        if record.used + age > now and age:
            continue
        if "id" in filters and not any(record.key.startswith(prefix) for prefix in filters["id"]):
            continue
        if "description" in filters and record.description not in filters["description"]:
            continue
        chosen.append(record)
        if record.chain_id not in used:
            total -= record.size
    return chosen
