"""Entering the token in a browser; ``tests.test_browser`` does it with a real one."""

from __future__ import annotations

import os
from urllib.parse import urlencode, urljoin

from twisted.trial.unittest import SynchronousTestCase

from imgd.web.token_form import DELAY, LIFETIME, MAX_TRIES, MAX_TRIES_PER_CLIENT
from tests.fakes import TOKEN, Answer, MemorySite, Transport, parse_answer, record_log, write
from tests.web.test_pages import Reader

FAR = "203.0.113.9"  # RFC 5737: documentation
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORM = {"Content-Type": "application/x-www-form-urlencoded", **BROWSER}
SAME = {"Origin": "http://localhost:8888", "Sec-Fetch-Site": "same-origin"}
WRONG = "not-the-token-at-all"


class FormCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.memory_site = self.make()

    def make(self, **more: object) -> MemorySite:
        memory_site = MemorySite(os.path.realpath(self.mktemp()), private=True, **more)  # type: ignore[arg-type]
        write(os.path.join(memory_site.documents, "study 1", "a.png"), b"png")
        return memory_site

    def begin(
        self,
        token: str,
        path: str = "/",
        peer: str = FAR,
        headers: dict[str, str] | None = None,
        body: bytes | None = None,
    ) -> Transport:
        """Send the form; the answer may take a while."""
        if body is None:
            body = urlencode({"token": token, "path": path}).encode("ascii")
        fields = {"Host": "localhost:8888", **FORM, **(SAME if headers is None else headers)}
        lines = [f"{name}: {value}" for name, value in fields.items()]
        head = "\r\n".join(["POST /-/token HTTP/1.1", *lines, f"Content-Length: {len(body)}"])
        transport = self.memory_site.connect(peer)
        transport.protocol.dataReceived(head.encode("latin-1") + b"\r\n\r\n" + body)
        return transport

    def enter(self, token: str, path: str = "/", **more: object) -> Answer:
        transport = self.begin(token, path, **more)  # type: ignore[arg-type]
        self.memory_site.clock.advance(DELAY)
        return parse_answer(transport.value())

    def follow(self, answer: Answer) -> Answer:
        """What the link leads to that an answer gives."""
        self.assertEqual((answer.status, answer.body), (303, b""))
        url = urljoin("https://localhost/-/token", answer.headers["location"])
        self.assertTrue(url.startswith("https://localhost/-/s/"), url)
        return self.memory_site.ask(
            url.removeprefix("https://localhost"), headers=BROWSER, peer=FAR
        )


class PageTests(FormCase):
    def test_in_place(self) -> None:
        """A browser gets the form in place of whatever it asked for, with a 401."""
        for path in ("/study%201/", "/study%201/a.png", "/missing", "/?sort=size", "/collections"):
            answer = self.memory_site.ask(path, headers=BROWSER, peer=FAR)
            self.assertEqual((answer.status, answer.headers["www-authenticate"]), (401, "Bearer"))
            self.assertEqual(answer.headers["cache-control"], "no-store")
            self.assertEqual(answer.headers["referrer-policy"], "same-origin")
            policy = answer.headers["content-security-policy"]
            self.assertIn("default-src 'none'", policy)
            self.assertIn("form-action 'self'", policy)
            self.assertNotIn("access-control-allow-origin", answer.headers)
            reader = Reader(answer.body)
            [form] = reader.all("form")
            self.assertEqual(form["method"], "post")
            where = urljoin(f"https://localhost{path}", form["action"] or "")
            self.assertEqual(where, "https://localhost/-/token")
            fields = {field["name"]: field.get("value") for field in reader.all("input")}
            self.assertEqual(fields, {"path": path, "token": None})
            self.assertEqual(reader.all("script"), [])

    def test_programs(self) -> None:
        """A program gets JSON, as ever, and so does who sends anything."""
        for headers in ({}, {"Accept": "application/json"}, {"Accept": "image/png"}):
            answer = self.memory_site.ask("/study%201/", headers=headers, peer=FAR)
            self.assertEqual((answer.status, list(answer.json)), (401, ["detail"]))
        self.assertEqual(self.memory_site.post("/unload", headers=BROWSER).status, 403)

    def test_by_itself(self) -> None:
        """The form has an address of its own; without --private there is none."""
        answer = self.memory_site.ask("/-/token", headers=BROWSER, peer=FAR)
        self.assertEqual(answer.status, 200)
        self.assertNotIn("www-authenticate", answer.headers)
        self.assertEqual(self.memory_site.ask("/-/token", "HEAD").status, 200)
        self.assertEqual(self.memory_site.ask("/-/token", "PUT").status, 405)
        self.memory_site = MemorySite(os.path.realpath(self.mktemp()))
        self.assertEqual(self.memory_site.ask("/-/token").status, 404)
        self.assertEqual(self.enter(TOKEN).status, 405)

    def test_plain(self) -> None:
        """Over plain HTTP from another machine the page warns; from this one it does not, for it
        may be a proxy that speaks TLS.
        """
        for peer, warns in ((FAR, True), ("127.0.0.1", False), ("::1", False)):
            answer = self.memory_site.ask("/", headers=BROWSER, peer=peer)
            self.assertEqual(b"not encrypted" in answer.body, warns)

    def test_hostile_path(self) -> None:
        """The path that was asked for is text in the page."""
        path = "/%22%3E%3Cscript%3E?x=\"><script>alert(1)</script>'"
        answer = self.memory_site.ask(path, headers=BROWSER, peer=FAR)
        reader = Reader(answer.body)
        self.assertEqual(reader.all("script"), [])
        self.assertEqual(reader.all("input")[0]["value"], path)


