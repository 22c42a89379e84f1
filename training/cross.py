"""Trains the cross-encoder from the bi-encoder's weights: both texts in one sequence, one logit.

A step takes some queries, each with six texts of graded relevance: for a shop query the answer, one or two more
of its kind (differing in the attributes asked for) and those of other kinds that the teacher finds nearest in a
sample; for Debian and WordNet the right passage, two that share a rare word, three others.
Loss: binary cross-entropy against the grades, and KL between the two rankings of the six.

    cross.py --from v2.pt --to cross.pt --steps 4000
"""
import argparse
import json
import os
import random
import re
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import Tokenizer

import goods
import texts
from student import CONFIG, Encoder, pad
from teacher import Teacher

WORK = Path(__file__).parent / "work"
LIST = 6
# The head learns some of the needs by heart; at this share of its word held-out queries are ordered best.
HEAD_SHARE = 0.6


class Head(nn.Module):
    """RobertaClassificationHead."""

    def __init__(self, d):
        super().__init__()
        self.dense = nn.Linear(d, d)
        self.out_proj = nn.Linear(d, 1)

    def forward(self, first):
        return self.out_proj(torch.tanh(self.dense(first)))


class Cross(Encoder):
    """The bi-encoder's layers, unchanged, each text keeping to its own side of the pair; then one more layer in which
    <s> reads both sides. The logit is the classification head's of <s>, plus what the sides have in common:

      mix[0] * cosine of their means
      mix[1] * mean over the query's tokens of the best cosine to a passage token
      mix[2] * share of the query's tokens that the passage has too
      mix[3]

    Query tokens weigh as the layer `say` tells. For the last layer a token also carries `match` when it stands on
    both sides, and `close` times its best cosine to the other side. As the head begins at zero, training begins
    from about the bi-encoder's own order.
    """

    def __init__(self, c):
        super().__init__(dict(c, num_hidden_layers=c["num_hidden_layers"] + 1))
        d = c["hidden_size"]
        self.classifier = Head(d)
        self.say = nn.Linear(d, 1)
        self.match = nn.Parameter(torch.zeros(d))
        self.close = nn.Parameter(torch.zeros(d))
        self.mix = nn.Parameter(torch.tensor([8.0, 4.0, 1.0, -6.0]))
        nn.init.zeros_(self.classifier.out_proj.weight)
        nn.init.zeros_(self.classifier.out_proj.bias)
        nn.init.zeros_(self.say.weight)
        nn.init.zeros_(self.say.bias)

    def own(self):
        """The parameters that training moves: all that the bi-encoder has not."""
        n = self.config["num_hidden_layers"] - 1
        return [p for k, p in self.named_parameters() if not k.startswith("embeddings.") and
                not any(k.startswith(f"encoder.layer.{i}.") for i in range(n))]

    def score(self, ids, mask):
        ends = (ids == 2).long()
        passage = ((ends.cumsum(1) - ends) > 0).float()  # 0 up to the first </s>, 1 from the second
        word = mask * (ids > 4).float()
        query, found = word * (1 - passage), word * passage
        *sides, last = self.encoder["layer"]
        with torch.no_grad():
            other = query[:, :, None] * found[:, None, :] + found[:, :, None] * query[:, None, :]
            both = (ids[:, :, None] == ids[:, None, :]).float().mul(other).amax(2)
            apart = (passage[:, :, None] != passage[:, None, :]).float() + (1 - mask)[:, None, :]
            bias = (apart.clamp(max=1) * -10000.0)[:, None]
            x = self.embeddings["LayerNorm"](self.tokens(ids, mask))
            for layer in sides:
                x = layer(x, bias)
            mean = lambda m: (x * m[:, :, None]).sum(1) / (m.sum(1, keepdim=True) + 1e-6)
            cosine = (F.normalize(mean(mask * (1 - passage)), dim=1) * F.normalize(mean(mask * passage), dim=1)).sum(1)
            unit = F.normalize(x, dim=2)
            best = ((unit @ unit.transpose(1, 2)) * other).amax(2)
        say = query * (torch.sigmoid(self.say(x)[:, :, 0]) + 1e-6)
        share = say / (say.sum(1, keepdim=True) + 1e-6)
        x = x + both[:, :, None] * self.match + best[:, :, None] * self.close
        head = self.classifier(last(x, ((1 - mask) * -10000.0)[:, None, None, :], first=True)[:, 0])[:, 0]
        return head + self.mix[0] * cosine + self.mix[1] * (share * best).sum(1) + self.mix[2] * (share * both).sum(1) + self.mix[3]


