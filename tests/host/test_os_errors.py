"""A machine that cannot is never told as a file that is not there."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.errors import NotFound, Unavailable
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host import descriptors, os_errors, write_check
from tests.fakes import write


class ToldTests(SynchronousTestCase):
    def test_errors(self) -> None:
        """Descriptors, the disk and memory are the machine's fault; what is missing, or not
        permitted, is not.
        """
        otherwise = NotFound()
        for number, fault in (
            *((errno.EMFILE, "descriptors"), (errno.ENFILE, "descriptors")),
            *((errno.EIO, "reads"), (errno.ESTALE, "reads"), (errno.ENOMEM, "reads")),
        ):
            error = os_errors.to_error(OSError(number, os.strerror(number)), otherwise)
            assert isinstance(error, Unavailable)
            self.assertEqual((error.fault, error.status), (fault, 503))
        for number in (errno.ENOENT, errno.EACCES, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG):
            self.assertIs(os_errors.to_error(OSError(number, ""), otherwise), otherwise)
        self.assertIs(os_errors.to_error(ValueError("NUL"), otherwise), otherwise)

    def test_no_descriptor_left(self) -> None:
        """With no descriptor left a file is unavailable, a listing too; a missing file stays
        missing; and afterwards everything is well.
        """
        try:
            import resource
        except ImportError:
            raise SkipTest("limits are POSIX's") from None
        folder = os.path.realpath(self.mktemp())
        write(os.path.join(folder, "a.jpg"))
        root = Root(folder)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
        try:
            with self.assertRaises(Unavailable):
                disk.open_file(root, ("a.jpg",))
            with self.assertRaises(Unavailable):
                list(disk.scan(root))
            with self.assertRaises(NotFound):
                disk.open_file(root, ("b.jpg",))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        disk.open_file(root, ("a.jpg",)).close()
        self.assertEqual([entry.name for entry in disk.scan(root)], ["a.jpg"])


class ProbeTests(SynchronousTestCase):
    def test_leaves_nothing(self) -> None:
        """A folder that can be written to is left as it was; one that cannot raises."""
        folder = self.mktemp()
        with self.assertRaises(OSError):
            write_check.check_writable(folder)
        os.makedirs(folder)
        write_check.check_writable(folder)
        self.assertEqual(os.listdir(folder), [])


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
        """The limit is raised as far as it is of use, and told as it is."""
        try:
            import resource
        except ImportError:
            raise SkipTest("limits are POSIX's") from None
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        found = descriptors.raise_limit()
        self.assertEqual(found, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self.assertGreaterEqual(found, limits[0])
