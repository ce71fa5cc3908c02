"""Makes ``twistd imgd`` known. Data only: the module named here is imported when asked for."""

from twisted.application.service import ServiceMaker

imgd = ServiceMaker(
    "imgd",
    "imgd.tap",
    "Serve image volumes and frames over HTTPS, with a JSON API to load and unload directories.",
    "imgd",
)
