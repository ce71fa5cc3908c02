"""The local certificate authority and the certificates that it signs."""
