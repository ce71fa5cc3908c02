"""Who else than this user and root can write a file, or put another in its place. POSIX only.

``.env`` decides everything, and imgd takes it from the folder it is started in, or from one above:
it may be read only if nobody else can have written it.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from typing import Final

ROOT: Final = 0
_WRITE: Final = 2  # in the three bits of a class of users
_MOST_LINKS: Final = 40  # as Linux follows, path_resolution(7)
# Linux' form of a POSIX ACL: a version, then tag, rights and id of each entry (acl(5)).
_ACL: Final = "system.posix_acl_access"
_ENTRY: Final = struct.Struct("<HHI")
_USER, _GROUP_OBJ, _GROUP = 0x02, 0x04, 0x08


def why_untrusted_found(path: str) -> str:
    """Why others can have written a file that imgd found by itself; "" if only this user and root
    can. If it is a link, every folder and link on the way counts too. Raises OSError.
    """
    if os.name != "posix":
        return ""
    for step in _link_steps(path):
        for part in (os.path.dirname(step), step):
            if why := _why_foreign(part):
                return why
    return ""


def why_untrusted_folder(path: str) -> str:
    """Why others can have put a file into a folder; "" if only this user and root can. If it cannot
    be examined, that is why.
    """
    if os.name != "posix":
        return ""
    try:
        return _why_foreign(os.path.realpath(path))
    except OSError as error:
        return f"{path} cannot be examined: {error.strerror}"


def why_untrusted_named(path: str) -> str:
    """Why others can have written a file that the operator named; "" if nobody else can.

    Its owner and its folder are the operator's choice, and are not judged; nor is what is no
    regular file, such as a pipe. Raises OSError.
    """
    facts = os.stat(path)
    if os.name != "posix" or not stat.S_ISREG(facts.st_mode):
        return ""
    return _why_writable(os.path.realpath(path), facts)


def _link_steps(path: str) -> Iterator[str]:
    """A path, and where it leads link by link; each in its real folder."""
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        path = os.path.join(os.path.realpath(folder), name)
        yield path
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def _why_foreign(path: str) -> str:
    facts = os.lstat(path)
    if facts.st_uid not in (os.geteuid(), ROOT):
        return f"{path} belongs to user {facts.st_uid}"
    # A link cannot be written, only replaced; its folder's permissions decide about that.
    return "" if stat.S_ISLNK(facts.st_mode) else _why_writable(path, facts)


def _why_writable(path: str, facts: os.stat_result) -> str:
    if facts.st_mode & stat.S_IWOTH:
        return f"every user can write {path}"
    for kind, number in _writers(path, facts):
        if kind == _USER and number not in (os.geteuid(), ROOT):
            return f"user {number} can write {path}, by its access control list"
        if kind == _GROUP and _has_other_members(number):
            return f"group {number} can write {path}"
    return ""


def _writers(path: str, facts: os.stat_result) -> Iterator[tuple[int, int]]:
    """Users and groups besides the owner who may write, by kind and number."""
    if not facts.st_mode & stat.S_IWGRP:  # with an ACL these bits are its mask: it bounds them all
        return
    entries = list(_acl_entries(path)) or [(_GROUP_OBJ, _WRITE, 0)]
    for tag, rights, number in entries:
        if rights & _WRITE and tag in (_USER, _GROUP):
            yield tag, number
        elif rights & _WRITE and tag == _GROUP_OBJ:
            yield _GROUP, facts.st_gid


def _acl_entries(path: str) -> Iterator[tuple[int, int, int]]:
    """Tag, rights and id of each entry of a file's POSIX ACL."""
    try:
        data = os.getxattr(path, _ACL)
    except (OSError, AttributeError):  # no ACL, or the file system or the system has no ACLs
        return
    yield from _ENTRY.iter_unpack(data[4:])


def _has_other_members(group: int) -> bool:
    """Whether a group has members besides this user and root. An unknown group may have some."""
    import grp  # POSIX alone has these two
    import pwd

    try:
        names = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return True
    users = pwd.getpwall()
    trusted = {user.pw_name for user in users if user.pw_uid in (os.geteuid(), ROOT)}
    names |= {user.pw_name for user in users if user.pw_gid == group}
    return bool(names - trusted)
