"""TLS over a connection that somebody else polls. Imported only for a server that was started with ssl-*."""

from __future__ import annotations

import ssl


class TlsLayer:
    """Encrypts and decrypts between memory buffers; never touches the socket itself."""

    def __init__(self, host: str, *, verify: bool) -> None:
        context = ssl.create_default_context()
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._layer = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._ready = False
        self._to_write = b""
        self.outgoing = b""  # encrypted, to be sent

    def feed(self, data: bytes) -> None:
        """Hand over what the socket gave; empty = the other side has closed."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def sent(self, count: int) -> None:
        """That many bytes of `outgoing` went out."""
        self.outgoing = self.outgoing[count:]

    def work(self, plain: bytes) -> tuple[bytes, bool]:
        """Go as far as the buffers allow; `plain` is sent once the handshake is done.

        Returns what was decrypted and whether the other side has ended. Raises ssl.SSLError (an OSError)
        when the handshake fails or the certificate is refused.
        """
        self._to_write += plain
        try:
            return self._advance()
        except ssl.SSLWantReadError:
            return b"", False
        finally:
            self.outgoing += self._outgoing.read()

    def _advance(self) -> tuple[bytes, bool]:
        if not self._ready:
            self._layer.do_handshake()
            self._ready = True
        if self._to_write:
            self._layer.write(self._to_write)
            self._to_write = b""
        parts = []
        try:
            while data := self._layer.read(65536):
                parts.append(data)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return b"".join(parts), True
