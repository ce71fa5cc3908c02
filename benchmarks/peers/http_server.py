"""The standard library's http.server, with ssl: FOLDER HTTP_PORT HTTPS_PORT CERT KEY."""

import functools
import ssl
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

folder, http, https, cert, key = sys.argv[1:]


class Handler(SimpleHTTPRequestHandler):
    """Keeps connections, and says nothing."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_args: object) -> None:
        """Nothing is logged, here as at the others."""


class Server(ThreadingHTTPServer):
    """Takes as many at once as the load has."""

    request_queue_size = 1024
    daemon_threads = True

    def handle_error(self, *_args: object) -> None:
        """A client that leaves is no news."""


handler = functools.partial(Handler, directory=folder)
plain, tls = (Server(("127.0.0.1", int(port)), handler) for port in (http, https))
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(cert, key)
tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
threading.Thread(target=plain.serve_forever, daemon=True).start()
tls.serve_forever()
