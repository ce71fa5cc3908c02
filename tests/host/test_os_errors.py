"""A machine that cannot open a file never says that there is none."""

from __future__ import annotations

import errno
import os

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from imgd.errors import NotFound, Unavailable
from imgd.files import disk
from imgd.files.disk import Root
from imgd.host import os_errors
from tests.fakes import write


class ErrorTests(SynchronousTestCase):
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
