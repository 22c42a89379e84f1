"""Embeds the same texts with Python (tokenizers, ONNX Runtime, batches sorted by length) and with `robin bench embed`, in turns.

    pip install numpy onnxruntime tokenizers
    python rival.py ROBIN FOLDER CORPUS [--n 2000] [--threads 2] [--rounds 5]

ROBIN is the program, FOLDER a bi-encoder with mean pooling, CORPUS a corpus.jsonl(.gz) with title and text.
"""
import argparse
import gzip
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ap = argparse.ArgumentParser()
ap.add_argument("robin")
ap.add_argument("folder", type=pathlib.Path)
ap.add_argument("corpus")
ap.add_argument("--n", type=int, default=2000)
ap.add_argument("--threads", type=int, default=2)
ap.add_argument("--rounds", type=int, default=5)
args = ap.parse_args()
os.environ["RAYON_NUM_THREADS"] = str(args.threads)  # before tokenizers is loaded

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer


def max_tokens(folder):
    config = json.loads((folder / "config.json").read_text())
    limit = config["max_position_embeddings"] - (0 if config["model_type"] == "bert" else config["pad_token_id"] + 1)
    card = folder / "sentence_bert_config.json"
    return min(limit, json.loads(card.read_text())["max_seq_length"]) if card.exists() else limit


class Python:
    def __init__(self, folder, threads):
        so = ort.SessionOptions()
        so.intra_op_num_threads = threads
        self.session = ort.InferenceSession(str(folder / "model.onnx"), so, providers=["CPUExecutionProvider"])
        self.inputs = [i.name for i in self.session.get_inputs()]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(max_tokens(folder))

    def embed(self, texts, rows):
        encodings = self.tokenizer.encode_batch(texts)
        order = sorted(range(len(texts)), key=lambda i: -len(encodings[i].ids))
        vectors = np.empty((len(texts), 0), np.float32)
        for at in range(0, len(order), rows):
            batch = order[at:at + rows]
            length = max(len(encodings[i].ids) for i in batch)
            feed = {n: np.zeros((len(batch), length), np.int64) for n in self.inputs}
            if "input_ids" in feed:
                feed["input_ids"][:] = 1
            for row, i in enumerate(batch):
                n = len(encodings[i].ids)
                feed["input_ids"][row, :n] = encodings[i].ids
                feed["attention_mask"][row, :n] = 1
            hidden = self.session.run(None, feed)[0]
            mask = feed["attention_mask"][:, :, None].astype(np.float32)
            pooled = (hidden * mask).sum(1) / mask.sum(1)
            if not vectors.shape[1]:
                vectors = np.empty((len(texts), pooled.shape[1]), np.float32)
            vectors[batch] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return vectors

    def best_rows(self, texts):
        sample = texts[::max(1, len(texts) // 256)]
        if len(texts) <= 256:
            sample = texts[::max(1, len(texts) // 64)]
        took = {}
        for rows in (4, 8, 16, 32, 64):
            self.embed(sample[:rows], rows)
            began = time.perf_counter()
            self.embed(sample, rows)
            took[rows] = time.perf_counter() - began
        return min(took, key=took.get)


def read(path, n):
    texts = []
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            if len(texts) == n:
                break
            texts.append(" ".join(filter(None, [row["title"], row["text"]])))
    return texts


def main():
    texts = read(args.corpus, args.n)
    python = Python(args.folder, args.threads)
    rows = python.best_rows(texts)
    print(f"{len(texts)} texts, {args.threads} threads, Python with {rows} texts to a batch")
    ratios, speeds = [], []
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as f:
        for i, text in enumerate(texts):
            f.write(json.dumps({"id": str(i), "title": text}) + "\n")
        f.flush()
        command = [args.robin, "bench", "embed", f.name, "--embedder", str(args.folder.resolve()), "--n", "0", "--rounds", "1", "--no-compare",
                   "--threads", str(args.threads), "--json"]
        for i in range(args.rounds):
            began = time.perf_counter()
            python.embed(texts, rows)
            theirs = len(texts) / (time.perf_counter() - began)
            ours = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            if ours["texts"] != len(texts):
                raise SystemExit(f"robin measured {ours['texts']} texts")
            ours = ours["texts_per_s"]
            ratios.append(ours / theirs)
            speeds.append((ours, theirs))
            print(f"robin {ours:.1f}/s, Python {theirs:.1f}/s, ratio {ratios[-1]:.3f}", flush=True)
    ours, theirs = (statistics.median(s) for s in zip(*speeds))
    print(f"median: robin {ours:.1f}/s, Python {theirs:.1f}/s, ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


main()
