"""Measures other libraries on the vectors of `robin bench ann`, in turns with it, and joins what all found in one table.

    pip install numpy faiss-cpu hnswlib usearch matplotlib
    robin bench ann --vectors FILE --save DIR
    python rivals.py ROBIN DIR [--coder PROGRAM] [--plot FILE.svg] [--json FILE]

ROBIN is the program, PROGRAM what `go build ./coder` in the folder bench makes. Every library is a process of its own that takes one
measurement for each line it is sent, so all builds and all searches take turns and noise of the machine hits all alike. All
get the same rows of length 1, M and efConstruction; a build has --threads threads, a search one, with all queries in one call
where a library has such a call. Recall is counted here, for all in the same way, against an exact search by NumPy: what is as
near as the tenth nearest counts, whatever its id.
"""
import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import time

K = 10
TIE = 1e-6
BARS = (0.95, 0.99)
EFS = (10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 256, 320, 384, 512)
LIBRARIES = ("faiss-ip", "faiss-l2", "hnswlib", "usearch", "faiss-sq8", "faiss-sq8-rescored", "usearch-i8")
EIGHT_BIT = ("int8", "sq8", "i8")


def arguments():
    ap = argparse.ArgumentParser()
    ap.add_argument("robin")
    ap.add_argument("dir", type=pathlib.Path)
    ap.add_argument("--libraries", default=",".join(LIBRARIES))
    ap.add_argument("--precisions", default="float32", help="of Robin: float32, int8, int8-alone")
    ap.add_argument("--coder", help="program that measures coder/hnsw")
    ap.add_argument("--ef", default=",".join(map(str, EFS)))
    ap.add_argument("--rounds", type=int, default=3)
    ap.add_argument("--builds", type=int, default=1)
    ap.add_argument("--threads", type=int, default=2, help="that build")
    ap.add_argument("--clock", choices=("wall", "cpu"), default="wall",
                    help="cpu counts processor time of the process, all its threads included, which other work on the machine disturbs less")
    ap.add_argument("--m", type=int, default=16)
    ap.add_argument("--ef-construction", type=int, default=200)
    ap.add_argument("--robin-ef-construction", type=int, help="default: as the others")
    ap.add_argument("--plot")
    ap.add_argument("--json")
    ap.add_argument("--worker", help=argparse.SUPPRESS)
    return ap.parse_args()


class Faiss:
    def __init__(self, name, dim, args):
        import faiss
        self.faiss, self.args = faiss, args
        metric = faiss.METRIC_L2 if "l2" in name else faiss.METRIC_INNER_PRODUCT
        if "sq8" in name:
            self.index = faiss.IndexHNSWSQ(dim, faiss.ScalarQuantizer.QT_8bit, args.m, metric)
        else:
            self.index = faiss.IndexHNSWFlat(dim, args.m, metric)
        self.hnsw, self.outer = self.index.hnsw, self.index
        self.hnsw.efConstruction = args.ef_construction
        if "rescored" in name:
            self.outer = faiss.IndexRefineFlat(self.index)

    def build(self, vectors):
        self.faiss.omp_set_num_threads(self.args.threads)
        self.outer.train(vectors)
        self.outer.add(vectors)

    def search(self, queries, ef):
        self.faiss.omp_set_num_threads(1)
        self.hnsw.efSearch = ef
        if self.outer is not self.index:
            self.outer.k_factor = min(3, ef / K)
        return self.outer.search(queries, K)[1]


class Hnswlib:
    def __init__(self, name, dim, args):
        import hnswlib
        self.index, self.args = hnswlib.Index(space="ip", dim=dim), args

    def build(self, vectors):
        self.index.init_index(max_elements=len(vectors), ef_construction=self.args.ef_construction, M=self.args.m, random_seed=1)
        self.index.add_items(vectors, num_threads=self.args.threads)

    def search(self, queries, ef):
        self.index.set_ef(ef)
        return self.index.knn_query(queries, k=K, num_threads=1)[0]


class Usearch:
    def __init__(self, name, dim, args):
        from usearch.index import Index
        self.args = args
        self.index = Index(ndim=dim, metric="cos" if name.endswith("i8") else "ip", dtype="i8" if name.endswith("i8") else "f32",
                           connectivity=args.m, expansion_add=args.ef_construction)

    def build(self, vectors):
        import numpy as np
        self.index.add(np.arange(len(vectors)), vectors, threads=self.args.threads)

    def search(self, queries, ef):
        self.index.expansion_search = ef
        return self.index.search(queries, K, threads=1).keys


def resident():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) << 10
    return 0