def load(path):
    model = Cross(CONFIG)
    state = torch.load(path)
    if "mix" not in state:  # the bi-encoder's: its last layer also starts the one that reads both sides
        n = CONFIG["num_hidden_layers"]
        old = f"encoder.layer.{n - 1}."
        state.update({k.replace(old, f"encoder.layer.{n}."): v.clone() for k, v in state.items() if k.startswith(old)})
    model.load_state_dict(state, strict="mix" in state)
    return model


def clip(x, low, high):
    return float(min(1.0, max(0.0, (x - low) / (high - low))))


class Shop:
    def __init__(self, tok, longest):
        read = lambda n: [json.loads(l) for l in open(WORK / "shop" / n, encoding="utf-8")]
        self.products, self.queries, held = read("products.jsonl"), read("queries.jsonl") + read("situations.jsonl"), read("held.jsonl")
        rows = [l.rstrip("\n").split("\t") for n in ("shop", "situations") for l in open(WORK / f"pairs/{n}.tsv", encoding="utf-8")]
        by_text = {}
        for i, p in enumerate(self.products):
            by_text.setdefault(" ".join(p["text"].split()), i)
        self.answer = [by_text[r[1]] for r in rows]
        vec = lambda n: dict(zip((WORK / f"text/{n}.txt").read_text(encoding="utf-8").splitlines(), np.load(WORK / f"vec/{n}.npy")))
        pv, qv = vec("products"), {**vec("queries"), **vec("situations")}
        self.pvec = np.array([pv[" ".join(p["text"].split())] for p in self.products], np.float32)
        self.qvec = np.array([qv[" ".join(q["text"].split())] for q in self.queries], np.float32)
        kinds = goods.read()
        words = sorted({n for k in kinds for n in k.names + k.needs + k.situations})
        self.word = dict(zip(words, Teacher().embed([w.lstrip("=") for w in words]).astype(np.float32)))
        self.names = {k.key: k.names for k in kinds}
        self.of_kind, self.of_department = {}, {}
        for i, p in enumerate(self.products):
            self.of_kind.setdefault(p["kind"], []).append(i)
            self.of_department.setdefault(p["department"], []).append(i)
        held_out = lambda q: zlib.crc32(q["text"].encode()) % 20 == 0
        self.train = [i for i, q in enumerate(self.queries) if not held_out(q)]
        self.held = held + [q for q in self.queries if held_out(q) and not q["need"]][:600]
        tok.no_truncation()
        encode = lambda ts: [e.ids for e in tok.encode_batch(ts, add_special_tokens=False)]
        self.qids = encode([q["text"] for q in self.queries])
        self.pids = [x[:longest] for x in encode([p["text"] for p in self.products])]

    def grade(self, q, p, cosine):
        """How well product p answers query q, 0 to 1; cosine is the teacher's, of their texts."""
        want = q["want"]
        if "model" in want:
            return 1.0 if p["model"] == want["model"] else 0.2 if p["kind"] == q["kind"] and p["name"] in q["text"] else 0.02
        if p["kind"] != q["kind"]:
            return 0.35 * clip(cosine, 0.25, 0.85) + 0.05 * (bool(want.get("brand")) and want["brand"] == p["brand"])
        if q["need"]:
            near = [self.word[q["need"]] @ self.word[n] for n in self.names[q["kind"]]]
            like = float(np.exp((self.word[q["need"]] @ self.word[p["name"]] - max(near)) / 0.2))
        else:
            like = clip(self.word[q["name"]] @ self.word[p["name"]], 0.2, 0.9)
        base = 0.35 + 0.5 * like
        if not want:
            return base + 0.1
        met = texts.wanted(q, p) / len(want)
        return base * (0.55 + 0.45 * met) + 0.15 * met

    def list(self, rng):
        qi = rng.choice(self.train)
        q = self.queries[qi]
        pool = rng.sample(range(len(self.products)), 250)
        near = sorted(pool, key=lambda i: -(self.pvec[i] @ self.qvec[qi]))
        others = [i for i in near[:8] if self.products[i]["kind"] != q["kind"]][:3]
        rows = [self.answer[qi], *rng.sample(self.of_kind[q["kind"]], rng.randint(1, 2)), *others]
        rows += pool[:LIST - len(rows)]
        rows = rows[:LIST]
        grades = [self.grade(q, self.products[i], float(self.pvec[i] @ self.qvec[qi])) for i in rows]
        return [(self.qids[qi], self.pids[i]) for i in rows], grades


