"""What answers a request: the URL map, files, the listing, control."""
