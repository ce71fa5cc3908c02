"""The errors that a user sees, each with its HTTP status."""

from __future__ import annotations


class ImgdError(Exception):
    """A problem. ``detail`` is one sentence that says what to do.

    The client reads it: it contains no path of the host unless the client sent that path.
    """

    status = 500

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    @classmethod
    def of(cls, status: int, detail: str) -> ImgdError:
        """An error with a status that has no class of its own."""
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
    """The client may not do this, or not with this directory."""

    status = 403


class NotFound(ImgdError):
    """Missing, hidden or out of bounds: one answer, so that no client learns which."""

    status = 404

    def __init__(self, detail: str = "Not found") -> None:
        super().__init__(detail)


class Gone(ImgdError):
    """It was here and will not come back: a link that has expired."""

    status = 410


class TooLarge(ImgdError):
    """The request's body is over the limit."""

    status = 413


class Misdirected(ImgdError):
    """The request's Host is no name of this daemon."""

    status = 421


class UnsupportedMediaType(ImgdError):
    """The request's body has a type that is not read here."""

    status = 415


class Unavailable(ImgdError):
    """The machine cannot do it now; trying again may help.

    ``fault`` is the fault of ``imgd.core.health`` to report, "" for none.
    """

    status = 503

    def __init__(self, detail: str, fault: str = "") -> None:
        super().__init__(detail)
        self.fault = fault


class StartError(ImgdError):
    """The daemon cannot start; its operator sees the sentence alone."""
