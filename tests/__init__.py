"""imgd's tests, to be run with warnings as errors: ``python -W error -m twisted.trial tests``."""

import warnings

from hypothesis import HealthCheck, settings

# The one exception, which is not ours: twisted.web.static (26.10) makes, when it is imported,
# resources that Twisted itself has deprecated.
warnings.filterwarnings("ignore", r"twisted\.web\.resource\._Unsafe", DeprecationWarning)

# How long making examples takes says something of the machine, and nothing of imgd.
settings.register_profile("imgd", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imgd")
