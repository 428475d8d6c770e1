"""Which certificates to trust for which registry: the system's, and ``certs.d/<host>/`` as Docker has it."""

import os
from dataclasses import dataclass
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

CERTS_DIRECTORIES = ("/etc/solva/certs.d", "/etc/docker/certs.d")


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """``directories``: places with ``<host[:port]>/{*.crt,*.cert,*.key}``."""

    directories: tuple[str, ...] = CERTS_DIRECTORIES

    def context(self, host: str, verify: bool) -> "ssl.SSLContext":
        """Blocking (reads the bundle, 10 ms)."""
        import ssl

        context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or None)
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for directory in self.directories:
            place = Path(directory) / host
            if not place.is_dir():
                continue
            for file in sorted(place.iterdir()):
                if file.suffix == ".crt":
                    context.load_verify_locations(cafile=str(file))
                elif file.suffix == ".cert":
                    context.load_cert_chain(str(file), str(file.with_suffix(".key")))
        return context
