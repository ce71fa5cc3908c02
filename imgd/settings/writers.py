"""Who else than this user and root can write a file, or put another in its place. POSIX only.

A file that decides everything, found by its name in whatever folder imgd is started in, is only to
be read where nobody else can have written it.
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


def of_found_file(path: str) -> str:
    """Why a file that was found may be another's work; "" where only this user and root can have
    written it. Where it is a link, all that it leads through counts. OSError.
    """
    if os.name != "posix":
        return ""
    for place in _places(path):
        for part in (os.path.dirname(place), place):
            if why := _foreign(part):
                return why
    return ""


def of_named_file(path: str) -> str:
    """The same of a file that the operator chose: its owner and its folder are part of the choice,
    and only others who can write it count. What is no regular file, as a pipe, does not. OSError.
    """
    facts = os.stat(path)
    if os.name != "posix" or not stat.S_ISREG(facts.st_mode):
        return ""
    return _written_by_others(os.path.realpath(path), facts)


def _places(path: str) -> Iterator[str]:
    """A path, and where it leads link by link; each in the real folder."""
    for _ in range(_MOST_LINKS):
        folder, name = os.path.split(path)
        path = os.path.join(os.path.realpath(folder), name)
        yield path
        if not os.path.islink(path):
            return
        path = os.path.join(os.path.dirname(path), os.readlink(path))


def _foreign(path: str) -> str:
    facts = os.lstat(path)
    if facts.st_uid not in (os.geteuid(), ROOT):
        return f"{path} belongs to user {facts.st_uid}"
    # Nobody writes a link: it is replaced, which its folder allows or does not.
    return "" if stat.S_ISLNK(facts.st_mode) else _written_by_others(path, facts)


def _written_by_others(path: str, facts: os.stat_result) -> str:
    if facts.st_mode & stat.S_IWOTH:
        return f"every user can write {path}"
    for kind, number in _may_write(path, facts):
        if kind == _USER and number not in (os.geteuid(), ROOT):
            return f"user {number} can write {path}, by its access control list"
        if kind == _GROUP and _has_others(number):
            return f"group {number} can write {path}"
    return ""


def _may_write(path: str, facts: os.stat_result) -> Iterator[tuple[int, int]]:
    """Users and groups besides the owner who may write, by kind and number."""
    if not facts.st_mode & stat.S_IWGRP:  # with an ACL these bits are its mask: it bounds them all
        return
    entries = list(_acl(path)) or [(_GROUP_OBJ, _WRITE, 0)]
    for tag, rights, number in entries:
        if rights & _WRITE and tag in (_USER, _GROUP):
            yield tag, number
        elif rights & _WRITE and tag == _GROUP_OBJ:
            yield _GROUP, facts.st_gid


def _acl(path: str) -> Iterator[tuple[int, int, int]]:
    """Tag, rights and id of each entry of a file's POSIX ACL; none where it has none."""
    try:
        data = os.getxattr(path, _ACL)
    except (OSError, AttributeError):  # has none, or the disk or the system does not know them
        return
    yield from _ENTRY.iter_unpack(data[4:])


def _has_others(group: int) -> bool:
    """Whether a group has members besides this user and root; one that nobody knows may have."""
    import grp  # both are POSIX's
    import pwd

    try:
        names = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        return True
    users = pwd.getpwall()
    trusted = {user.pw_name for user in users if user.pw_uid in (os.geteuid(), ROOT)}
    names |= {user.pw_name for user in users if user.pw_gid == group}
    return bool(names - trusted)
