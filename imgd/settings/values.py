"""Makes values of what people write. ``ValueError`` says what is wrong, to follow the value itself:
"is not a port; ...".
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from imgd.core import forwarded
from imgd.core.messages import MAX_MINUTES
from imgd.core.urls import DEFAULT_PORTS, MAX_PORT, parse_authority, parse_url

MAX_SECONDS: Final = 86_400  # a day
MAX_AGE: Final = 31_536_000  # seconds: a year, which caches take for ever
MAX_CONNECTIONS: Final = 1_000_000
MAX_MEGABYTES: Final = 1_000_000
MAX_WORKERS: Final = 256
MAX_PIXELS: Final = 999_999_999
MAX_SIZE: Final = 1_000_000_000  # megabytes
TOKEN_LENGTH: Final = 16  # characters; of base64, they hold 96 bits

_YES: Final = frozenset(("1", "true", "yes", "on"))
_NO: Final = frozenset(("0", "false", "no", "off"))
_SIZE: Final = re.compile(r"(?i)([0-9]{1,9}) ?((?:[MG]B)?)")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
# RFC 1123 section 2.1, with underscores, which container networks have in their names; a last label
# of digits would be read as an IPv4 address by some and not by others.
_NAME: Final = re.compile(rf"(?!.{{254}})(?:{_LABEL}\.)*(?![0-9]+\.?$){_LABEL}\.?")
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]+)/?")  # RFC 6454 section 6.1
_BEARER: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # b64token, RFC 6750 section 2.1


def boolean(text: str) -> bool:
    """Yes or no, in the words that people use."""
    word = text.lower()
    if word not in _YES | _NO:
        raise ValueError("is neither yes nor no; give 1 or 0, true or false, yes or no, on or off")
    return word in _YES


def whole(text: str, most: int, meaning: str) -> int:
    """A whole number from 0 to ``most``."""
    if not _WHOLE.fullmatch(text) or int(text) > most:
        raise ValueError(f"is not {meaning}; give a whole number from 0 to {most}")
    return int(text)


def port(text: str) -> int:
    """A TCP port; 0 takes a free one."""
    return whole(text, MAX_PORT, "a port")


def minutes(text: str) -> int:
    """The length of a timer in minutes; 0 never."""
    return whole(text, MAX_MINUTES, "a number of minutes")


def grace(text: str) -> int:
    """How long the end may take, in seconds; 0 ends at once."""
    return whole(text, MAX_SECONDS, "a number of seconds")


def age(text: str) -> int:
    """How old a copy in a cache may be, in seconds."""
    return whole(text, MAX_AGE, "a number of seconds")


def seconds(text: str) -> int:
    """A deadline, which is never 0."""
    number = grace(text)
    if not number:
        raise ValueError(f"is no time at all; give a whole number from 1 to {MAX_SECONDS}")
    return number


def connections_or_none(text: str) -> int:
    """How many connections there may be; 0 for any number."""
    return whole(text, MAX_CONNECTIONS, "a number of connections")


def connections(text: str) -> int:
    """How many connections there may be, one at least."""
    number = connections_or_none(text)
    if not number:
        raise ValueError("would let nobody in; give a whole number from 1 on")
    return number


def megabytes(text: str) -> int:
    """A size in whole megabytes (of 1,000,000 bytes); 0 none."""
    return whole(text, MAX_MEGABYTES, "a number of megabytes")


def workers(text: str) -> int:
    """How many processes there may be; 0 none."""
    return whole(text, MAX_WORKERS, "a number of processes")


def pixels(text: str) -> int:
    """How many pixels a picture may have, one at least."""
    number = whole(text, MAX_PIXELS, "a number of pixels")
    if not number:
        raise ValueError(f"would refuse every picture; give a whole number from 1 to {MAX_PIXELS}")
    return number


def size(text: str) -> int:
    """A size as ``500MB`` or ``2GB``, or in megabytes without a unit: whole megabytes; 0 none."""
    match = _SIZE.fullmatch(text)
    number = int(match[1]) * (1000 if match[2].upper() == "GB" else 1) if match else -1
    if not 0 <= number <= MAX_SIZE:
        raise ValueError("is not a size; give whole megabytes or gigabytes, as in 500MB or 20GB")
    return number


def host(text: str) -> str:
    """A name or an address, in lower case, without the brackets of a URL."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return str(ip_address(bare))
    except ValueError:
        pass
    if not _NAME.fullmatch(text):
        raise ValueError("is not a host name or an address; 0.0.0.0 and :: mean every address")
    return text.lower().removesuffix(".")


