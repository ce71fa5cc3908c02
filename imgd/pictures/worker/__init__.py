"""The program of a worker process: it decodes files that it was handed open, and may open none."""
