"""twisted.web.static.File as it comes: FOLDER HTTP_PORT HTTPS_PORT CERT KEY."""

import sys

from OpenSSL import crypto
from twisted.internet import reactor, ssl
from twisted.web import server, static

folder, http, https, cert, key = sys.argv[1:]


def read(path: str) -> bytes:
    """A whole file."""
    with open(path, "rb") as file:
        return file.read()


site = server.Site(static.File(folder))
options = ssl.CertificateOptions(
    privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, read(key)),
    certificate=crypto.load_certificate(crypto.FILETYPE_PEM, read(cert)),
)
reactor.listenTCP(int(http), site, interface="127.0.0.1")
reactor.listenSSL(int(https), site, options, interface="127.0.0.1")
reactor.run()
