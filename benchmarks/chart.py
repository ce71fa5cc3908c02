"""A chart of ``benchmark.json``: run by the peers' interpreter, which has matplotlib."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

with open(sys.argv[1]) as file:
    found = json.load(file)
rows = [name for name, by in found["medians"].items() if "imgd" in by]
names = sorted({server for name in rows for server in found["medians"][name]}, key=str.lower)
names.sort(key=lambda name: name != "imgd")
figure, axes = plt.subplots(figsize=(9, 0.75 * len(rows) + 1.5))
height = 0.8 / len(names)
for number, server in enumerate(names):
    places, lengths = [], []
    for place, row in enumerate(rows):
        figures, less = found["medians"][row], found["units"][row][1]
        if figures.get(server) and figures["imgd"]:
            ours, theirs = figures["imgd"], figures[server]
            places.append(place + number * height)
            lengths.append(ours / theirs if less else theirs / ours)
    axes.barh(places, lengths, height, label=server, color=f"C{number}")
axes.set_yticks([place + 0.4 - height / 2 for place in range(len(rows))], rows)
axes.invert_yaxis()
axes.axvline(1, color="black", linewidth=0.8)
axes.set_xlabel("as good as imgd (1), for each CPU second or byte; longer is better")
axes.legend(loc="lower right", fontsize="small")
figure.tight_layout()
figure.savefig(sys.argv[2], dpi=110)