class Told:
    """Brief text and passage pairs, with an index of rare words for wrong passages that look right."""

    def __init__(self, name, tok, longest):
        rows = [l.split("\t")[:2] for l in (WORK / f"pairs/{name}.tsv").read_text(encoding="utf-8").splitlines()]
        tok.no_truncation()
        encode = lambda ts: [e.ids[:longest] for e in tok.encode_batch(ts, add_special_tokens=False)]
        self.a, self.b = encode([r[0] for r in rows]), encode([r[1] for r in rows])
        self.words = [set(re.findall(r"[a-z]{3,}", r[0].lower())) for r in rows]
        self.having = {}
        for i, r in enumerate(rows):
            for w in set(re.findall(r"[a-z]{3,}", r[1].lower())):
                self.having.setdefault(w, []).append(i)

    def list(self, rng):
        i = rng.randrange(len(self.a))
        look = [w for w in self.words[i] if 2 < len(self.having.get(w, ())) < 300]
        wrong = {j for w in look for j in rng.sample(self.having[w], 2) if j != i}
        wrong = rng.sample(sorted(wrong), min(2, len(wrong)))
        rows = [i, *wrong]
        rows += [rng.randrange(len(self.a)) for _ in range(LIST - len(rows))]
        grades = [0.95] + [0.2] * len(wrong) + [0.02] * (LIST - 1 - len(wrong))
        return [(self.a[i], self.b[j]) for j in rows], grades


