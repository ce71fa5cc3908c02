"""The table of settings. Each option, variable, default and meaning is written here and nowhere
else; ``python -m tools.documents`` makes the documents from it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final

import platformdirs

from imgd.settings import paths, values
from imgd.settings.spec import SettingSpec, Variable


def _row(
    field: str,
    help: str,
    parse: Callable[[str], Any],
    default: Any = None,
    *,
    option: str = "",
    aliases: tuple[str, ...] = (),
    variable: str | None = None,
    others: tuple[Variable, ...] = (),
    default_text: str = "",
    **more: Any,
) -> SettingSpec:
    """A row whose option is ``--some-field`` and whose variable is ``IMGD_SOME_FIELD`` unless it
    says otherwise; ``variable`` "" is none.
    """
    name = f"IMGD_{field.upper()}" if variable is None else variable
    return SettingSpec(
        field=field,
        help=help,
        parse=parse,
        options=(option or field.replace("_", "-"), *aliases),
        variables=(*((Variable(name=name),) if name else ()), *others),
        default=default,
        default_text=default_text or str(default),
        **more,
    )


def _flag(field: str, help: str, **more: Any) -> SettingSpec:
    return _row(field, help, values.boolean, False, default_text="off", flag="yes", **more)


def _list(field: str, help: str, parse: Callable[[str], str], **more: Any) -> SettingSpec:
    return _row(field, help, parse, (), many=True, **{"default_text": "none", **more})


def _seconds(field: str, default: int, help: str) -> SettingSpec:
    return _row(field, f"Seconds {help}", values.seconds, default)


def _state_dir(_cwd: str) -> str:
    return platformdirs.user_state_dir("imgd", appauthor=False)


_SERVER: Final = Variable(
    name="IMAGE_SERVER",
    read=values.port_of,
    part="port of ",
    note="Port and host at once, as the older servers have it. IMAGE_SERVER_PORT and "
    "IMAGE_SERVER_HOST come before it; a scheme of http:// instead of https:// means --no-tls.",
    sample="https://localhost:8888",
)
_NIFTI_SERVER: Final = Variable(
    name="NIFTI_IMAGE_SERVER",
    read=values.port_of,
    part="port of ",
    note="Port and host again, used if none of those three gives them.",
    sample="https://localhost:8888",
)

# What --compat-b changes: how the older server of frames was reached.
COMPAT_B_DEFAULTS: Final[dict[str, Any]] = {"port": 7779, "host": "0.0.0.0", "tls": False}  # noqa: S104 - what its clients expect

SECTIONS: Final[dict[str, tuple[SettingSpec, ...]]] = {
    "Listening": (
        _row(
            "port",
            "The HTTPS port; 0 takes a free one, which the log names.",
            values.port,
            8888,
            variable="IMAGE_SERVER_PORT",
            others=(_SERVER, _NIFTI_SERVER),
            short="p",
        ),
        _row(
            "host",
            "The address to bind: localhost means 127.0.0.1, and ::1 if the machine has it; "
            "0.0.0.0 means every address of the machine.",
            values.host,
            "localhost",
            variable="IMAGE_SERVER_HOST",
            others=(
                Variable(name="IMAGE_SERVER", read=values.host_of, part="host of "),
                Variable(name="NIFTI_IMAGE_SERVER", read=values.host_of, part="host of "),
            ),
        ),
        _row(
            "http_port",
            "One more listener, plain HTTP, on the same host.",
            values.port,
            default_text="off",
            example="8080",
        ),
        _flag(
            "compat_b",
            "Other defaults, as clients of the older server of frames expect them: port 7779, "
            "plain HTTP, every address of the machine.",
        ),
        _row(
            "tls",
            "The main port speaks plain HTTP; no certificate is made.",
            values.boolean,
            True,
            option="no-tls",
            flag="no",
            variable="",
            others=(Variable(name="IMAGE_SERVER", read=values.tls_of, part="scheme http:// in "),),
            default_text="off",
        ),
    ),
    "The document root": (
        _row(
            "images_dir",
            "The document root. A folder that is named and does not exist is an error.",
            paths.folder,
            aliases=("output-dir", "outputs-dir"),
            others=(
                Variable(
                    name="LOCAL_IMAGES_PATH",
                    base="PROJECT_ROOT",
                    note="The same, as the older servers have it: LOCAL_IMAGES_PATH is relative to "
                    "PROJECT_ROOT, and that to the working folder.",
                    sample="output",
                ),
            ),
            default_path=lambda cwd: os.path.join(cwd, "output"),
            default_text="./output, created if missing",
            example="/data/volumes",
            short="d",
            is_path=True,
        ),
    ),
    "Certificates and state": (
        _row(
            "cert",
            "A certificate of your own, PEM, its chain behind it; its key goes with it.",
            paths.file,
            default_text="made by imgd",
            is_path=True,
        ),
        _row(
            "key",
            "The private key of that certificate, PEM.",
            paths.file,
            default_text="made by imgd",
            is_path=True,
        ),
        _list(
            "tls_names",
            "One more name or address for the certificate that imgd makes.",
            values.certificate_name,
            option="tls-name",
            example="images.example.org,192.168.1.20",
        ),
        _flag(
            "generate_certs",
            "Make a new leaf certificate now; missing or expiring ones are made without it.",
            variable="",
        ),
        _row(
            "state_dir",
            "The folder of certificates, the token and the catalog; never inside a served folder.",
            paths.future_folder,
            others=(
                Variable(
                    name="STATE_DIRECTORY",
                    read=values.first_of_many,
                    note="systemd sets this for a unit with StateDirectory=; the first folder of "
                    "several is taken.",
                ),
            ),
            default_path=_state_dir,
            default_text="the user's state folder, ~/.local/state/imgd on Linux",
            is_path=True,
        ),
    ),
    "Loading directories": (
        _row(
            "timeout_minutes",
            "Minutes until a loaded directory unloads itself; 0 never.",
            values.minutes,
            30,
            option="timeout",
            variable="IMAGE_SERVER_TIMEOUT",
        ),
        _row(
            "frame_base_dir",
            "The base of relative directories given to the API.",
            paths.folder,
            variable="FRAME_BASE_DIR",
            default_path=lambda cwd: cwd,
            default_text="the working folder",
            is_path=True,
        ),
        _list(
            "allow_roots",
            "Loads are accepted only below this folder, after symbolic links are resolved.",
            paths.real_folder,
            option="allow-root",
            default_text="anywhere but /proc, /sys, /dev, the state folder",
            example="/data/frames:/mnt/studies",
            separator=os.pathsep,
            is_path=True,
        ),
    ),
    "Who may control": (
        _row(
            "token",
            "The bearer token of the control API: 16 characters or more of A-Z a-z 0-9 - . _ ~ + /",
            values.token,
            default_text="made once, kept in the state folder",
            is_secret=True,
        ),
        _flag("require_token", "Control needs the token on this machine too."),
        _list(
            "allow_hosts",
            "One more Host name of this daemon: local control works under it without a token.",
            values.allowed_host,
            option="allow-host",
            default_text="localhost, 127.0.0.1, ::1 and the bound address",
            example="box.local",
        ),
    ),
    "Who may read, and what": (
        _list(
            "cors_origins",
            "An origin whose pages may read everything that is served; * is every one.",
            values.origin,
            option="cors-origin",
            default_text="* for files, none for what lists them",
            example="https://viewer.example.org,http://localhost:3000",
        ),
        _row(
            "public_url",
            "The base of the URLs that imgd hands out, whatever the name by which clients ask.",
            values.url,
            others=(
                Variable(
                    name="NGROK_URL",
                    read=values.with_scheme,
                    note="The same for a tunnel of ngrok: its URL.",
                ),
                Variable(
                    name="NGROK_DOMAIN",
                    read=values.with_scheme,
                    part="https:// + ",
                    note="The domain of that tunnel, instead of its URL. For example: "
                    "demo.ngrok.app",
                ),
            ),
            default_text="what each request asks, if that is this daemon",
            example="https://images.example.org",
        ),
        _flag("follow_symlinks", "Serve symbolic links that leave their root."),
        _flag("private", "To read, the token or a signed link is needed."),
        _flag(
            "patient_data",
            "What imgd tells of DICOM includes patients, dates, physicians and institutions; "
            "without this it is geometry and acquisition alone. The files are served as they are.",
        ),
        _row(
            "max_age",
            "Seconds for which clients may use a file without asking whether it changed; 0: they "
            "ask each time.",
            values.age,
            0,
        ),
    ),
    "Deadlines and limits": (
        _seconds("header_timeout", 20, "in which the whole head of a request must arrive."),
        _seconds("body_timeout", 30, "in which the whole body of a request must arrive."),
        _seconds("handshake_timeout", 10, "for the TLS handshake."),
        _seconds("idle_timeout", 75, "that a connection may wait for its next request."),
        _seconds("stall_timeout", 60, "in which a client must take some of its answer."),
        _seconds("disk_timeout", 60, "in which a directory must be read, for a load or a listing."),
        _row(
            "max_connections",
            "Connections at once; one more closes an idle or a slow one, or is answered 503.",
            values.connections,
            default_text="from the limit of descriptors, at most 10000",
        ),
        _row(
            "max_per_client",
            "Connections of one address at once, 0 for any number; loopback is never limited.",
            values.connections_or_none,
            default_text="a quarter of --max-connections",
        ),
        _list(
            "proxies",
            "A trusted reverse proxy's address or network: its clients are counted by their own "
            "address, as X-Forwarded-For or Forwarded gives it.",
            values.network,
            option="proxy",
            example="127.0.0.1,10.0.0.0/8",
        ),
        _row(
            "grace",
            "Seconds that transfers under way have to end when imgd is told to stop.",
            values.grace,
            30,
        ),
        _row(
            "memory_cache",
            "Megabytes of small files kept in memory; 0 none. A change on disk is seen at once "
            "in either case.",
            values.megabytes,
            64,
        ),
        _row(
            "archive_limit",
            "How much a folder may hold to be sent as one .tar or .zip, as 500MB or 20GB; 0 sends "
            "no folder so.",
            values.size,
            100_000,
            default_text="100GB",
            example="100GB",
        ),
    ),
    "Pictures": (
        _row(
            "picture_workers",
            "Processes that make pictures; 0 makes none. They are started when they are needed.",
            values.workers,
            default_text="cores less one, at least 1",
            example="2",
        ),
        _row(
            "picture_pixels",
            "The most pixels of a file of which a picture is made.",
            values.pixels,
            50_000_000,
        ),
        _seconds("picture_timeout", 10, "that a picture may take; of a volume, six times as many."),
        _row(
            "picture_cache",
            "Megabytes of pictures kept on disk, in the state folder; 0 none.",
            values.megabytes,
            512,
        ),
        _row(
            "niivue",
            "A folder with NiiVue as npm unpacks it: the viewer offers 3D.",
            paths.niivue_bundle,
            default_text="no 3D",
            example="/opt/niivue",
            is_path=True,
        ),
    ),
    "Logging": (
        _row(
            "access_log",
            "Log requests in the combined format to this file; - is the daemon's log.",
            paths.log_file,
            default_text="off",
            is_path=True,
        ),
        _row(
            "env_file",
            "A file of settings, KEY=VALUE a line.",
            paths.file,
            variable="",
            default_text=".env in the working folder or the nearest above, if there is one",
            is_path=True,
        ),
    ),
}

TABLE: Final = tuple(row for rows in SECTIONS.values() for row in rows)
BY_FIELD: Final = {row.field: row for row in TABLE}
