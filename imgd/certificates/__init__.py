"""The local certificate authority, the certificates that it signs, and the user's own."""
