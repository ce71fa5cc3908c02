"""The life of collections: loaded, replaced, unloaded, timed out, restored."""