def worker(args):
    """Answers "build" and "search EF" as `robin bench ann --turns` does."""
    import numpy as np
    vectors, queries = np.load(args.dir / "vectors.npy"), np.load(args.dir / "queries.npy")
    kind = {"faiss": Faiss, "hnswlib": Hnswlib, "usearch": Usearch}[args.worker.split("-")[0]]
    library = None
    for line in sys.stdin:
        if line.strip() == "build":
            library = None
            before = resident()
            library = kind(args.worker, vectors.shape[1], args)
            began, used = time.perf_counter(), time.process_time()
            library.build(vectors)
            took, used = time.perf_counter() - began, time.process_time() - used
            reply = {"build": {"seconds": took, "cpu_seconds": used, "vectors_per_s": len(vectors) / took, "resident_bytes_per_vector": (resident() - before) / len(vectors)}}
        else:
            ef = int(line.split()[1])
            began, used = time.perf_counter(), time.process_time()
            ids = library.search(queries, ef)
            took, used = time.perf_counter() - began, time.process_time() - used
            reply = {"seconds": took, "cpu_seconds": used, "found": [len(row) for row in ids], "ids": np.asarray(ids).astype(np.int64).ravel().tolist()}
        print(json.dumps(reply), flush=True)


class Turns:
    """A process that measures when it is told to."""

    def __init__(self, name, command):
        self.name, self.points = name, {}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise SystemExit(f"{self.name} ended with code {self.process.wait()}")
        return json.loads(reply)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Truth:
    """Recall against an exact search."""

    def __init__(self, vectors, queries):
        import numpy as np
        self.np, self.vectors, self.queries = np, vectors, queries
        least = []
        for at in range(0, len(queries), 100):
            products = queries[at:at + 100] @ vectors.T
            least.append(np.partition(products, -K, axis=1)[:, -K])
        self.least = np.concatenate(least)

    def recall(self, turn):
        hits, at = 0, 0
        for i, n in enumerate(turn["found"]):
            ids = [id for id in set(turn["ids"][at:at + n]) if 0 <= id < len(self.vectors)]
            at += n
            if ids:
                hits += min(K, int((self.vectors[ids] @ self.queries[i] >= self.least[i] - TIE).sum()))
        return hits / (K * len(self.queries))


def crossing(points, bar):
    """Queries per second where recall passes bar, on the straight line in log(queries/s) between the points on either side. Where the
    first point is above already its own figure, a lower bound; None where no point reaches it."""
    best = []
    for p in sorted(points, key=lambda p: p["ef"]):
        if not best or p["recall"] > best[-1]["recall"]:
            best.append(p)
    for before, p in zip([None] + best, best):
        if p["recall"] < bar:
            continue
        if before is None:
            return {"recall": bar, "qps": p["qps"], "least": p["recall"] > bar}
        share = (bar - before["recall"]) / (p["recall"] - before["recall"])
        return {"recall": bar, "qps": math.exp((1 - share) * math.log(before["qps"]) + share * math.log(p["qps"])), "least": False}
    return None


def eight_bit(name):
    return any(mark in name for mark in EIGHT_BIT)


def main(args):
    import numpy as np
    vectors, queries = np.load(args.dir / "vectors.npy"), np.load(args.dir / "queries.npy")
    truth = Truth(vectors, queries)
    shared = ["--m", str(args.m), "--threads", str(args.threads)]
    width = ["--ef-construction", str(args.ef_construction)]
    own = ["--ef-construction", str(args.robin_ef_construction or args.ef_construction)]
    robin = ["bench", "ann", "--vectors", str(args.dir / "vectors.npy"), "--queries", str(args.dir / "queries.npy"), "--turns"]
    indexes = [Turns(f"robin {p}", [args.robin, *robin, "--precision", p, *shared, *own]) for p in args.precisions.split(",")]
    if args.coder:
        indexes.append(Turns("coder/hnsw", [args.coder, str(args.dir / "vectors.npy"), str(args.dir / "queries.npy")]))
    for name in filter(None, args.libraries.split(",")):
        indexes.append(Turns(name, [sys.executable, __file__, args.robin, str(args.dir), "--worker", name, *shared, *width]))
    report = {"vectors": str(args.dir), "n": len(vectors), "queries": len(queries), "dimension": vectors.shape[1], "m": args.m,
              "ef_construction": args.ef_construction, "threads": args.threads, "rounds": args.rounds, "clock": args.clock, "indexes": []}
    for round in range(args.builds):
        for index in indexes:
            print(f"build {index.name}, {round + 1} of {args.builds}", file=sys.stderr, flush=True)
            build = index.turn("build")["build"]
            index.build = build if round == 0 or build["seconds"] < index.build["seconds"] else index.build
    clock = {"wall": "seconds", "cpu": "cpu_seconds"}[args.clock]
    efs = [int(ef) for ef in args.ef.split(",")]
    for index in indexes:
        index.turn(f"search {efs[0]}")  # warms up
    for round in range(args.rounds):
        for ef in efs:
            print(f"search with ef {ef}, round {round + 1} of {args.rounds}", file=sys.stderr, flush=True)
            for index in indexes[round % len(indexes):] + indexes[:round % len(indexes)]:
                turn = index.turn(f"search {ef}")
                index.points.setdefault(ef, []).append((truth.recall(turn), len(queries) / turn[clock]))
    for index in indexes:
        index.close()
        points = [{"ef": ef, "recall": statistics.median(r for r, _ in turns), "qps": statistics.median(q for _, q in turns),
                   "turns": [q for _, q in turns]}
                  for ef, turns in sorted(index.points.items())]
        at = [c for c in (crossing(points, bar) for bar in BARS) if c]
        report["indexes"].append({"name": index.name, "build": index.build, "search": points, "at": at})
    print_table(report)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(report, indent=2))
    if args.plot:
        plot(report, args.plot)


