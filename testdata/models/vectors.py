"""Writes what Python answers for a folder's model, one text (or pair) at a time, for Go tests to compare with:

    pip install numpy onnxruntime tokenizers
    python vectors.py FOLDER CORPUS N OUT.jsonl
    ROBIN_VECTORS=FOLDER:OUT.jsonl go test ./embedder -run PythonsVectors -v     (ROBIN_SCORES, ./rerank, PythonsScores)

CORPUS is a corpus.jsonl(.gz) with title and text. A pair is the beginning of one text with another.
"""
import gzip
import json
import pathlib
import sys

import numpy as np
import onnxruntime as ort
from tokenizers import Tokenizer


def texts(path, n):
    rows = []
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8") as f:
        for line in f:
            row = json.loads(line)
            rows.append(" ".join(filter(None, [row["title"], row["text"]])))
    return rows[::max(1, len(rows) // n)][:n]


def main():
    folder, corpus, n, out = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    config = json.loads((folder / "config.json").read_text())
    limit = config["max_position_embeddings"] - (0 if config["model_type"] == "bert" else config["pad_token_id"] + 1)
    if (folder / "sentence_bert_config.json").exists():
        limit = min(limit, json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"])
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)
    session = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    inputs = [i.name for i in session.get_inputs()]
    rows = texts(corpus, n)
    pairs = any(a.endswith("ForSequenceClassification") for a in config["architectures"])
    with open(out, "w", encoding="utf-8") as f:
        for i, text in enumerate(rows):
            query = " ".join(rows[i - i % 5].split()[:4])
            e = tokenizer.encode(query, text) if pairs else tokenizer.encode(text)
            feed = {"input_ids": e.ids, "attention_mask": [1] * len(e.ids), "token_type_ids": e.type_ids}
            hidden = session.run(None, {k: np.array([feed[k]], np.int64) for k in inputs})[0][0]
            if pairs:
                row = {"query": query, "passage": text, "ids": e.ids, "logit": float(hidden[0])}
            else:
                v = hidden.astype(np.float64).mean(0)
                row = {"text": text, "ids": e.ids, "vector": [float(x) for x in v / np.linalg.norm(v)]}
            f.write(json.dumps(row) + "\n")


main()
