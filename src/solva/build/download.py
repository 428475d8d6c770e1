"""ADD's URLs: fetched whole by a thread (the libraries for it are imported at the first use)."""

import asyncio
import posixpath
from email.utils import parsedate_to_datetime
from urllib.parse import unquote, urlsplit

from solva.errors import InvalidParameter, Unavailable

TIMEOUT = 60.0
MAX_BYTES = 4 << 30


async def fetch(url: str, name: str = "") -> tuple[str, bytes, float]:
    """(file name, content, modification time or 0). ``name``: what to call it."""
    name = name or posixpath.basename(unquote(urlsplit(url).path))
    if not name:
        raise InvalidParameter(f"cannot determine filename for source {url}")
    data, modified = await asyncio.to_thread(_get, url)
    return name, data, modified


def _get(url: str) -> tuple[bytes, float]:
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            data = response.read(MAX_BYTES + 1)
            stamp = response.headers.get("Last-Modified")
    except urllib.error.HTTPError as error:
        raise InvalidParameter(f"ADD failed: invalid response status {error.code} from {url}") from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"ADD failed: failed to GET {url}: {getattr(error, 'reason', error)}") from None
    if len(data) > MAX_BYTES:
        raise InvalidParameter(f"ADD failed: {url} is greater than {MAX_BYTES} bytes")
    try:
        return data, parsedate_to_datetime(stamp).timestamp() if stamp else 0.0
    except ValueError:
        return data, 0.0
