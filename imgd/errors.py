"""The errors that a user meets, each with the HTTP status it becomes."""

from __future__ import annotations


class ImgdError(Exception):
    """A problem to be told in one sentence that says what to do.

    ``detail`` is shown to whoever asked: it names no path of the host unless the asker gave it.
    """

    status = 500

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @classmethod
    def of(cls, status: int, detail: str) -> ImgdError:
        """An error with a status that is known only here."""
        error = cls(detail)
        error.status = status
        return error


class BadRequest(ImgdError):
    """The request cannot be understood as it stands."""

    status = 400


class Unauthorized(ImgdError):
    """A token was given, and it is not the right one."""

    status = 401


class Forbidden(ImgdError):
    """The asker may not do this, or not with this directory."""

    status = 403


class NotFound(ImgdError):
    """Missing, hidden and out of bounds: one answer, so that nothing can be told apart."""

    status = 404

    def __init__(self, detail: str = "Not found") -> None:
        super().__init__(detail)


class Gone(ImgdError):
    """It was here, and will not come back: a link that has expired."""

    status = 410


class TooLarge(ImgdError):
    """The request's body is over the limit."""

    status = 413


class Misdirected(ImgdError):
    """It was asked under a name that is not this daemon's."""

    status = 421


class UnsupportedMediaType(ImgdError):
    """The request's body is of a type that is not read here."""

    status = 415


class Unavailable(ImgdError):
    """The machine underneath cannot do it now; trying again may help.

    ``fault`` names what ``imgd.host.health_monitor`` is to report, "" for nothing.
    """

    status = 503

    def __init__(self, detail: str, fault: str = "") -> None:
        super().__init__(detail)
        self.fault = fault


class StartError(ImgdError):
    """The daemon cannot start; the sentence is all that its operator sees."""
