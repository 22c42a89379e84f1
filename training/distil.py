"""Distils the teacher into the student, then (with pairs) teaches it which product answers which need.

A step on texts: the student's vector should be the teacher's in the student's axes (1 - cosine), and its
similarities inside the batch should rank like the teacher's (KL of softmax over the other texts).
A step on pairs: the right passage of a brief text among those of the batch (InfoNCE; rows of the same group
count neither as right nor as wrong).

    distil.py --from start.pt --to distilled.pt --steps 8000 --rate 1e-3 --texts wordnet=1,debian=.5
"""
import argparse
import os
import random
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from student import CONFIG, Encoder, pad

WORK = Path(__file__).parent / "work"
HELD_OUT = 50  # every 50th text of a file is never trained on


class Texts:
    """One text file with its teacher vectors, ordered by length so that a batch wastes little padding."""

    def __init__(self, name, tok, proj, longest):
        lines = (WORK / "text" / f"{name}.txt").read_text(encoding="utf-8").splitlines()
        self.vec = np.load(WORK / "vec" / f"{name}.npy")
        assert len(lines) == len(self.vec), name
        tok.enable_truncation(longest)
        self.ids = [np.array(e.ids, np.int16) for e in tok.encode_batch(lines)]
        self.proj = proj
        keep = [i for i in range(len(lines)) if i % HELD_OUT]
        self.order = sorted(keep, key=lambda i: len(self.ids[i]))
        self.held = [i for i in range(len(lines)) if i % HELD_OUT == 0]

    def target(self, rows):
        t = torch.from_numpy(self.vec[rows].astype(np.float32))
        return t, F.normalize(t @ self.proj, dim=1)

    def batch(self, rng, size):
        """size texts of about the same length: a random window of four batches, thinned."""
        window = min(len(self.order), size * 4)
        at = rng.randrange(0, len(self.order) - window + 1)
        rows = rng.sample(self.order[at:at + window], min(size, window))
        return rows


def spearman(a, b):
    rank = lambda x: np.argsort(np.argsort(x)).astype(np.float64)
    return float(np.corrcoef(rank(a), rank(b))[0, 1])