def joined(a, b, longest=254):
    """<s> a </s></s> b </s>, the passage cut to fit."""
    a = a[:longest // 2]
    return [0, *a, 2, 2, *b[:longest - len(a) - 2], 2]


def ndcg(gains, k=10):
    dcg = lambda g: sum(x / np.log2(i + 2) for i, x in enumerate(g[:k]))
    best = dcg(sorted(gains, reverse=True))
    return dcg(gains) / best if best > 0 else None


@torch.no_grad()
def check(model, bi, shop, rng, limit=120, pool=3000, depth=40):
    """nDCG@10 on held-out queries: the bi-encoder's order of its top texts, the cross-encoder's, and the mean of both."""
    rows = rng.sample(range(len(shop.products)), pool)
    some = sorted(rows, key=lambda i: len(shop.pids[i]))
    wrap = lambda x: [0, *x[:62], 2]
    vec = torch.cat([bi.embed(*pad([wrap(shop.pids[i]) for i in some[a:a + 200]])) for a in range(0, pool, 200)])
    out = {"need": [], "keyword": []}
    for q in rng.sample(shop.held, limit):
        ids = shop.tok.encode(q["text"], add_special_tokens=False).ids
        sim = (vec @ bi.embed(*pad([wrap(ids)]))[0]).numpy()
        top = np.argsort(-sim)[:depth]
        gains = [shop.grade(q, shop.products[some[i]], float(sim[i]) * 0.5) for i in top]
        gains = [2 ** (4 * g) - 1 for g in gains]
        logit = model.score(*pad([joined(ids, shop.pids[some[i]]) for i in top])).numpy()
        p = 1 / (1 + np.exp(-logit))
        orders = [range(depth), np.argsort(-p), np.argsort(-(p + sim[top]))]
        got = [ndcg([gains[i] for i in o]) for o in orders]
        if got[0] is not None:
            out["need" if q["need"] else "keyword"].append(got)
    return "; ".join(f"{k} bi {m[0]:.4f} cross {m[1]:.4f} both {m[2]:.4f}" for k, v in out.items() for m in [np.mean(v, 0)])


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--from", dest="src", required=True)
    ap.add_argument("--bi", help="bi-encoder to compare with, default --from")
    ap.add_argument("--to", required=True)
    ap.add_argument("--steps", type=int, required=True)
    ap.add_argument("--rate", type=float, default=1e-3)
    ap.add_argument("--queries", type=int, default=24, help="queries of a step, six texts each")
    ap.add_argument("--longest", type=int, default=56)
    ap.add_argument("--seed", type=int, default=3)
    o = ap.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    torch.manual_seed(o.seed)
    rng = random.Random(o.seed)
    tok = Tokenizer.from_file(str(WORK / "tokenizer.json"))
    shop = Shop(tok, o.longest)
    shop.tok = tok
    told = [Told(n, tok, o.longest) for n in ("debian", "wordnet")]
    model = load(WORK / o.src)
    bi = Encoder(CONFIG)
    bi.load_state_dict(torch.load(WORK / (o.bi or o.src)))
    own = model.own()
    opt = torch.optim.AdamW(own, lr=o.rate, betas=(0.9, 0.98), weight_decay=0.01, foreach=True)
    resume, step = WORK / (o.to + ".resume"), 0
    if resume.exists():
        saved = torch.load(resume)
        model.load_state_dict(saved["model"])
        opt.load_state_dict(saved["opt"])
        step = saved["step"]
        rng.setstate(saved["rng"])
    began, pairs, mean = time.time(), 0, [0.0, 0.0]
    while step < o.steps:
        for g in opt.param_groups:
            g["lr"] = o.rate * min(1, (step + 1) / 200) * (0.02 + 0.98 * (1 - step / o.steps))
        source = rng.choices([shop, *told], [0.7, 0.15, 0.15])[0]
        lists = [source.list(rng) for _ in range(o.queries)]
        ids = [joined(a, b) for rows, _ in lists for a, b in rows]
        want = torch.tensor([g for _, gs in lists for g in gs])
        got = model.score(*pad(ids))
        bce = F.binary_cross_entropy_with_logits(got, want)
        kl = F.kl_div(got.view(-1, LIST).log_softmax(1), (6 * want.view(-1, LIST)).softmax(1), reduction="batchmean")
        opt.zero_grad()
        (2 * bce + kl).backward()
        torch.nn.utils.clip_grad_norm_(own, 1.0)
        opt.step()
        step += 1
        pairs += len(ids)
        mean = [mean[0] + bce.item(), mean[1] + kl.item()]
        if step % 100 == 0:
            print(f"step {step} {pairs / (time.time() - began):.0f} pairs/s: bce {mean[0] / 100:.4f} kl {mean[1] / 100:.4f}", file=sys.stderr, flush=True)
            mean = [0.0, 0.0]
        if step % 500 == 0 or step == o.steps:
            print("check:", check(model, bi, shop, random.Random(5)), file=sys.stderr, flush=True)
            torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "rng": rng.getstate()}, str(resume) + ".new")
            os.replace(str(resume) + ".new", resume)
    for p in model.classifier.out_proj.parameters():
        p.data.mul_(HEAD_SHARE)
    torch.save(model.state_dict(), WORK / o.to)
    resume.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
