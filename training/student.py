"""The starter encoder: RoBERTa's layers, small. Parameter names are Hugging Face's.

Linear layers multiply in bfloat16 while training (float32 master weights, normalisation and softmax);
the exported model is float32 and int8, see export.py.
"""
import torch
import torch.nn as nn
import torch.nn.functional as F

CONFIG = dict(
    architectures=["RobertaModel"], model_type="roberta", vocab_size=16000, hidden_size=256, num_hidden_layers=4,
    num_attention_heads=4, intermediate_size=1024, hidden_act="gelu", max_position_embeddings=258, type_vocab_size=1,
    layer_norm_eps=1e-5, pad_token_id=1, bos_token_id=0, eos_token_id=2, position_embedding_type="absolute",
    hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1, initializer_range=0.02)
PAD = 1
# The last coordinates of a token's embedding hold what its weight leaves over; see start.py.
SINK = 8


class Linear(nn.Linear):
    """Takes and gives bfloat16; its own weights stay float32."""

    def forward(self, x):
        return F.linear(x, self.weight.bfloat16(), self.bias.bfloat16())


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["hidden_size"]
        self.heads = c["num_attention_heads"]
        self.attention = nn.ModuleDict({
            "self": nn.ModuleDict({"query": Linear(d, d), "key": Linear(d, d), "value": Linear(d, d)}),
            "output": nn.ModuleDict({"dense": Linear(d, d), "LayerNorm": nn.LayerNorm(d, c["layer_norm_eps"])})})
        self.intermediate = nn.ModuleDict({"dense": Linear(d, c["intermediate_size"])})
        self.output = nn.ModuleDict({"dense": Linear(c["intermediate_size"], d), "LayerNorm": nn.LayerNorm(d, c["layer_norm_eps"])})

    def forward(self, x, bias, first=False):
        """With first, only the first token is carried through; it still reads all of x."""
        b, n, d = x.shape
        at = self.attention
        parts = [at["self"][s] for s in ("query", "key", "value")]
        qkv = F.linear(x.bfloat16(), torch.cat([p.weight for p in parts]).bfloat16(), torch.cat([p.bias for p in parts]).bfloat16())
        q, k, v = qkv.view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if first:
            x, q, n = x[:, :1], q[:, :, :1], 1
        a = (q @ k.transpose(2, 3)).float() * (d // self.heads) ** -0.5 + bias
        a = (a.softmax(-1).bfloat16() @ v).transpose(1, 2).reshape(b, n, d)
        x = at["output"]["LayerNorm"](x + at["output"]["dense"](a))
        h = self.output["dense"](F.gelu(self.intermediate["dense"](x.bfloat16())))
        return self.output["LayerNorm"](x + h)


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["hidden_size"]
        self.config = c
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(c["vocab_size"], d),
            "position_embeddings": nn.Embedding(c["max_position_embeddings"], d),
            "token_type_embeddings": nn.Embedding(1, d),
            "LayerNorm": nn.LayerNorm(d, c["layer_norm_eps"])})
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer(c) for _ in range(c["num_hidden_layers"]))})

    def tokens(self, ids, mask):
        """Embeddings before their LayerNorm."""
        e = self.embeddings
        pos = (mask.cumsum(1) * mask).long() + PAD
        return e["word_embeddings"](ids) + e["position_embeddings"](pos) + e["token_type_embeddings"].weight[0]

    def forward(self, ids, mask):
        """ids (b, n) int64 padded with 1; mask (b, n) float32, 1 on tokens. Last hidden states (b, n, d)."""
        x = self.embeddings["LayerNorm"](self.tokens(ids, mask))
        bias = ((1 - mask) * -10000.0)[:, None, None, :]
        for layer in self.encoder["layer"]:
            x = layer(x, bias)
        return x

    def embed(self, ids, mask):
        """Masked mean of the last hidden states, scaled to length 1."""
        m = mask[:, :, None]
        return F.normalize((self(ids, mask) * m).sum(1) / m.sum(1), dim=1)


def pad(rows):
    """Token ids of different lengths as one rectangle, and its mask."""
    n = max(map(len, rows))
    ids = torch.full((len(rows), n), PAD, dtype=torch.long)
    mask = torch.zeros(len(rows), n)
    for i, r in enumerate(rows):
        ids[i, :len(r)] = torch.as_tensor(r)
        mask[i, :len(r)] = 1
    return ids, mask


