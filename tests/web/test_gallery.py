"""A folder as a gallery: for whom, what of it, and where its links lead."""

from __future__ import annotations

import os
from urllib.parse import urljoin, urlsplit

from twisted.trial.unittest import SynchronousTestCase

from imgd.core import paths
from imgd.core.listing import Entry, Layout, Query
from imgd.web.entry_links import EntryLinks
from imgd.web.gallery import Tile, layout_choices
from tests.collections.manager_case import LONG_AGO
from tests.core.test_listing import file, folder
from tests.fakes import Answer, MemorySite, write
from tests.pictures.fake_pool import FakePool
from tests.web.test_pages import HOSTILE, Reader

# What browsers send; robots, text browsers and programs name no XHTML.
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAM = {"Accept": "text/html"}


def tiles(page: Reader) -> list[str]:
    """The titles of the tiles, in their order."""
    return [str(attrs["title"]) for attrs in page.all("a") if "title" in attrs]


def is_gallery(page: Reader) -> bool:
    return {"class": "gallery"} in page.all("ul")


class GalleryCase(SynchronousTestCase):
    private = False

    def setUp(self) -> None:
        self.site = MemorySite(
            os.path.realpath(self.mktemp()), picture_pool=FakePool(), private=self.private
        )
        self.frames = os.path.join(self.site.documents, "frames")
        for name in ("a.png", "b.nii.gz", "c.txt", "below/d.jpg", "below/e.jpg"):
            write(os.path.join(self.frames, name))
        os.utime(self.frames, LONG_AGO)

    def ask(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        answer = self.site.ask(path, headers=BROWSER if headers is None else headers)
        self.assertEqual(answer.status, 200, answer.body)
        return answer

    def page(self, path: str, headers: dict[str, str] | None = None) -> Reader:
        return Reader(self.ask(path, headers).body)


class LayoutTests(GalleryCase):
    def test_suits_the_folder(self) -> None:
        """Without ``view``, a browser gets a folder that holds mostly pictures as a gallery, and
        another one as a list.
        """
        self.assertTrue(is_gallery(self.page("/frames/")))
        write(os.path.join(self.frames, "d.txt"))
        self.assertFalse(is_gallery(self.page("/frames/")))
        self.assertTrue(is_gallery(self.page("/frames/below/")))
        self.assertFalse(is_gallery(self.page("/")))

    def test_asked_for(self) -> None:
        """``view`` decides, in any folder and for any client; a wrong value is refused."""
        for headers in (BROWSER, PROGRAM, {}):
            for path in ("/", "/frames/", "/frames/below/"):
                self.assertTrue(is_gallery(self.page(f"{path}?view=gallery", headers)))
                self.assertFalse(is_gallery(self.page(f"{path}?view=list", headers)))
        answer = self.site.ask("/frames/?view=tiles", headers=BROWSER)
        self.assertEqual(answer.status, 400)
        self.assertIn(b"must be one of list, gallery", answer.body)

    def test_programs(self) -> None:
        """Who names no XHTML gets the list; JSON and the plain index are the same as before, and a
        page of JSON has as many entries as ever.
        """
        for number in range(250):
            write(os.path.join(self.frames, f"f{number:03}.png"))
        self.assertFalse(is_gallery(self.page("/frames/", PROGRAM)))
        for path in ("/frames/?format=json", "/frames/?format=json&view=gallery"):
            message = self.ask(path).json
            self.assertEqual((len(message["entries"]), message["next"]), (254, None))
        message = self.ask("/frames/?format=json&view=gallery&limit=1").json
        self.assertNotIn("view", message["next"])
        index = self.ask("/frames/", {})
        self.assertIn(b"<title>Index of /frames/</title>", index.body)
        self.assertEqual(self.ask("/-/files/frames/").body.count(b"<a "), 254 + 1)

    def test_vary(self) -> None:
        """A cache keeps the layouts of different clients apart."""
        self.assertIn("accept", self.ask("/frames/").headers["vary"].lower())

    def test_without_pictures(self) -> None:
        """If imgd makes no pictures, no folder opens as a gallery by itself; one that is asked for
        shows icons, leads to the files, and says so. The list leads to the files.
        """
        site = MemorySite(os.path.realpath(self.mktemp()))
        for name in ("a.png", "b.png"):
            write(os.path.join(site.documents, name))
        self.assertFalse(is_gallery(Reader(site.ask("/", headers=BROWSER).body)))
        page = Reader(site.ask("/?view=gallery", headers=BROWSER).body)
        self.assertTrue(is_gallery(page))
        self.assertFalse(page.all("img"))
        self.assertLessEqual({"a.png", "b.png"}, set(page.hrefs()))
        self.assertIn("There are no thumbnails here.", page.text())
        page = Reader(site.ask("/?view=list", headers=BROWSER).body)
        self.assertEqual(page.hrefs().count("a.png"), 2)
        self.assertFalse([href for href in page.hrefs() if "-/view" in href])


class TileTests(GalleryCase):
    def test_pictures(self) -> None:
        """A tile has a lazy thumbnail of a known size, twice as large for a dense screen, with an
        empty text instead of it, because the name stands below.
        """
        page = self.page("/frames/?filter=a.png")
        self.assertEqual(
            page.all("img"),
            [
                {
                    "src": "./a.png?thumb",
                    "srcset": "./a.png?thumb=512 2x",
                    "width": "256",
                    "height": "256",
                    "alt": "",
                    "loading": "lazy",
                    "decoding": "async",
                }
            ],
        )
        self.assertIn("a.png", [text for tag, text in page.texts if tag == "bdi"])
        self.assertIn("PNG · 4 B", page.text())
        self.assertNotIn("no thumbnails", page.text())

    def test_all_entries(self) -> None:
        """Folders, files and what can be shown are tiles, in the order of the list; each has the
        icon that the list has.
        """
        page = self.page("/frames/?view=gallery")
        self.assertEqual(tiles(page), ["below", "a.png", "b.nii.gz", "c.txt"])
        boxes = [str(a["class"]) for a in page.all("span") if "picture" in str(a.get("class"))]
        self.assertEqual(
            boxes, [f"picture {icon}" for icon in ("folder", "image", "volume", "file")]
        )
        sources = [attrs["src"] for attrs in page.all("img")]
        self.assertEqual(sources, ["./a.png?thumb", "./b.nii.gz?thumb"])

    def test_targets(self) -> None:
        """A picture opens in the viewer, which no robot is to follow; a file that cannot be shown
        and a folder open as in the list.
        """
        page = self.page("/frames/?view=gallery")
        links = {attrs.get("title"): (attrs["href"], attrs.get("rel")) for attrs in page.all("a")}
        self.assertEqual(links["a.png"], ("../-/view/frames/a.png", "nofollow"))
        self.assertEqual(links["b.nii.gz"], ("../-/view/frames/b.nii.gz", "nofollow"))
        self.assertEqual(links["c.txt"], ("c.txt", None))
        self.assertEqual(links["below"], ("below/?view=gallery", None))

    def test_list(self) -> None:
        """In the list, too, the name of a picture leads to the viewer; the download is the file."""
        page = self.page("/frames/?view=list")
        for name, target in (
            ("a.png", "../-/view/frames/a.png"),
            ("b.nii.gz", "../-/view/frames/b.nii.gz"),
            ("c.txt", "c.txt"),
        ):
            self.assertIn(target, page.hrefs())
            saving = [a["href"] for a in page.all("a") if "download" in a]
            self.assertIn(name, saving)

    def test_hostile_names(self) -> None:
        """Every name is text, every link and picture is on this server, nothing else appears."""
        names = {name.replace("/", "_")[:251] + ".png" for name in HOSTILE}
        for name in names:
            path = os.path.join(os.fsencode(self.frames), os.fsencode(name))
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        page = self.page("/frames/?view=gallery&filter=*.png")
        self.assertEqual(len(page.all("img")), sum(map(paths.is_servable, names)) + 1)
        here = "https://tunnel.example/frames/"
        for attrs in page.all("img"):
            source, at_twice = str(attrs["src"]), str(attrs["srcset"])
            self.assertEqual(at_twice, f"{source}=512 2x")
            url = urlsplit(urljoin(here, source))
            self.assertEqual(
                (url.scheme, url.netloc, url.query), ("https", "tunnel.example", "thumb")
            )
            self.assertTrue(url.path.startswith("/frames/") and url.path.endswith(".png"))
            self.assertEqual(self.site.ask(f"{url.path}?{url.query}").status, 200)
        for href in page.hrefs():
            self.assertEqual(urlsplit(urljoin(here, href))[:2], ("https", "tunnel.example"))
        known = "html head meta title link body header nav ol ul li a bdi span h1 p main div form"
        known += " input button img footer"
        self.assertLessEqual({tag for tag, _ in page.tags}, set(known.split()))
        self.assertFalse(
            [a for _, attrs in page.tags for a in attrs if a.startswith(("on", "style"))]
        )
        self.assertNotRegex(page.text(), "[\u200e\u200f\u202a-\u202e\u2066-\u2069]")

    def test_leading_comma(self) -> None:
        """A name that begins with a comma is whole in ``srcset``, which splits at commas."""
        tile = Tile.of(file(",a b,.png"), EntryLinks("-/view/"))
        self.assertEqual(tile.thumb, "./%2Ca%20b%2C.png?thumb")
        self.assertEqual(tile.target, "-/view/%2Ca%20b%2C.png")

    def test_facts(self) -> None:
        """A tile says what it is and how large, with every character of its name visible."""
        tile = Tile.of(file("<\u202e>.nii.gz", 1_500_000), EntryLinks("-/view/"))
        self.assertEqual(tile.facts, "NIfTI volume · 1.5 MB")
        self.assertEqual(tile.plain, "<\\u202e>.nii.gz")
        self.assertIn("&lt;", tile.name)
        tile = Tile.of(folder("a"), EntryLinks())
        self.assertEqual((tile.facts, tile.thumb, tile.icon), ("Folder", "", "folder"))
        tile = Tile.of(Entry("IM1", False, 1, 0, True), EntryLinks("-/view/"))
        self.assertEqual((tile.thumb, tile.icon), ("./IM1?thumb", "volume"))


class LinkTests(GalleryCase):
    def test_keep_the_choice(self) -> None:
        """Every link to a page of folders keeps the layout that was chosen: order, pages,
        breadcrumbs, folders, and the filter's form; the other layout is one click away.
        """
        for number in range(450):
            write(os.path.join(self.frames, f"f{number:03}.png"))
        for layout, other, query in (
            ("gallery", "list", "limit=100"),
            ("gallery", "list", ""),
            ("list", "gallery", "limit=100"),
        ):
            first = self.page(f"/frames/?view={layout}&{query}&filter=f")
            after = next(href for href in first.hrefs() if "after=" in href and layout in href)
            page = self.page("/frames/" + after)
            hidden = {a["name"]: a["value"] for a in page.all("input")}
            self.assertEqual(hidden["view"], layout)
            others = [href for href in page.hrefs() if f"view={other}" in href]
            self.assertEqual(len(others), 1)
            self.assertIn("filter=f", others[0])
            self.assertIn("after=", others[0])
            is_other = is_gallery(self.page("/frames/" + others[0]))
            self.assertEqual(is_other, other == "gallery")
            for href in page.hrefs():
                is_page = href.partition("?")[0] in ("", "./", "../") and "format=" not in href
                if is_page and href not in others:
                    self.assertIn(f"view={layout}", href)

    def test_no_choice(self) -> None:
        """Without a choice no link has one, but those to the other layout."""
        page = self.page("/frames/")
        self.assertEqual([href for href in page.hrefs() if "view=" in href], ["?view=list"])
        self.assertIn("below/", page.hrefs())

    def test_front_page(self) -> None:
        """The cards of collections keep the choice, too."""
        self.site.load(self.frames, name="ct")
        page = self.page("/?view=gallery")
        self.assertIn("./collections/ct/files/?view=gallery", page.hrefs())

    def test_collections(self) -> None:
        """A collection's folder is a gallery as another is, and opens its files in the viewer."""
        self.site.load(self.frames, name="ct")
        self.site.load(self.frames)
        for base, top in (("collections/ct/files/", "../../../"), ("images/", "../")):
            page = self.page(f"/{base}")
            self.assertTrue(is_gallery(page))
            self.assertIn(f"{top}-/view/{base}a.png", page.hrefs())
            self.assertEqual(len(page.all("img")), 2)

    def test_pages(self) -> None:
        """A gallery of 450 has three pages, each with 200 at most; together they are the list."""
        for number in range(450):
            write(os.path.join(self.frames, f"f{number:03}.png"))
        page, names = self.page("/frames/"), []
        for expected in (200, 200, 54):
            names += tiles(page)
            self.assertEqual(len(tiles(page)), expected)
            following = [a["href"] for a in page.all("a") if a.get("rel") == "next"]
            page = self.page(f"/frames/{following[0]}") if following else page
        listed = [e["name"] for e in self.ask("/frames/?format=json").json["entries"]]
        self.assertEqual(names, listed)

    def test_json(self) -> None:
        """The link to JSON is to the entries of the page that shows it."""
        for number in range(250):
            write(os.path.join(self.frames, f"f{number:03}.png"))
        page = self.page("/frames/")
        [href] = [href for href in page.hrefs() if "format=json" in href]
        names = [entry["name"] for entry in self.ask(f"/frames/{href}").json["entries"]]
        self.assertEqual(names, tiles(page))
        [href] = [h for h in self.page("/frames/?view=list").hrefs() if "format=json" in h]
        self.assertEqual(href, "?format=json")

    def test_nothing_matches(self) -> None:
        """A filter that nothing matches says so, without a table."""
        page = self.page("/frames/?view=gallery&filter=zzz")
        self.assertIn("No name matches", page.text())
        self.assertFalse(page.all("table"))

    def test_choices(self) -> None:
        """The layout of the page has no link, the other one keeps everything else."""
        query = Query(contains="x", after="f0.a")
        self.assertEqual(
            layout_choices(query, Layout.GALLERY),
            [("List", "?filter=x&after=f0.a&view=list"), ("Gallery", "")],
        )


class PrivateTests(GalleryCase):
    private = True

    def link(self, path: str, *, prefix: bool) -> str:
        answer = self.site.post(
            "/links",
            {"path": path, "prefix": prefix},
            headers={"Authorization": "Bearer a-token-for-the-tests"},
        )
        return str(urlsplit(answer.json["url"]).path)

    def test_signed_folder(self) -> None:
        """Below a signed link the thumbnails, the viewer and the folders are below it, too."""
        path = self.link("/frames/", prefix=True)
        page = self.page(path)
        self.assertTrue(is_gallery(page))
        ticket = path.removesuffix("frames/")
        viewed = [urljoin(path, href) for href in page.hrefs() if "-/view" in href]
        self.assertEqual(
            viewed, [f"{ticket}-/view/frames/a.png", f"{ticket}-/view/frames/b.nii.gz"]
        )
        for attrs in page.all("img"):
            self.assertEqual(self.site.ask(urljoin(path, str(attrs["src"]))).status, 200)

    def test_signed_page(self) -> None:
        """A link to the page alone covers no picture: it is a list that leads to the files."""
        path = self.link("/frames/", prefix=False)
        page = self.page(path)
        self.assertFalse(is_gallery(page))
        self.assertFalse(page.all("img"))
        self.assertFalse([href for href in page.hrefs() if "-/view" in href])
        path = self.link("/frames/?view=gallery", prefix=False)
        page = self.page(f"{path}?view=gallery")
        self.assertTrue(is_gallery(page))
        self.assertFalse(page.all("img"))
        self.assertIn("There are no thumbnails here.", page.text())
