"""The listing as a page: what a browser would be given, whatever the names are."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from imgd.core import listing, messages, paths
from imgd.core.folder_index import select
from imgd.core.listing import Entry, Query, Sort
from imgd.web import pages

HERE = "https://tunnel.example"
HOSTILE = (
    "\"quoted\" & 'single' <b>.png",
    "<script>alert(1)</script>.svg",
    "javascript:alert(1)",
    "line\nbreak\ttab\x1b[31m.txt",
    "evil\u202egnp.exe",
    "isolate\u2066d\u200f.png",
    "bytes\udcff\udc80.dcm",
    "suffix.\udcff\u202e\n",
    "%2e%2e%2f?query#fragment",
    "C:\\x {{ 7 * 7 }} {% raw %}",
    "x" * 255,
)
names = (
    st.one_of(
        st.binary(min_size=1, max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
        st.text("<>&\"'/\n\u202e:?#%", min_size=1, max_size=8),
    )
    .map(lambda name: re.sub("[\0/]", "_", name))
    .filter(paths.is_servable)
)


class Reader(HTMLParser):
    """Reads a page: its tags with their attributes, the text of each, and where the links lead."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(page.decode("utf-8"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "input", "img"}:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and data.strip():
            self.texts.append((self._open[-1], data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]

    def hrefs(self) -> list[str]:
        """Where the links to other pages lead."""
        links = [attrs["href"] or "" for attrs in self.all("a")]
        return [link for link in links if not link.startswith("#")]

    def text(self) -> str:
        return "".join(text for _, text in self.texts)


def file(name: str, size: int = 1, mtime_ns: int = 0) -> Entry:
    return Entry(name, False, size, mtime_ns)


def loaded_collection(name: str, **facts: object) -> messages.CollectionInfo:
    usual = {
        "directory": "somewhere",
        "recursive": False,
        "image_count": 2,
        "loaded_at": "2026-03-01T12:00:00Z",
        "expires_at": None,
        "url": "",
        "current": False,
    }
    return messages.CollectionInfo(name=name, **{**usual, **facts})  # type: ignore[arg-type]


FIRST = Query()


def render(
    contents: list[Entry],
    query: Query = FIRST,
    names: tuple[str, ...] = (),
    base: str = "/",
    collections: list[messages.CollectionInfo] | None = None,
) -> Reader:
    page = select(contents, query)
    return Reader(
        pages.folder_page(
            names=names, base=base, page=page, query=query, collections=collections or []
        )
    )


class SkippedTests(SynchronousTestCase):
    """What a collection does not serve of a folder."""

    def render(self, contents: list[Entry], skipped: int, folders: int = 0) -> str:
        page = select(contents, FIRST)._replace(skipped=skipped, skipped_folders=folders)
        html = pages.folder_page(names=(), base="/images/", page=page, query=FIRST)
        return Reader(html).text()

    def test_nothing_served(self) -> None:
        """A page without files says how many there are that it does not show, and how to see
        them.
        """
        text = self.render([], 9)
        self.assertIn("Nothing here that a collection serves (9 other files).", text)
        self.assertIn("load the directory with --all-files.", text)
        text = self.render([], 1_000, 1)
        self.assertIn("Nothing here that a collection serves (1,000 other files, 1 folder).", text)
        self.assertIn("with --all-files, and folders with --recursive.", text)
        text = self.render([], 0, 2)
        self.assertIn("To see folders as well, load the directory with --recursive.", text)
        self.assertIn("This folder is empty.", self.render([], 0))

    def test_some_served(self) -> None:
        """A page with files tells the others beside their number."""
        self.assertIn("1 other file not served", self.render([file("a.png")], 1))
        self.assertNotIn("not served", self.render([file("a.png")], 0))


class HostileNameTests(SynchronousTestCase):
    def check(self, name: str, is_folder: bool = False) -> None:
        entry = Entry(name, is_folder, 0, 0)
        page = render([entry], names=(name,))
        location = f"{HERE}/{paths.encode(name)}/"
        targets = {urljoin(location, href) for href in page.hrefs()}
        self.assertIn(location + paths.encode(name) + "/" * is_folder, targets)
        self.assertEqual(
            {urlsplit(target)[:2] for target in targets}, {("https", "tunnel.example")}
        )
        known = (
            "html head meta title link body header nav ol li a bdi span h1 p main div form input"
        )
        known += " button table thead tr th tbody td time footer"
        self.assertLessEqual({tag for tag, _ in page.tags}, set(known.split()))
        self.assertFalse(
            [a for _, attrs in page.tags for a in attrs if a.startswith(("on", "style"))]
        )
        self.assertNotRegex(
            page.text().replace("\n", ""), r"[\x00-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
        )

    def test_hostile_names(self) -> None:
        """Every name is text, its link leads to its file on this server, nothing else appears."""
        for name in HOSTILE:
            self.check(name)
            self.check(name, is_folder=True)

    @given(names)
    @settings(deadline=None, max_examples=60)
    def test_any_name(self, name: str) -> None:
        """Any name is treated like this."""
        self.check(name)

    def test_a_hostile_filter(self) -> None:
        """The filter is shown in the form and in the message, as text."""
        page = render([file("a")], Query(contains='"><script>\udcff'))
        fields = [field for field in page.all("input") if field["name"] == "filter"]
        self.assertEqual(fields[0]["value"], '"><script>\\xff')
        self.assertIn('No name matches "><script>\\xff.', page.text())
        self.assertIn("?filter=%22%3E%3Cscript%3E%FF&format=json", page.hrefs())


class LinkTests(SynchronousTestCase):
    def test_links_are_relative(self) -> None:
        """Wherever the folder is mounted, every link and asset is found below the server's root."""
        for base, names, location in [
            ("/", (), "/"),
            ("/", ("a b",), "/a%20b/"),
            ("/images/", ("x", "y"), "/images/x/y/"),
            ("/collections/c/files/", (), "/collections/c/files/"),
        ]:
            page = render([file("f")], names=names, base=base)
            links = page.hrefs() + [attrs["href"] or "" for attrs in page.all("link")]
            self.assertFalse([link for link in links if link.startswith("/") or ":" in link])
            contents = {urlsplit(urljoin(f"{HERE}/prefix{location}", link)).path for link in links}
            self.assertLessEqual({"/prefix/-/style.css", "/prefix/-/favicon.svg"}, contents)
            self.assertIn(f"/prefix{location}f", contents)

    def test_skip_link(self) -> None:
        """The first link of every page leads past the navigation, to what the page is about."""
        for page in (
            render([file("a")]),
            Reader(pages.error_page(404, "x")),
            Reader(pages.trust_page("AB:CD")),
        ):
            self.assertEqual(page.all("a")[0]["href"], "#main")
            self.assertEqual([main["id"] for main in page.all("main")], ["main"])

    def test_folded_breadcrumbs(self) -> None:
        """Of a deep folder, the ways between the first and the last two can be folded."""
        for names, folded in (("abc", 0), ("abcd", 2), ("abcdefgh", 6)):
            items = render([], names=tuple(names)).all("li")
            self.assertEqual(sum(item.get("class") == "between" for item in items), folded)
            unfolding = [item for item in items if item.get("class") == "unfold"]
            self.assertEqual(len(unfolding), int(folded > 0))
            self.assertEqual([items[0].get("class"), items[-1].get("class")], [None, None])

    def test_breadcrumbs(self) -> None:
        """Each breadcrumb leads to its folder; the last is this one."""
        page = render([], names=("x", "y"), base="/collections/c/files/")
        crumbs = [urljoin("/collections/c/files/x/y/", href) for href in page.hrefs()[:3]]
        self.assertEqual(crumbs, ["/", "/collections/c/files/", "/collections/c/files/x/"])
        self.assertEqual(
            next(attrs for attrs in page.all("span") if "aria-current" in attrs),
            {"aria-current": "page"},
        )

    def test_parent_folder(self) -> None:
        """The parent folder is a row: above a collection the server's root, which has none."""
        for base, names, expected in [
            ("/", (), None),
            ("/", ("a",), "/"),
            ("/images/", (), "/"),
            ("/images/", ("a",), "/images/"),
            ("/collections/c/files/", (), "/"),
        ]:
            page = render([file("f")], names=names, base=base)
            here = base + "".join(f"{name}/" for name in names)
            at = [i for i, (_, text) in enumerate(page.texts) if text == "Parent folder"]
            self.assertEqual(bool(at), expected is not None)
            if expected:
                rows = [href for href in page.hrefs() if set(href) <= {".", "/"}]
                self.assertEqual(urljoin(here, rows[-1]), expected)

    def test_title(self) -> None:
        """A page is called after its folder, else after its collection."""
        for base, names, title in [
            ("/", (), "Files"),
            ("/", ("a", "b"), "b"),
            ("/images/", (), "images"),
            ("/collections/c.1/files/", (), "c.1"),
        ]:
            self.assertIn(
                ("title", f"{title} \u2013 imgd"), render([], names=names, base=base).texts
            )

    def test_download(self) -> None:
        """A file has a link that saves it, a folder has none."""
        page = render([file("a.png"), Entry("b", True, 0, 0)])
        saving = [attrs for attrs in page.all("a") if "download" in attrs]
        self.assertEqual([attrs["href"] for attrs in saving], ["a.png"])
        self.assertEqual(saving[0]["aria-label"], "Download a.png")

    def test_robots(self) -> None:
        """Robots follow the pages of a folder in its own order, and no other order or filter."""
        files = [file(f"{letter}.png") for letter in "abc"]
        robots = {"name": "robots", "content": "noindex, nofollow"}
        for query, follows in (
            (Query(), True),
            (Query(after="f0.a.png"), True),
            (Query(before="f0.c.png"), True),
            (Query(sort=Sort.SIZE), False),
            (Query(descending=True), False),
            (Query(contains="a"), False),
            (Query(limit=2), False),
        ):
            page = render(files, query)
            self.assertEqual(robots in page.all("meta"), not follows, query)
            for link in page.all("a"):
                leads_elsewhere = (
                    re.search("sort=|order=|format=|view=", str(link["href"])) is not None
                )
                if follows:
                    self.assertEqual(link.get("rel") == "nofollow", leads_elsewhere, link)


class ListTests(SynchronousTestCase):
    def test_facts(self) -> None:
        """A row shows the kind, the size with its exact bytes, and the time in UTC."""
        page = render([file("a.nii.gz", 1_234_567, 1_772_000_000_000_000_000)])
        for text in ("NIfTI volume", "1.2 MB", "2026-02-25 06:13"):
            self.assertIn(text, [data for _, data in page.texts])
        self.assertIn({"title": "1,234,567 bytes"}, page.all("span"))
        self.assertEqual(page.all("time"), [{"datetime": "2026-02-25T06:13:20Z"}])

    def test_icons(self) -> None:
        """Folders, images, volumes and other files can be told apart."""
        for name, icon in [
            ("a.PNG", "image"),
            ("a.dcm", "volume"),
            ("a.nii.gz", "volume"),
            ("a", "file"),
        ]:
            self.assertIn({"class": f"icon {icon}"}, render([file(name)]).all("td"))
        self.assertIn({"class": "icon folder"}, render([Entry("a", True, 0, 0)]).all("td"))

    def test_sorting(self) -> None:
        """The sorted column is marked, and a click reverses it; others start ascending; the filter
        stays.
        """
        page = render([file("a")], Query(Sort.SIZE, contains="a", after="f0.%00"))
        heads = {attrs["class"]: attrs.get("aria-sort") for attrs in page.all("th")[:6]}
        self.assertEqual(heads["size"], "ascending")
        self.assertEqual([heads["name"], heads["kind"], heads["modified"]], [None, None, None])
        for href in ("?filter=a", "?sort=kind&filter=a", "?sort=size&order=desc&filter=a"):
            self.assertIn(href, page.hrefs())
        page = render([file("a")], Query(descending=True))
        self.assertEqual(
            [a["aria-sort"] for a in page.all("th") if "aria-sort" in a], ["descending"]
        )
        self.assertIn("./", page.hrefs())

    def test_filter_keeps_the_order(self) -> None:
        """The filter is a form that keeps order and page size and goes back to the first page."""
        query = Query(Sort.KIND, descending=True, contains="a", after="f0.%00", limit=5)
        page = render([file("a")], query)
        fields = {field["name"]: field["value"] for field in page.all("input")}
        self.assertEqual(fields, {"sort": "kind", "order": "desc", "limit": "5", "filter": "a"})
        self.assertEqual(page.all("form"), [{"role": "search"}])
        self.assertIn("?sort=kind&order=desc&limit=5", page.hrefs())

    def test_pages(self) -> None:
        """A page of several says which it is, and leads to the first, the previous and the next."""
        contents = [file(f"{number:04}") for number in range(2_500)]
        first = render(contents)
        self.assertIn("1\u20131,000 of 2,500", first.text())
        self.assertNotIn("First", first.text())
        after = select(contents, Query()).next
        self.assertEqual(first.hrefs().count(f"?after={after}"), 2)
        second = render(contents, Query(after=after))
        self.assertIn("1,001\u20132,000 of 2,500", second.text())
        for href in ("./", "?before=f0.1000", "?after=f0.1999"):
            self.assertIn(href, second.hrefs())
        third = render(contents, Query(after="f0.1999"))
        self.assertIn("2,001\u20132,500 of 2,500", third.text())
        self.assertNotIn("Next", [text for _, text in third.texts])

    def test_one_page(self) -> None:
        """A folder that fits on a page has no links to others."""
        self.assertNotIn(" of ", render([file("a")]).text())

    def test_empty(self) -> None:
        """An empty folder, a filter without matches and a page that is gone each say so."""
        self.assertIn("This folder is empty.", render([]).text())
        page = render([file("a"), file("b")], Query(contains="z"))
        self.assertIn("Show all 2 items", page.text())
        self.assertIn("Show it", render([file("a")], Query(contains="z")).text())
        page = render([file("a")], Query(after="f0.b"))
        self.assertIn("Nothing is left on this page.", page.text())
        page = render([file("a")], Query(before="f0.A"))
        self.assertIn("Nothing is left on this page.", page.text())

    def test_json(self) -> None:
        """The page leads to the same page for programs."""
        self.assertIn("?limit=1&format=json", render([file("a")], Query(limit=1)).hrefs())


class CollectionTests(SynchronousTestCase):
    def test_collections(self) -> None:
        """The front page says what is loaded and until when, and leads there."""
        page = render(
            [],
            collections=[
                loaded_collection("current", current=True, expires_at="2026-03-01T12:34:56Z"),
                loaded_collection("ct", image_count=1),
            ],
        )
        self.assertLessEqual({"./images/", "./collections/ct/files/"}, set(page.hrefs()))
        self.assertEqual(page.all("time"), [{"datetime": "2026-03-01T12:34:56Z"}])
        for text in ("2 images", "Unloads", "2026-03-01 12:34 UTC", "1 image", "Stays loaded"):
            self.assertIn(text, page.text())

    def test_not_available(self) -> None:
        """A collection whose directory is missing says so, and has no link."""
        page = render([], collections=[loaded_collection("gone", available=False)])
        self.assertIn("not available", page.text())
        self.assertNotIn("./collections/gone/files/", page.hrefs())

    def test_none(self) -> None:
        """Without collections there is no such section; none shows a path of the host."""
        self.assertNotIn("Loaded collections", render([]).text())
        page = render([], collections=[loaded_collection("a", directory="/home/secret")])
        self.assertNotIn("secret", page.text())


class ErrorPageTests(SynchronousTestCase):
    def test_error(self) -> None:
        """The page has the status, its name and the sentence, and a link to the server's root."""
        page = Reader(pages.error_page(400, "Not an image: <b>\u202e"))
        self.assertIn(("title", "400 Bad request \u2013 imgd"), page.texts)
        self.assertIn("Not an image: <b>\\u202e", page.text())
        self.assertEqual(page.hrefs(), ["/"])
        self.assertEqual(
            [(link["href"] or "").partition("?")[0] for link in page.all("link")],
            ["/-/favicon.svg", "/-/style.css"],
        )

    def test_not_found(self) -> None:
        """A detail that says no more than the status is replaced by a sentence."""
        page = Reader(pages.error_page(404, "Not found"))
        self.assertIn(("title", "404 Not found \u2013 imgd"), page.texts)
        self.assertIn("Nothing is here by that name.", page.text())
        self.assertIn("Unauthorized", Reader(pages.error_page(401, "Unauthorized")).text())


class TrustPageTests(SynchronousTestCase):
    def test_page(self) -> None:
        """The page has the fingerprint, and links to the certificate and the front page."""
        page = Reader(pages.trust_page("AB:CD"))
        self.assertIn(("pre", "AB:CD"), page.texts)
        self.assertEqual(page.hrefs(), ["../", "../-/ca.pem"])


class PolicyTests(SynchronousTestCase):
    def test_policy(self) -> None:
        """Nothing is allowed but imgd's own styles, images and form; no page needs more."""
        policy = dict(part.strip().split(" ", 1) for part in pages.CSP.split(";"))
        self.assertEqual(policy.pop("default-src"), "'none'")
        self.assertEqual(policy.pop("base-uri"), "'none'")
        self.assertEqual(policy.pop("frame-ancestors"), "'none'")
        self.assertEqual(policy, dict.fromkeys(("style-src", "img-src", "form-action"), "'self'"))
        contents = [file("a"), file("b")]
        for page in (render(contents, Query(limit=1)), Reader(pages.error_page(404, "x"))):
            self.assertFalse(page.all("script") + page.all("style"))
            self.assertFalse([attrs for _, attrs in page.tags if "style" in attrs])
            self.assertIn({"name": "color-scheme", "content": "light dark"}, page.all("meta"))
            self.assertEqual(page.all("html"), [{"lang": "en"}])

    def test_assets(self) -> None:
        """The assets that the pages and the style name are there, with their types."""
        style_type, style = pages.ASSETS["style.css"]
        self.assertEqual(style_type, "text/css; charset=utf-8")
        self.assertEqual(pages.ASSETS["favicon.svg"][0], "image/svg+xml")
        for url in re.findall(rb'url\("?([^")]*)"?\)', style):
            name, _, edition = url.decode("ascii").partition("?")
            self.assertIn(name, list(pages.ASSETS))
            self.assertEqual(edition, pages.EDITION)

    def test_models_agree(self) -> None:
        """Every column of the page is one that a listing can be sorted by."""
        heads = {attrs["class"] for attrs in render([file("a")]).all("th")[:6]}
        self.assertEqual(heads - {"icon", "get"}, {sort.value for sort in listing.Sort})
