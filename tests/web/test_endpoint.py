"""What every resource has in common."""

from __future__ import annotations

from tests.web.test_control import SiteCase

REQUEST_HEADERS = (
    "Accept, Accept-Language, Cache-Control, Content-Language, Content-Type, If-Match, "
    "If-Modified-Since, If-None-Match, If-Range, If-Unmodified-Since, Pragma, Range, "
    "X-Requested-With"
)


class MethodTests(SiteCase):
    def test_other_methods(self) -> None:
        """Other methods are a 405 that says which are allowed; OPTIONS is a 204 with CORS."""
        self.memory_site.load(self.frames)
        for path in ("/", "/images/a.jpg", "/collections", "/health", "/missing", "/-/style.css"):
            for method in ("PUT", "DELETE", "PATCH", "POST", "TRACE"):
                with self.subTest(path=path, method=method):
                    answer = self.memory_site.ask(path, method)
                    self.assertEqual(answer.status, 405)
                    self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")
            answer = self.memory_site.ask(path, "OPTIONS")
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertEqual(
                answer.headers["access-control-allow-methods"], "GET, HEAD, POST, OPTIONS"
            )
            self.assertEqual(answer.headers["access-control-allow-headers"], REQUEST_HEADERS)
            self.assertEqual(answer.headers["allow"], "GET, HEAD, OPTIONS")
            self.assertEqual(answer.headers["access-control-max-age"], "86400")
            is_file = path in ("/images/a.jpg", "/missing")
            self.assertEqual("access-control-allow-origin" in answer.headers, is_file)

    def test_control(self) -> None:
        """OPTIONS of what controls names POST, and no GET."""
        for path in ("/load-directory", "/unload", "/timeout/5", "/links", "/links/revoke"):
            answer = self.memory_site.ask(path, "OPTIONS")
            self.assertEqual((answer.status, answer.headers["allow"]), (204, "POST, OPTIONS"))
            self.assertEqual(answer.headers["access-control-allow-headers"], REQUEST_HEADERS)
            refused = self.memory_site.ask(path)
            self.assertEqual((refused.status, refused.headers["allow"]), (405, "POST, OPTIONS"))
