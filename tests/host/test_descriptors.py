"""How many connections the limit of descriptors is enough for."""

from __future__ import annotations

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.host import descriptors


class DescriptorTests(SynchronousTestCase):
    def test_connections(self) -> None:
        """Half of the descriptors, less a reserve, are for connections; within bounds."""
        for limit, connections in (
            (0, 16),
            (100, 18),
            (1024, 480),
            (20_000, 9968),
            (10**9, 10_000),
        ):
            self.assertEqual(descriptors.connections_for(limit), connections)

    def test_raised(self) -> None:
        """The limit is raised as far as it is of use, and the new one given."""
        try:
            import resource
        except ImportError:
            raise SkipTest("limits are POSIX's") from None
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        limit = descriptors.raise_limit()
        self.assertEqual(limit, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.assertGreaterEqual(limit, limits[0])
