"""A chart of ``benchmark.json``: run by the peers' interpreter, which has matplotlib."""

import json
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

with open(sys.argv[1]) as file:
    results = json.load(file)
rows = [name for name, medians in results["medians"].items() if "imgd" in medians]
servers = sorted({server for row in rows for server in results["medians"][row]}, key=str.lower)
servers.sort(key=lambda name: name != "imgd")
figure, axes = plt.subplots(figsize=(9, 0.75 * len(rows) + 1.5))
height = 0.8 / len(servers)
for number, server in enumerate(servers):
    positions, lengths = [], []
    for position, row in enumerate(rows):
        medians, less = results["medians"][row], results["units"][row][1]
        if medians.get(server) and medians["imgd"]:
            ours, theirs = medians["imgd"], medians[server]
            positions.append(position + number * height)
            lengths.append(ours / theirs if less else theirs / ours)
    axes.barh(positions, lengths, height, label=server, color=f"C{number}")
axes.set_yticks([position + 0.4 - height / 2 for position in range(len(rows))], rows)
axes.invert_yaxis()
axes.axvline(1, color="black", linewidth=0.8)
axes.set_xlabel("as good as imgd (1), for each CPU second or byte; longer is better")
axes.legend(loc="lower right", fontsize="small")
figure.tight_layout()
figure.savefig(sys.argv[2], dpi=110)
