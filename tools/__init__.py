"""Programs for this repository; they are not installed."""
