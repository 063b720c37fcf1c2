"""The client library's Unix socket transport, with one connection kept instead of one for each URL.

The library keys its connections by the whole URL: each container asked for would leave one open, up to 25
for each thread. It also leaves a socket to the garbage collector whenever the engine is not there.
"""

from __future__ import annotations

import socket

from docker.transport.unixconn import UnixHTTPAdapter, UnixHTTPConnection, UnixHTTPConnectionPool


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.timeout)
            connection.connect(self.unix_socket)
        except BaseException:
            connection.close()
            raise
        self.sock = connection


class _Pool(UnixHTTPConnectionPool):
    def _new_conn(self) -> _Connection:  # type: ignore[override]  # urllib3 means a protocol, and meets it
        return _Connection(self.base_url, self.socket_path)


class UnixAdapter(UnixHTTPAdapter):
    """Sends everything to one socket; timeouts come with each request."""

    def __init__(self, socket_path: str) -> None:
        super().__init__(f"http+unix://{socket_path}")
        self._pool = _Pool("http+docker://localhost", socket_path, maxsize=1)

    def get_connection(self, url: bytes | str, proxies: object = None) -> _Pool:
        """The one pool, whatever the URL."""
        return self._pool

    def close(self) -> None:
        """Close the kept connection."""
        self._pool.close()
        super().close()
