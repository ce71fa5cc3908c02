"""Thumbnails, slices, mosaics and facts of images, made in processes that may open nothing."""
