"""The student before training: a static-embedding model in RoBERTa's clothes.

Each token's embedding is the teacher's vector of the token's surface string, in the teacher's principal
axes (the 256 of most energy over our texts, the first 248 of them turned at random so that no coordinate
is special). RoBERTa normalises every token to the same length, which would give "the" as much say in the
mean as "thermos". So a token of weight w has w times its vector in the first 248 coordinates and the rest
of its length in the last 8, whose share the last LayerNorm scales down. w is SIF's a / (a + p(token)).
Residual branches begin near zero; training opens them.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from student import CONFIG, SINK, Encoder
from teacher import Teacher

WORK = Path(__file__).parent / "work"
SIF_A = 1e-3


def axes(vectors, dim, rng):
    """dim orthonormal columns: the principal axes of the (not centred) vectors, most energy first."""
    cov = vectors.T @ vectors
    value, vector = np.linalg.eigh(cov.astype(np.float64))
    top = vector[:, ::-1][:, :dim].astype(np.float32)
    print(f"energy kept by {dim} axes: {value[::-1][:dim].sum() / value.sum():.4f}", file=sys.stderr)
    keep = dim - SINK
    turn, _ = np.linalg.qr(rng.standard_normal((keep, keep)))
    top[:, :keep] = top[:, :keep] @ turn.astype(np.float32)
    return top


def main():
    torch.set_num_threads(2)
    torch.manual_seed(11)
    rng = np.random.default_rng(11)
    dim = CONFIG["hidden_size"]
    sample = [np.load(p, mmap_mode="r") for p in sorted((WORK / "vec").glob("*.npy"))]
    sample = np.concatenate([v[rng.permutation(len(v))[:40000]] for v in sample]).astype(np.float32)
    proj = axes(sample, dim, rng)
    np.save(WORK / "axes.npy", proj)

    tok = Tokenizer.from_file(str(WORK / "tokenizer.json"))
    count = np.ones(tok.get_vocab_size())
    for path in sorted((WORK / "text").glob("*.txt")):
        for e in tok.encode_batch(path.read_text(encoding="utf-8").splitlines()[::4], add_special_tokens=False):
            np.add.at(count, e.ids, 1)
    weight = SIF_A / (SIF_A + count / count.sum())
    surface = [tok.decode([i], skip_special_tokens=False).strip() for i in range(len(count))]
    surface = [s if s and "�" not in s else "," for s in surface]
    table = Teacher().embed(surface).astype(np.float32) @ proj
    table[:, -SINK:] = 0
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    weight[[i for i, s in enumerate(surface) if not any(ch.isalnum() for ch in s)]] *= 0.1
    weight[:4] = weight[-1] = 0.02
    w = weight[:, None]
    sink = np.tile([1.0, -1.0], SINK // 2)[None, :] / np.sqrt(SINK)
    table[:, :-SINK] *= w
    table[:, -SINK:] = np.sqrt(1 - w * w) * sink

    model = Encoder(CONFIG)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "LayerNorm" in name:
                continue
            p.normal_(0, 0.02) if p.dim() == 2 else p.zero_()
            if name.endswith("output.dense.weight"):
                p.mul_(0.1)
        e = model.embeddings
        e["word_embeddings"].weight.copy_(torch.from_numpy(table).float() * 4)
        e["position_embeddings"].weight.mul_(0.1)
        e["token_type_embeddings"].weight.zero_()
        model.encoder["layer"][-1].output["LayerNorm"].weight[-SINK:] = 0.05
    torch.save(model.state_dict(), WORK / "start.pt")


if __name__ == "__main__":
    main()
