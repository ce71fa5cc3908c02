"""The machine underneath: files served, state kept, certificates, addresses."""
