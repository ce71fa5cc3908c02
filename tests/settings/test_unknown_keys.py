"""Which keys are named as unknown; ``test_env_search`` has the log's lines."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from imgd.settings.table import TABLE
from imgd.settings.unknown_keys import warnings


class UnknownKeyTests(SynchronousTestCase):
    def test_known(self) -> None:
        """Every variable of the table is known, and keys of other programs are not judged."""
        known = {variable.name: "1" for spec in TABLE for variable in spec.variables}
        self.assertEqual(
            list(warnings([("", {**known, "imgd_x": "", "IMG": "", "NGROK": ""})])), []
        )

    def test_sources(self) -> None:
        """Each is named with its source, in order; an empty value counts, too."""
        said = list(
            warnings([("", {"IMGD_B": "", "IMGD_A": "x"}), (".env: ", {"IMGD_GRACEE": ""})])
        )
        self.assertEqual(
            [line.split(" is ")[0] for line in said], ["IMGD_A", "IMGD_B", ".env: IMGD_GRACEE"]
        )
        self.assertTrue(said[2].endswith("did you mean IMGD_GRACE?"))

    def test_nearest(self) -> None:
        """The nearest known key is named; options without an IMGD_ key have other names."""
        for key, hint in (
            ("IMGD_PORT", "did you mean IMAGE_SERVER_PORT?"),
            ("IMGD_TIMEOUT", "did you mean IMAGE_SERVER_TIMEOUT?"),
            ("IMGD_ALLOWED_HOST", "did you mean IMGD_ALLOW_HOSTS?"),
            ("IMGD_OUTPUT_DIR", "did you mean IMGD_IMAGES_DIR?"),
            ("IMGD_XYZZY", "see --help"),
        ):
            [said] = warnings([("", {key: "1"})])
            self.assertEqual(said, f"{key} is no setting of imgd and has no effect: {hint}")