@torch.no_grad()
def check(model, sets, limit=600):
    """Mean cosine to the target, and Spearman of pair similarities, on held-out texts of each set."""
    model.eval()
    out = []
    for name, s in sets.items():
        rows = s.held[::max(1, len(s.held) // limit)][:limit]
        rows = sorted(rows, key=lambda i: len(s.ids[i]))
        got = torch.cat([model.embed(*pad([s.ids[i] for i in rows[a:a + 100]])) for a in range(0, len(rows), 100)])
        t384, want = s.target(rows)
        cos = (got * want).sum(1).mean().item()
        up = torch.triu_indices(len(rows), len(rows), 1)
        a = (got @ got.T)[up[0], up[1]].numpy()
        b = (t384 @ t384.T)[up[0], up[1]].numpy()
        out.append(f"{name} cos {cos:.4f} rho {spearman(a[::5], b[::5]):.4f}")
    model.train()
    return "; ".join(out)


def similarity_loss(got, teacher, heat=0.05):
    off = torch.eye(len(got), dtype=torch.bool)
    p = (teacher @ teacher.T / heat).masked_fill(off, -1e4)
    q = (got @ got.T / heat).masked_fill(off, -1e4)
    return F.kl_div(q.log_softmax(1), p.log_softmax(1), log_target=True, reduction="batchmean")


class Pairs:
    """Brief text, passage, group, department; each kept as token ids."""

    def __init__(self, name, tok, longest):
        rows = [l.split("\t") for l in (WORK / "pairs" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()]
        tok.enable_truncation(longest)
        self.a = [np.array(e.ids, np.int16) for e in tok.encode_batch([r[0] for r in rows])]
        self.b = [np.array(e.ids, np.int16) for e in tok.encode_batch([r[1] for r in rows])]
        self.group = np.array([hash_of(r[2]) if len(r) > 2 else i for i, r in enumerate(rows)])
        self.depart = {}
        for i, r in enumerate(rows):
            self.depart.setdefault(r[3] if len(r) > 3 else i % 8, []).append(i)
        self.names = sorted(self.depart, key=str)
        self.all = list(range(len(rows)))

    def batch(self, rng, size):
        """Half of the batches come from one department: their wrong answers are near misses."""
        pool = self.depart[rng.choice(self.names)] if rng.random() < 0.5 else self.all
        return rng.sample(pool, min(size, len(pool)))


def hash_of(s):
    return zlib.crc32(s.encode())


def info_nce(a, b, group, heat=0.05):
    """Each text finds its own partner among the batch, both ways; others of its group are neither right nor wrong."""
    same = torch.from_numpy(group[:, None] == group[None, :])
    same.fill_diagonal_(False)
    s = (a @ b.T / heat).masked_fill(same, -1e4)
    right = torch.arange(len(s))
    return (F.cross_entropy(s, right) + F.cross_entropy(s.T, right)) / 2


def weights(spec):
    return {k: float(v) for k, v in (kv.split("=") for kv in spec.split(",") if kv)}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--from", dest="src", required=True)
    ap.add_argument("--to", required=True)
    ap.add_argument("--steps", type=int, required=True)
    ap.add_argument("--rate", type=float, default=1e-3)
    ap.add_argument("--size", type=int, default=192, help="texts of a step, halved for each doubling of length past 24 tokens")
    ap.add_argument("--texts", default="")
    ap.add_argument("--pairs", default="", help="NAME=share of all steps")
    ap.add_argument("--longest", type=int, default=64)
    ap.add_argument("--seed", type=int, default=1)
    o = ap.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    tok = Tokenizer.from_file(str(WORK / "tokenizer.json"))
    proj = torch.from_numpy(np.load(WORK / "axes.npy"))
    share = weights(o.texts)
    sets = {n: Texts(n, tok, proj, o.longest) for n in share}
    pair_share = weights(o.pairs)
    pairs = {n: Pairs(n, tok, o.longest) for n in pair_share}
    model = Encoder(CONFIG)
    model.load_state_dict(torch.load(WORK / o.src))
    slow = [p for n, p in model.named_parameters() if p.dim() < 2 or "embeddings" in n]
    rest = [p for n, p in model.named_parameters() if not (p.dim() < 2 or "embeddings" in n)]
    opt = torch.optim.AdamW([{"params": slow, "weight_decay": 0.0}, {"params": rest, "weight_decay": 0.01}],
                            lr=o.rate, betas=(0.9, 0.98), foreach=True)
    warm = min(200, o.steps // 10 + 1)
    resume = WORK / (o.to + ".resume")
    step = 0
    if resume.exists():
        saved = torch.load(resume)
        model.load_state_dict(saved["model"])
        opt.load_state_dict(saved["opt"])
        step = saved["step"]
        rng.setstate(saved["rng"])
    print("start:", check(model, sets), file=sys.stderr, flush=True)
    names = list(share) + list(pair_share)
    odds = list(share.values()) + list(pair_share.values())
    began, seen, mean = time.time(), 0, {}
    while step < o.steps:
        rate = o.rate * min(1, (step + 1) / warm) * (0.02 + 0.98 * (1 - step / o.steps))
        for g in opt.param_groups:
            g["lr"] = rate
        i = rng.choices(range(len(names)), odds)[0]
        name = names[i]
        if i < len(share):
            s = sets[name]
            rows = s.batch(rng, o.size)
            n = max(len(s.ids[r]) for r in rows)
            rows = rows[:max(24, min(o.size, o.size * 24 // n))]
            t384, want = s.target(rows)
            got = model.embed(*pad([s.ids[r] for r in rows]))
            loss = 4 * (1 - (got * want).sum(1).mean()) + similarity_loss(got, t384)
        else:
            s = pairs[name]
            rows = s.batch(rng, o.size // 2)
            a = model.embed(*pad([s.a[r] for r in rows]))
            b = model.embed(*pad([s.b[r] for r in rows]))
            loss = info_nce(a, b, s.group[rows])
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        seen += len(rows)
        was, k = mean.get(name, (0, 0))
        mean[name] = (was + loss.item(), k + 1)
        if step % 200 == 0:
            told = " ".join(f"{n} {v / k:.4f}" for n, (v, k) in sorted(mean.items()))
            print(f"step {step} rate {rate:.1e} {seen / (time.time() - began):.0f} texts/s: {told}", file=sys.stderr, flush=True)
            mean = {}
        if step % 500 == 0 and step < o.steps:
            print("check:", check(model, sets), file=sys.stderr, flush=True)
            torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "rng": rng.getstate()}, str(resume) + ".new")
            os.replace(str(resume) + ".new", resume)
    print("end:", check(model, sets), file=sys.stderr, flush=True)
    torch.save(model.state_dict(), WORK / o.to)
    resume.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
