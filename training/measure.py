"""Ranks an evaluation folder by vectors alone, for a written model folder and, with --teacher, the teacher.

    measure.py ../embedder/starter ../testdata/catalogue [FOLDER...] [--teacher] [--rerank ../rerank/starter]

Prints nDCG@10, MRR@10 and recall@100, linear gains. With --rerank the first 50 are ordered again by the
cross-encoder alone, and by the mean of both scores. Only for looking: nothing is trained on these folders.
"""
import argparse
import gzip
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from export import MAX_TOKENS, run, sentence_vectors, session
from teacher import Teacher


def rows(folder, name):
    path = folder / name
    if path.exists():
        return path.read_text(encoding="utf-8").splitlines()
    with gzip.open(folder / (name + ".gz"), "rt", encoding="utf-8") as f:
        return f.read().splitlines()


class Student:
    def __init__(self, folder):
        self.tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tok.enable_truncation(MAX_TOKENS)
        self.sess = session((folder / "model.onnx").read_bytes())

    def embed(self, texts):
        enc = self.tok.encode_batch(texts)
        order = sorted(range(len(enc)), key=lambda i: len(enc[i].ids))
        out = np.zeros((len(enc), 256), np.float32)
        for a in range(0, len(order), 32):
            part = order[a:a + 32]
            out[part] = sentence_vectors(self.sess, [enc[i] for i in part])
        return out


def scores(ranked, gains):
    got = [gains.get(d, 0) for d in ranked]
    dcg = lambda g: sum(x / np.log2(i + 2) for i, x in enumerate(g[:10]))
    first = next((i for i, g in enumerate(got[:10]) if g > 0), None)
    relevant = sum(g > 0 for g in gains.values())
    return dcg(got) / dcg(sorted(gains.values(), reverse=True)), 0 if first is None else 1 / (first + 1), sum(g > 0 for g in got[:100]) / relevant


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("model", type=Path)
    ap.add_argument("folders", type=Path, nargs="+")
    ap.add_argument("--teacher", action="store_true")
    ap.add_argument("--rerank", type=Path)
    ap.add_argument("--queries", type=int, default=10**9)
    o = ap.parse_args()
    torch.set_num_threads(2)
    models = {"student": Student(o.model)}
    if o.teacher:
        models["teacher"] = Teacher()
    cross = Student(o.rerank) if o.rerank else None
    for folder in o.folders:
        docs = [json.loads(l) for l in rows(folder, "corpus.jsonl")]
        ids = [d["_id"] for d in docs]
        bodies = [(d.get("title", "") + ". " + d.get("text", "")).strip() for d in docs]
        gains = {}
        for line in rows(folder, "qrels.tsv")[1:]:
            q, d, s = line.split("\t")[:3]
            gains.setdefault(q, {})[d] = float(s)
        queries = [json.loads(l) for l in rows(folder, "queries.jsonl")]
        queries = [q for q in queries if any(s > 0 for s in gains.get(q["_id"], {}).values())][:o.queries]
        for name, model in models.items():
            began = time.time()
            d = model.embed(bodies).astype(np.float32)
            took = time.time() - began
            q = model.embed([q["text"] for q in queries]).astype(np.float32)
            sim = q @ d.T
            order = np.argsort(-sim, axis=1)[:, :100]
            kinds = sorted({x.get("kind", "") for x in queries})
            for kind in kinds + ([""] if kinds != [""] else []):
                pick = [i for i, x in enumerate(queries) if kind in ("", x.get("kind", ""))]
                got = np.mean([scores([ids[j] for j in order[i]], gains[queries[i]["_id"]]) for i in pick], 0)
                print(f"{folder.name} {name} {kind or 'all'} ({len(pick)}): ndcg@10 {got[0]:.4f} mrr@10 {got[1]:.4f} recall@100 {got[2]:.4f} ({len(bodies) / took:.0f} docs/s)", flush=True)
            if cross and name == "student":
                for label, weight in (("cross", 0), ("both", 1)):
                    got = []
                    for i, query in enumerate(queries):
                        top = list(order[i][:50])
                        enc = cross.tok.encode_batch([(query["text"], bodies[j]) for j in top])
                        p = 1 / (1 + np.exp(-run(cross.sess, enc, "logits")[0][:, 0]))
                        again = [top[k] for k in np.argsort(-(p + weight * sim[i][top]))] + list(order[i][50:])
                        got.append(scores([ids[j] for j in again], gains[query["_id"]]))
                    got = np.mean(got, 0)
                    print(f"{folder.name} {label}: ndcg@10 {got[0]:.4f} mrr@10 {got[1]:.4f}", flush=True)


if __name__ == "__main__":
    main()