def is_everywhere(host: str) -> bool:
    """Whether it is ``0.0.0.0`` or ``::``: every address to bind to, and nobody's name."""
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False


def allowed_host(text: str) -> str:
    """What a ``Host`` header may name; its port, if one is written, does not matter."""
    try:
        authority = parse_authority(text)
        name = host(authority.host if authority else text)
    except ValueError:
        raise ValueError("is not a host name or an address") from None
    if is_everywhere(name):
        raise ValueError("is the name of no host; give the one that clients ask for")
    return name


def network(text: str) -> str:
    """An address, or a network in CIDR form (RFC 4632): always as a network."""
    try:
        return str(forwarded.network(text))
    except ValueError:
        raise ValueError(
            "is not an address or a network; give 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32"
        ) from None


def certificate_name(text: str) -> str:
    """A name, one with ``*`` for its first label (RFC 6125 section 6.4.3), or an address."""
    try:
        name = host(text.removeprefix("*."))
    except ValueError:
        name = ""
    if text.startswith("*.") and name and "." not in name:
        raise ValueError("is a wildcard that browsers do not accept; give each name below it")
    if not name or (text.startswith("*.") and not _NAME.fullmatch(name)):
        raise ValueError("is not a name or an address that a certificate can hold")
    return f"*.{name}" if text.startswith("*.") else name


def origin(text: str) -> str:
    """An origin as browsers write it, without the port that its scheme has anyway, or ``*``."""
    if text == "*":
        return text
    match = _ORIGIN.fullmatch(text.lower())
    authority = parse_authority(match[2]) if match else None
    if match is None or authority is None or not _is_host(authority.host):
        raise ValueError("is not an origin; give SCHEME://HOST or SCHEME://HOST:PORT, or *")
    scheme, written = match.groups()
    return f"{scheme}://{written.removesuffix(f':{DEFAULT_PORTS.get(scheme)}')}"


def url(text: str) -> str:
    """A base to put paths behind: http or https with a host, without a slash at its end."""
    parsed = parse_url(text)
    if parsed is None or not _is_host(parsed.origin.host) or "?" in text or "#" in text:
        raise ValueError("is not a URL to build on; give http://HOST or https://HOST")
    return text.rstrip("/")


def _is_host(text: str) -> bool:
    try:
        host(text)
    except ValueError:
        return False
    return True


def token(text: str) -> str:
    """A bearer token that nobody guesses. The message does not repeat it."""
    if len(text) < TOKEN_LENGTH or not _BEARER.fullmatch(text):
        raise ValueError(
            f"must be {TOKEN_LENGTH} characters or more of A-Z a-z 0-9 - . _ ~ + / (= at its end)"
        )
    return text


def port_of(text: str) -> str | None:
    """The port of a server's address, ``http://HOST:PORT`` or ``HOST:PORT``, if it has one."""
    number = parse_authority(_server(text)[1])
    return None if number is None or number.port is None else str(number.port)


def host_of(text: str) -> str | None:
    """The host of a server's address."""
    authority = parse_authority(_server(text)[1])
    return None if authority is None else authority.host


def tls_of(text: str) -> str | None:
    """Whether a server's address asks for TLS, if it has a scheme."""
    return {"http": "no", "https": "yes"}.get(_server(text)[0])


def _server(text: str) -> tuple[str, str]:
    """Scheme ("" without) and authority of a server's address; what follows does not matter."""
    scheme, mark, rest = text.rpartition("://")
    authority = rest.split("/", 1)[0]
    known = not mark or scheme.lower() in DEFAULT_PORTS
    if not known or parse_authority(authority) is None:
        raise ValueError("is not a server's address; give http://HOST:PORT or https://HOST:PORT")
    return scheme.lower(), authority


def with_scheme(text: str) -> str:
    """A URL; https if only a domain was given."""
    return text if "://" in text else f"https://{text}"


def first_of_many(text: str) -> str:
    """The first of the folders that systemd gives, colon-separated (systemd.exec(5))."""
    return text.split(":", 1)[0]
