"""NiiVue's bundle out of a folder of the operator's, and the page in 3D."""

from __future__ import annotations

import os
import re

from imgd.errors import NotFound
from imgd.web.viewer import CSP_3D
from tests.fakes import MemorySite, write
from tests.pictures.fake_pool import FakePool
from tests.web.test_control import SiteCase

BUNDLE = b"globalThis.niivue = {};"


class NiiVueCase(SiteCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = write(os.path.join(self.folder, "npm", "dist", "niivue.umd.js"), BUNDLE)
        self.plain_site = MemorySite(self.folder, picture_pool=FakePool())
        more = {"niivue": self.path}
        self.memory_site = MemorySite(self.folder, picture_pool=FakePool(), more=more)
        for name in ("a.nii", "a.mhd", "b.png", "c.dcm"):
            write(os.path.join(self.memory_site.documents, name))


class BundleTests(NiiVueCase):
    def test_sent(self) -> None:
        """It is sent as a file is, and for ever in a cache by the URL that the page names."""
        page = self.memory_site.ask("/-/view/a.nii?3d").body.decode()
        (url,) = re.findall(r"niivue/niivue\.umd\.js\?[0-9a-f]{8}", page)
        answer = self.memory_site.ask(f"/-/{url}")
        self.assertEqual((answer.status, answer.body), (200, BUNDLE))
        self.assertEqual(answer.headers["content-type"], "text/javascript; charset=utf-8")
        self.assertEqual(answer.headers["cache-control"], "max-age=31536000, immutable")
        other = self.memory_site.ask("/-/niivue/niivue.umd.js")
        self.assertEqual(other.headers["cache-control"], "no-cache")
        part = self.memory_site.ask(f"/-/{url}", headers={"Range": "bytes=0-3"})
        self.assertEqual((part.status, part.body), (206, BUNDLE[:4]))

    def test_nothing_else(self) -> None:
        """Nothing else of the folder is served; without the option, nothing at all."""
        write(os.path.join(self.folder, "npm", "dist", "index.js"))
        for path in ("index.js", "", "../niivue/niivue.umd.js", "dist/niivue.umd.js"):
            self.assertEqual(self.memory_site.ask(f"/-/niivue/{path}").status, 404, path)
        self.assertEqual(self.plain_site.ask("/-/niivue/niivue.umd.js").status, 404)

    def test_removed(self) -> None:
        """A bundle that is removed while imgd runs is not found, and comes back with its file."""
        os.rename(self.path, self.path + ".old")
        self.assertEqual(self.memory_site.ask("/-/niivue/niivue.umd.js").status, 404)
        os.rename(self.path + ".old", self.path)
        self.assertEqual(self.memory_site.ask("/-/niivue/niivue.umd.js").status, 200)

    def test_missing(self) -> None:
        """A site is not made with a bundle that is not there."""
        with self.assertRaises(NotFound):
            MemorySite(self.folder, more={"niivue": self.path + ".none"})


class PageTests(NiiVueCase):
    def test_offered(self) -> None:
        """3D is offered for volumes that are one file, and there is no such page for others."""
        for name, is_offered in (("a.nii", 1), ("a.mhd", 0), ("b.png", 0), ("c.dcm", 0), ("", 0)):
            page = self.memory_site.ask(f"/-/view/{name}")
            self.assertEqual(page.body.count(b"data-three-d"), is_offered, name)
            status = self.memory_site.ask(f"/-/view/{name}?3d").status
            self.assertEqual(status, 200 if is_offered else 404, name)
        self.assertNotIn(b"data-three-d", self.plain_site.ask("/-/view/a.nii").body)
        self.assertEqual(self.plain_site.ask("/-/view/a.nii?3d").status, 404)

    def test_policy(self) -> None:
        """Its policy is that of the viewer but for data: pictures, which NiiVue's font is."""
        answer = self.memory_site.ask("/-/view/a.nii?3d")
        self.assertEqual(answer.headers["content-security-policy"], CSP_3D)
        self.assertIn("img-src 'self' data:;", CSP_3D)
        self.assertNotIn("unsafe", CSP_3D)