def print_table(report):
    print(f"{report['n']} vectors of {report['dimension']}, {report['queries']} queries, M {report['m']}, efConstruction {report['ef_construction']}; "
          f"builds with {report['threads']} threads, searches with one, median of {report['rounds']} rounds in turns by {report['clock']} time\n")
    head = ["index"] + [f"QPS at {bar}" for bar in BARS] + ["build s", "CPU s", "bytes/vector", "recall at ef 64", "most recall"]
    rows = []
    for index in report["indexes"]:
        at = {c["recall"]: ("≥ " if c["least"] else "") + f"{c['qps']:,.0f}" for c in index["at"]}
        recall = next((f"{p['recall']:.3f}" for p in index["search"] if p["ef"] == 64), "")
        rows.append([index["name"]] + [at.get(bar, "never") for bar in BARS] + [f"{index['build']['seconds']:.1f}", f"{index['build']['cpu_seconds']:.1f}",
                    f"{index['build'].get('resident_bytes_per_vector', 0):,.0f}", recall, f"{max(p['recall'] for p in index['search']):.3f}"])
    widths = [max(len(row[i]) for row in [head] + rows) for i in range(len(head))]
    for row in [head] + rows:
        print("  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]))
    for bits, chosen in (("float32", lambda n: not eight_bit(n)), ("8-bit", eight_bit)):
        ours = [i for i in report["indexes"] if i["name"].startswith("robin") and chosen(i["name"])]
        theirs = [i for i in report["indexes"] if not i["name"].startswith("robin") and chosen(i["name"])]
        for o in ours:
            for c in o["at"]:
                rival = max(((t["qps"], i["name"]) for i in theirs for t in i["at"] if t["recall"] == c["recall"]), default=None)
                if rival:
                    print(f"{o['name']} at recall {c['recall']}: {c['qps'] / rival[0]:.2f} of the fastest {bits} rival, {rival[1]}")


def best(points):
    """Leaves out the points than which another has no less recall and no less speed."""
    left = []
    for p in sorted(points, key=lambda p: (-p["recall"], -p["qps"])):
        if not left or p["qps"] > left[-1]["qps"]:
            left.append(p)
    return left


def plot(report, path):
    import matplotlib
    matplotlib.use("svg" if path.endswith(".svg") else "agg")
    from matplotlib import pyplot, ticker
    figure, axes = pyplot.subplots(figsize=(9, 5.6))
    for index in report["indexes"]:
        ours = index["name"].startswith("robin")
        points = [(p["recall"], p["qps"]) for p in best(index["search"]) if p["recall"] >= 0.85]
        if points:
            axes.plot(*zip(*points), "--" if eight_bit(index["name"]) else "-", marker="o", markersize=4 if ours else 3, linewidth=2.6 if ours else 1.3,
                      label=index["name"], zorder=3 if ours else 2)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(ticker.LogLocator(base=10, subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda qps, _: f"{qps:,.0f}"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel(f"recall@{K}")
    axes.set_ylabel("queries per second, one thread")
    axes.set_title(f"{report['n']:,} vectors of {report['dimension']} numbers, M {report['m']} (8-bit: dashed)", loc="left")
    axes.grid(True, alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path, bbox_inches="tight", dpi=120)


if __name__ == "__main__":
    args = arguments()
    worker(args) if args.worker else main(args)
