"""An endpoint put into etcd with its addresses, under a lease, if nobody else has them: by the engine when it joins, by
the agent after a lost lease."""

from __future__ import annotations

from solva.cluster import etcd as store
from solva.cluster import rows
from solva.cluster.etcd import Etcd
from solva.cluster.rows import AddressRow, EndpointRow


class Taken(Exception):
    """Why it cannot be."""


async def register(etcd: Etcd, lease: int, network: str, endpoint: str, value: EndpointRow) -> int:
    """The revision. Taken when the network is gone or an address is another host's; LeaseGone, Unreachable."""
    mine = rows.text(AddressRow(host=value.host))
    there = rows.network_key(network)
    keys = [rows.address_key(network, address) for address in value.addresses]
    seen = await etcd.transact([], [store.read(there), *map(store.read, keys)])
    if not seen.reads[0]:
        raise Taken("its network has been removed")
    conditions = [store.present(there)]
    for key, found in zip(keys, seen.reads[1:], strict=True):
        if found and found[0].value != mine:
            raise Taken(f"{key.rpartition('/')[2]} belongs to an endpoint of another host")
        conditions.append(store.holds(key, mine) if found else store.absent(key))
    puts = [store.put(key, mine, lease) for key in keys]
    puts.append(store.put(rows.endpoint_key(network, endpoint), rows.text(value), lease))
    done = await etcd.transact(conditions, puts)
    if not done.succeeded:
        raise Taken("another host was quicker")
    return done.revision
