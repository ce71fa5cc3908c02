"""imgd's tests, to be run with warnings as errors.

``PYTHONWARNINGS=error python -m twisted.trial -j3 tests`` runs them in three processes, which
``-W error`` would not reach.
"""

import warnings

from hypothesis import HealthCheck, settings

# The one exception: when twisted.web.static (26.10) is imported, it makes resources that Twisted
# itself has deprecated.
warnings.filterwarnings("ignore", r"twisted\.web\.resource\._Unsafe", DeprecationWarning)

# How long it takes to make examples depends on the machine, not on imgd.
settings.register_profile("imgd", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("imgd")
