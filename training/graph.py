"""Writes a trained encoder as an ONNX graph, by hand: few nodes, fused ones where ONNX Runtime has them.

Inputs input_ids and attention_mask, int64 (batch, tokens). Output last_hidden_state, float32
(batch, tokens, 256); with a classification head, logits, float32 (batch, 1).
The embedding table is int8 with one scale a row. Each matrix product is one of
  f32     float32 weights
  dq      int8 weights with one scale a column, widened at run time, float32 product
  nbits   com.microsoft.MatMulNBits, 8 bits, one scale for every 32 weights; the kernel rounds each row's
          activations by that row's own blocks
  rows    each row of activations rounded by its own largest value, integer product, rescaled
None of them lets one text's numbers depend on another text of its batch.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
BLOCK = 32


class Graph:
    def __init__(self, kind):
        self.kind, self.nodes, self.init, self.n = kind, [], [], 0

    def const(self, value, name=None):
        if name is None:
            name = f"c{self.n}"
            self.n += 1
        self.init.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind, *inputs, outputs=1, domain="", out=None, **attrs):
        names = [out] if out else [f"{kind.lower()}_{self.n + i}" for i in range(outputs)]
        self.n += outputs
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, name=names[0], **attrs))
        return names[0] if outputs == 1 else names

    def linear(self, x, weight, bias, name):
        """x @ weight.T + bias; weight is (out, in) as PyTorch keeps it."""
        w = np.asarray(weight, np.float32)
        if self.kind == "nbits":
            n, k = w.shape
            blocks = w.reshape(n, k // BLOCK, BLOCK)
            scale = np.abs(blocks).max(2) / 127
            scale[scale == 0] = 1
            q = np.clip(np.rint(blocks / scale[:, :, None]), -127, 127) + 128
            y = self.op("MatMulNBits", x, self.const(q.astype(np.uint8), name), self.const(scale.astype(np.float32).reshape(-1)),
                        domain=MS, K=k, N=n, bits=8, block_size=BLOCK, accuracy_level=4)
            return self.op("Add", y, self.const(bias))
        if self.kind == "f32":
            y = self.op("MatMul", x, self.const(w.T, name))
            return self.op("Add", y, self.const(bias))
        scale = np.abs(w).max(1) / 127
        q = np.clip(np.rint(w / scale[:, None]), -127, 127).astype(np.int8).T
        if self.kind == "dq":
            wide = self.op("DequantizeLinear", self.const(q, name), self.const(scale), self.const(np.zeros(len(scale), np.int8)), axis=1)
            return self.op("Add", self.op("MatMul", x, wide), self.const(bias))
        peak = self.op("ReduceMax", self.op("Abs", x), self.shared("last", np.array([-1], np.int64)), keepdims=1)
        step = self.op("Add", self.op("Mul", peak, self.shared("inv127", np.float32(1 / 127))), self.shared("tiny", np.float32(1e-12)))
        xi = self.op("Cast", self.op("Round", self.op("Div", x, step)), to=TensorProto.INT8)
        y = self.op("MatMulInteger", xi, self.const(q, name))
        y = self.op("Mul", self.op("Cast", y, to=TensorProto.FLOAT), step)
        return self.op("Add", self.op("Mul", y, self.const(scale)), self.const(bias))

    def shared(self, name, value):
        if not any(t.name == name for t in self.init):
            self.const(np.asarray(value), name)
        return name

    def skip_norm(self, x, y, w, b, eps):
        return self.op("SkipLayerNormalization", x, y, self.const(w), self.const(b), domain=MS, epsilon=eps)


def encoder(g, state, config):
    w = {k: v.detach().float().numpy() for k, v in state.items()}
    eps = config["layer_norm_eps"]
    heads = config["num_attention_heads"]
    table = w["embeddings.word_embeddings.weight"]
    scale = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)
    rows = g.op("Gather", g.const(np.rint(table / scale).astype(np.int8), "word_embeddings"), "input_ids")
    word = g.op("Mul", g.op("Cast", rows, to=TensorProto.FLOAT), g.op("Gather", g.const(scale, "word_scales"), "input_ids"))
    # Positions count from the padding id + 1 over real tokens; padding itself gets the padding id.
    count = g.op("CumSum", "attention_mask", g.const(np.array(1, np.int64)))
    place = g.op("Add", g.op("Mul", count, "attention_mask"), g.const(np.array(config["pad_token_id"], np.int64)))
    position = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    position = g.op("Gather", g.const(position.astype(np.float32), "position_embeddings"), place)
    norm = "embeddings.LayerNorm."
    x = g.skip_norm(word, position, w[norm + "weight"], w[norm + "bias"], eps)
    mask = g.op("Cast", "attention_mask", to=TensorProto.INT32)
    for i in range(config["num_hidden_layers"]):
        p = f"encoder.layer.{i}."
        s = p + "attention.self."
        parts = ("query", "key", "value")
        qkv = g.linear(x, np.concatenate([w[s + n + ".weight"] for n in parts]), np.concatenate([w[s + n + ".bias"] for n in parts]), s + "qkv")
        q, k, v = g.op("Split", qkv, outputs=3, axis=-1, num_outputs=3)
        a = g.op("MultiHeadAttention", q, k, v, "", mask, domain=MS, num_heads=heads)
        o = p + "attention.output."
        x = g.skip_norm(x, g.linear(a, w[o + "dense.weight"], w[o + "dense.bias"], o + "dense"), w[o + "LayerNorm.weight"], w[o + "LayerNorm.bias"], eps)
        h = g.linear(x, w[p + "intermediate.dense.weight"], w[p + "intermediate.dense.bias"], p + "intermediate")
        h = g.op("Gelu", h, domain=MS)
        o = p + "output."
        last = i == config["num_hidden_layers"] - 1
        h = g.linear(h, w[o + "dense.weight"], w[o + "dense.bias"], o + "dense")
        x = g.skip_norm(x, h, w[o + "LayerNorm.weight"], w[o + "LayerNorm.bias"], eps)
        if last and "classifier.dense.weight" not in w:
            g.nodes[-1].output[0] = x = "last_hidden_state"
    return x, w


def head(g, x, w):
    """RobertaClassificationHead on the first token: dense, tanh, one logit."""
    first = g.op("Gather", x, g.const(np.array(0, np.int64)), axis=1)
    h = g.op("Gemm", first, g.const(w["classifier.dense.weight"]), g.const(w["classifier.dense.bias"]), transB=1)
    g.op("Gemm", g.op("Tanh", h), g.const(w["classifier.out_proj.weight"]), g.const(w["classifier.out_proj.bias"]), transB=1, out="logits")


def build(state, config, kind):
    g = Graph(kind)
    x, w = encoder(g, state, config)
    ints = lambda n: helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"])
    if "classifier.dense.weight" in w:
        head(g, x, w)
        out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    else:
        out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", config["hidden_size"]])
    graph = helper.make_graph(g.nodes, "robin-starter", [ints("input_ids"), ints("attention_mask")], [out], g.init)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(MS, 1)],
                              ir_version=9, producer_name="robin training/graph.py")
    onnx.checker.check_model(model)
    return model
