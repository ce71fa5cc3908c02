"""The client: loads directories into a running daemon and writes manifests of URLs."""
