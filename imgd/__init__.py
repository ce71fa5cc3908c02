"""imgd: an HTTPS server for image volumes and frames, loaded and unloaded at run time."""

__version__ = "0.1.0"
