"""Writes a model folder (Hugging Face and sentence-transformers files, robin.json) from a trained checkpoint.

    export.py embed  final.pt ../embedder/starter ../embedder/testdata/starter_reference.json
    export.py rerank cross.pt ../rerank/starter   ../rerank/testdata/starter_reference.json

The reference file holds texts (or pairs), their token ids and what the written ONNX file answers for
them in Python, for the Go side to agree with.
"""
import hashlib
import json
import random
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from tokenizers import Tokenizer

import graph
from student import CONFIG

HERE = Path(__file__).parent
WORK = HERE / "work"
KIND = "static"
CALIBRATION = 300  # texts of each source, or pairs
MAX_TOKENS = 256


def write_json(path, value, indent=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")


def session(raw):
    so = ort.SessionOptions()
    so.intra_op_num_threads = 2
    return ort.InferenceSession(raw, so, providers=["CPUExecutionProvider"])


def padded(encodings):
    n = max(len(e.ids) for e in encodings)
    ids = np.full((len(encodings), n), CONFIG["pad_token_id"], np.int64)
    mask = np.zeros((len(encodings), n), np.int64)
    for i, e in enumerate(encodings):
        ids[i, :len(e.ids)] = e.ids
        mask[i, :len(e.ids)] = 1
    return ids, mask


def run(sess, encodings, name):
    ids, mask = padded(encodings)
    return sess.run([name], {"input_ids": ids, "attention_mask": mask})[0], mask


def sentence_vectors(sess, encodings):
    h, mask = run(sess, encodings, "last_hidden_state")
    m = mask[:, :, None].astype(np.float32)
    v = (h * m).sum(1) / m.sum(1)
    return v / np.linalg.norm(v, axis=1, keepdims=True)


def calibration(task, tok):
    """Batches of real inputs, of all sources, by which graph.calibrate fixes the steps of the activations."""
    rng = random.Random(17)
    read = lambda n: (WORK / "text" / f"{n}.txt").read_text(encoding="utf-8").splitlines()
    samples = {n: rng.sample(read(n), CALIBRATION) for n in ("products", "queries", "situations", "wordnet", "debian")}
    own = json.loads((HERE / "reference_texts.json").read_text(encoding="utf-8"))
    if task == "embed":
        rows = [t for some in samples.values() for t in some] + own["texts"]
    else:
        passages = samples["products"] + samples["debian"] + samples["wordnet"]
        rows = [(q, rng.choice(passages)) for n in ("queries", "situations", "wordnet") for q in samples[n]] + [tuple(p) for p in own["pairs"]]
        told = [l.split("\t")[:2] for n in ("shop", "debian") for l in (WORK / "pairs" / f"{n}.tsv").read_text(encoding="utf-8").splitlines()]
        rows += [tuple(r) for r in rng.sample(told, CALIBRATION)]
    enc = sorted(tok.encode_batch(rows), key=lambda e: len(e.ids))
    return [padded(enc[a:a + 32]) for a in range(0, len(enc), 32)]


def rounded(x):
    return [round(float(v), 6) for v in x]


def references(task, sess, tok):
    samples = json.loads((HERE / "reference_texts.json").read_text(encoding="utf-8"))
    out = []
    for row in samples["texts" if task == "embed" else "pairs"]:
        e = tok.encode(row) if task == "embed" else tok.encode(*row)
        if task == "embed":
            out.append({"text": row, "ids": e.ids, "vector": rounded(sentence_vectors(sess, [e])[0])})
        else:
            out.append({"query": row[0], "passage": row[1], "ids": e.ids, "logit": rounded(run(sess, [e], "logits")[0][0])[0]})
    return out


def main():
    task, source, folder, reference = sys.argv[1], WORK / sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    state = torch.load(source)
    layers = 1 + max(int(k.split(".")[2]) for k in state if k.startswith("encoder.layer."))
    config = dict(CONFIG, num_hidden_layers=layers)
    if task == "rerank":
        config.update(architectures=["RobertaForSequenceClassification"], num_labels=1,
                      id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    (folder / "tokenizer.json").write_bytes((WORK / "tokenizer.json").read_bytes())
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tok.enable_truncation(MAX_TOKENS)
    ranges = graph.calibrate(state, config, calibration(task, tok), session)
    raw = graph.build(state, config, KIND, ranges).SerializeToString()
    (folder / "model.onnx").write_bytes(raw)
    write_json(folder / "config.json", config)
    about = {"format": 1, "name": "starter", "version": "1", "task": task, "family": "roberta"}
    if task == "embed":
        about.update(dimension=config["hidden_size"], max_tokens=MAX_TOKENS, pooling="mean", normalize=True,
                     query_prefix="", passage_prefix="")
        write_json(folder / "modules.json", [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])
        write_json(folder / "1_Pooling" / "config.json", {
            "word_embedding_dimension": config["hidden_size"], "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
            "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False})
    else:
        about.update(max_tokens=MAX_TOKENS, activation="sigmoid")
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    about["licence"] = "Apache-2.0"
    about["files"] = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in ("model.onnx", "tokenizer.json", "config.json")}
    write_json(folder / "robin.json", about)
    rows = references(task, session(raw), tok)
    about = {"model_sha256": about["files"]["model.onnx"], "max_tokens": MAX_TOKENS, "rows": rows}
    text = json.dumps(about, ensure_ascii=False, separators=(",", ":")).replace('{"text"', '\n{"text"').replace('{"query"', '\n{"query"')
    reference.parent.mkdir(parents=True, exist_ok=True)
    reference.write_text(text + "\n", encoding="utf-8")
    print(f"{folder}: {len(raw) / 1e6:.2f} MB, {len(rows)} reference rows", file=sys.stderr)


if __name__ == "__main__":
    main()