class EnterTests(FormCase):
    def test_right(self) -> None:
        """The token leads to a signed link of the folder, and in it to what was asked for."""
        folder = self.follow(self.enter(TOKEN, "/study%201/"))
        self.assertIn(b"a.png", folder.body)
        self.assertEqual(self.follow(self.enter(TOKEN, "/study%201/a.png")).body, b"png")
        asked = self.enter(f" {TOKEN}\n", "/study%201/?sort=size&order=desc")
        self.assertIn(b'aria-sort="descending"', self.follow(asked).body)
        self.assertEqual(self.follow(self.enter(TOKEN, "/collections")).status, 200)
        self.assertEqual(self.follow(self.enter(TOKEN)).status, 200)

    def test_answer(self) -> None:
        """The answer is at once, kept by nobody, without a cookie, and the token is not in it."""
        transport = self.begin(TOKEN, "/study%201/")
        answer = parse_answer(transport.value())
        self.assertEqual((answer.status, answer.headers["cache-control"]), (303, "no-store"))
        self.assertNotIn("set-cookie", answer.headers)
        self.assertNotIn(TOKEN.encode("ascii"), transport.value())

    def test_this_folder_alone(self) -> None:
        """The link is for that folder and what is below, for an hour, and controls nothing."""
        location = self.enter(TOKEN, "/study%201/a.png").headers["location"]
        link = urljoin("/-/token", location)
        above = link.replace("study%201/a.png", "")
        self.assertEqual(self.memory_site.ask(above, peer=FAR).status, 403)
        self.assertEqual(self.memory_site.ask(link, "POST", peer=FAR).status, 405)
        self.memory_site.clock.advance(LIFETIME - 2)
        self.assertEqual(self.memory_site.ask(link, peer=FAR).status, 200)
        self.memory_site.clock.advance(2)
        self.assertEqual(self.memory_site.ask(link, peer=FAR).status, 410)

    def test_dicom(self) -> None:
        """Of what tells of a collection's DICOM, the link is good for the collection, whose files
        are shown there.
        """
        series = "/collections/scans/dicom/1.2.3.nii"
        for path, folder in (
            *(
                ("/collections/scans/dicom/", ""),
                (f"{series}", ""),
                (f"/-/view{series}", "/-/view"),
            ),
            *(("/collections/scans/dicom.json", ""), ("/collections/scans/dicomweb/studies", "")),
        ):
            location = self.enter(TOKEN, f"{path}?a=b").headers["location"]
            ticket, found = location.removeprefix("s/").split("/", 1)
            self.assertEqual(f"/{found}", f"{path}?a=b")
            self.assertIn("-2.", ticket)
            read = self.memory_site.ask(
                f"/-/s/{ticket}{folder}/collections/scans/files/x", peer=FAR
            )
            self.assertEqual(read.status, 404)
            read = self.memory_site.ask(f"/-/s/{ticket}/collections/other/files/x", peer=FAR)
            self.assertEqual(read.status, 403)

    def test_expired(self) -> None:
        """A browser whose link has expired gets the form, which leads to a new link to the same."""
        link = urljoin("/-/token", self.enter(TOKEN, "/study%201/").headers["location"])
        self.memory_site.clock.advance(LIFETIME)
        answer = self.memory_site.ask(f"{link}?sort=size", headers=BROWSER, peer=FAR)
        self.assertEqual(answer.status, 410)
        self.assertIn(b"This link has expired", answer.body)
        reader = Reader(answer.body)
        self.assertEqual(urljoin(link, reader.all("form")[0]["action"] or ""), "/-/token")
        target = reader.all("input")[0]["value"] or ""
        self.assertEqual(target, "/study%201/?sort=size")
        self.assertEqual(self.follow(self.enter(TOKEN, target)).status, 200)
        forged = link.replace("/-/s/1", "/-/s/2")
        answer = self.memory_site.ask(forged, headers=BROWSER, peer=FAR)
        self.assertEqual(answer.status, 403)
        self.assertNotIn(b"<form", answer.body)

    def test_wrong(self) -> None:
        """A wrong token is answered by the same page, with a sentence, and leads back as before."""
        for token in (WRONG, "", TOKEN[:-1], TOKEN + "x", "\udcff"[:0], "ü" * 100):
            answer = self.enter(token, "/study%201/")
            self.assertEqual((answer.status, answer.headers["www-authenticate"]), (401, "Bearer"))
            reader = Reader(answer.body)
            self.assertIn("That is not imgd's token.", reader.text())
            self.assertEqual(reader.all("input")[0]["value"], "/study%201/")
            if token:
                self.assertNotIn(token.encode("utf-8"), answer.body)

    def test_delay(self) -> None:
        """A wrong token is answered after a second; who leaves before does not get the try back."""
        transport = self.begin(WRONG)
        self.memory_site.clock.advance(DELAY / 2)
        self.assertEqual(transport.value(), b"")
        self.memory_site.clock.advance(DELAY / 2)
        self.assertEqual(parse_answer(transport.value()).status, 401)
        for _ in range(MAX_TRIES_PER_CLIENT):
            self.begin(WRONG).lose()
        refused = parse_answer(self.begin(TOKEN).value())
        self.assertEqual(refused.status, 503)
        self.assertIn("retry-after", refused.headers)
        self.assertIn(b"<form", refused.body)
        self.memory_site.clock.advance(DELAY)
        self.assertEqual(parse_answer(self.begin(TOKEN).value()).status, 303)

    def test_many_clients(self) -> None:
        """Many addresses together have a bound as well."""
        for number in range(MAX_TRIES):
            self.assertEqual(self.begin(WRONG, peer=f"198.51.100.{number}").value(), b"")
        refused = self.begin(WRONG, peer="198.51.100.250")
        self.assertEqual(parse_answer(refused.value()).status, 503)
        self.memory_site.clock.advance(DELAY)

    def test_other_sites(self) -> None:
        """A page of another site cannot try tokens, not even the right one."""
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://localhost:9999"},
            {"Origin": "https://localhost:8888"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8888"},
            {"Sec-Fetch-Site": "none"},
        ):
            with self.subTest(headers=headers):
                answer = self.enter(TOKEN, headers=headers)
                self.assertEqual(answer.status, 403)
                self.assertNotIn("location", answer.headers)
                self.assertIn(b"another site", answer.body)

    def test_own_pages(self) -> None:
        """A page of this daemon can, also if its browser tells nothing of the site, or a proxy
        changed the Host; and who is no browser.
        """
        for headers in (
            {"Origin": "http://localhost:8888"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "https://images.example.org"},
            {},
        ):
            self.assertEqual(self.enter(TOKEN, headers=headers).status, 303, headers)
        self.memory_site = self.make(public_url="https://images.example.org/imgd")
        public = {"Origin": "https://images.example.org"}
        self.assertEqual(self.enter(TOKEN, headers=public).status, 303)

    def test_rebinding(self) -> None:
        """A name that is not this daemon's leads nowhere, even if origin and host agree."""
        self.memory_site = self.make(hosts=("localhost",))
        evil = {"Host": "evil.example:8888", "Origin": "http://evil.example:8888"}
        self.assertEqual(self.enter(TOKEN, headers=evil).status, 421)
        self.assertEqual(self.enter(TOKEN).status, 303)

    def test_bodies(self) -> None:
        """A body of another type, of over 64 KiB, or that is no form is refused."""
        for headers, body, status in (
            ({"Content-Type": "application/json"}, b'{"token": "x"}', 415),
            ({"Content-Type": "multipart/form-data; boundary=x"}, b"--x--", 415),
            ({}, b"a" * 65_537, 413),
            ({}, b"&".join(b"a=b" for _ in range(9)), 400),
            ({}, b"token=\xff\xfe", 400),
        ):
            answer = self.enter("", headers={**SAME, **headers}, body=body)
            self.assertEqual(answer.status, status, body[:20])

    def test_hostile_targets(self) -> None:
        """The link never leads elsewhere, nor breaks out of its header."""
        for path in (
            *("//evil.example/", "https://evil.example/", "evil", "/\r\nX: y/", "/..%2f/../"),
            *("/-/s/x/", "/-/token", "/.hidden/", "/a/\u202e/", "/\\evil/", "/?x=\r\nY: z"),
            *("/?x=\u00fc", "", "/a/%00/"),
        ):
            with self.subTest(path=path):
                answer = self.enter(TOKEN, path)
                if answer.status == 303:
                    self.assertLess(self.follow(answer).status, 500)
                else:
                    self.assertEqual(answer.status, 400)
                self.assertNotIn("x", answer.headers)
                self.assertNotIn("y", answer.headers)

    def test_log(self) -> None:
        """No line of a log has the token, be it right or wrong, nor the link's signature."""
        events = record_log(self)
        location = self.enter(TOKEN, "/study%201/").headers["location"]
        self.enter(WRONG)
        signature = location.split(".")[1].split("/")[0]
        self.memory_site.ask(urljoin("/-/token", location), peer=FAR)
        text = "\n".join((*self.memory_site.access_lines, *map(str, events)))
        self.assertIn("POST /-/token", text)
        for secret in (TOKEN, WRONG, signature):
            self.assertNotIn(secret, text)

    def test_control(self) -> None:
        """The form opens no other door: every other POST needs the token in its header."""
        body = urlencode({"token": TOKEN}).encode("ascii")
        for path in ("/unload", "/links", "/-/token/", "/-/%74oken", "/-/tokens", "//-/token"):
            answer = self.memory_site.ask(path, "POST", {**FORM, **SAME}, body, peer=FAR)
            self.assertIn(answer.status, (403, 404, 405), path)
