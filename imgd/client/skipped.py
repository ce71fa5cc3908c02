"""What a load passed over, as ``imgd load`` says it, with the option that serves it."""

from __future__ import annotations

from typing import Final

from imgd.core.messages import CollectionInfo, SkippedFiles
from imgd.core.skipped_files import describe

NOTHING: Final = "Nothing was loaded"


def passed_over(collection: CollectionInfo) -> str:
    """``passed over 2 files (2 .txt): --all-files serves the files``; "" for nothing."""
    skipped = collection.skipped or SkippedFiles()
    others = describe(skipped)
    return f"passed over {others}{_remedy(collection, skipped)}" if others else ""


def why_nothing(collection: CollectionInfo) -> str:
    """Why a load came to nothing, and what to do, in one sentence without its full stop."""
    skipped = collection.skipped or SkippedFiles()
    others = describe(skipped)
    if not others:
        return f"{NOTHING}: the directory is empty, or all in it is hidden"
    if skipped.images_below:
        return f"{NOTHING}: the images are in folders below ({others}): use --recursive"
    return f"{NOTHING}: there is no image, but {others}{_remedy(collection, skipped)}"


def _remedy(collection: CollectionInfo, skipped: SkippedFiles) -> str:
    options = []
    if skipped.count and not collection.all_files:
        options.append("--all-files serves the files")
    if skipped.folders and not collection.recursive:
        options.append("--recursive serves the folders")
    return f": {', '.join(options)}" if options else ""
