"""Writes a trained encoder as an ONNX graph, by hand: few nodes, fused ones where ONNX Runtime has them.

Inputs input_ids and attention_mask, int64 (batch, tokens). Output last_hidden_state, float32
(batch, tokens, 256); of the cross-encoder logits, float32 (batch, 1).
The embedding table is int8 with one scale a row. Each matrix product is one of
  f32     float32 weights
  dq      int8 weights with one scale a column, widened at run time, float32 product
  nbits   com.microsoft.MatMulNBits, 8 bits, one scale for every 32 weights; the kernel rounds each row's
          activations by that row's own blocks
  rows    each row of activations rounded by its own largest value, integer product, rescaled
  static  activations rounded by a step that calibrate() has fixed for each product, integer product, rescaled
None of them lets one text's numbers depend on another text of its batch.
"""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

MS = "com.microsoft"
BLOCK = 32
MARGIN = 1.05  # room beyond what calibration saw


class Graph:
    def __init__(self, kind, ranges=None):
        self.kind, self.nodes, self.init, self.n = kind, [], [], 0
        self.ranges = ranges or {}  # for static: name of a matrix -> least and greatest activation it was seen to multiply
        self.fed = {}  # name of a matrix -> the activations that it multiplies

    def const(self, value, name=None):
        if name is None:
            name = f"c{self.n}"
            self.n += 1
        self.init.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def op(self, kind, *inputs, outputs=1, domain="", out=None, **attrs):
        names = [out] if out else [f"{kind.lower()}_{self.n + i}" for i in range(outputs)]
        self.n += outputs
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, name=names[0], **attrs))
        return names[0] if outputs == 1 else names

    def linear(self, x, weight, bias, name):
        """x @ weight.T + bias; weight is (out, in) as PyTorch keeps it."""
        w = np.asarray(weight, np.float32)
        self.fed[name] = x
        if self.kind == "static":
            return self.static(x, w, bias, name)
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

    def static(self, x, w, bias, name):
        low, high = self.ranges[name]
        step = np.float32((max(high, 0) - min(low, 0)) / 255)
        zero = np.uint8(np.clip(np.rint(-min(low, 0) / step), 0, 255))
        # 7 bits of weight: x86 kernels before VNNI add pairs of products in 16 bits, and 2 * 255 * 64 still fits.
        scale = np.abs(w).max(1) / 64
        q = np.clip(np.rint(w / scale[:, None]), -64, 64).astype(np.int8).T
        a, z = self.const(step), self.const(zero)
        xi = self.op("QuantizeLinear", x, a, z)
        return self.op("MatMulIntegerToFloat", xi, self.const(q, name), a, self.const(scale), z, "", self.const(bias), domain=MS)

    def shared(self, name, value):
        if not any(t.name == name for t in self.init):
            self.const(np.asarray(value), name)
        return name

    def skip_norm(self, x, y, w, b, eps):
        return self.op("SkipLayerNormalization", x, y, self.const(w), self.const(b), domain=MS, epsilon=eps)


class Encoder:
    """Writes the layers of student.Encoder, and of cross.Cross where the weights have a classifier."""

    def __init__(self, kind, state, config, ranges=None):
        self.g, self.c = Graph(kind, ranges), config
        self.w = {k: v.detach().float().numpy() for k, v in state.items()}

    def norm(self, x, y, name):
        return self.g.skip_norm(x, y, self.w[name + ".weight"], self.w[name + ".bias"], self.c["layer_norm_eps"])

    def linear(self, x, *names):
        return self.g.linear(x, np.concatenate([self.w[n + ".weight"] for n in names]), np.concatenate([self.w[n + ".bias"] for n in names]), names[0])

    def embeddings(self):
        g, w = self.g, self.w
        table = w["embeddings.word_embeddings.weight"]
        scale = np.maximum(np.abs(table).max(1, keepdims=True) / 127, 1e-12).astype(np.float32)
        rows = g.op("Gather", g.const(np.rint(table / scale).astype(np.int8), "word_embeddings"), "input_ids")
        word = g.op("Mul", g.op("Cast", rows, to=TensorProto.FLOAT), g.op("Gather", g.const(scale, "word_scales"), "input_ids"))
        # Positions count from the padding id + 1 over real tokens; padding itself gets the padding id.
        count = g.op("CumSum", "attention_mask", g.const(np.array(1, np.int64)))
        place = g.op("Add", g.op("Mul", count, "attention_mask"), g.const(np.array(self.c["pad_token_id"], np.int64)))
        position = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
        position = g.op("Gather", g.const(position.astype(np.float32), "position_embeddings"), place)
        return self.norm(word, position, "embeddings.LayerNorm")

    def layer(self, i, x, mask, bias="", first=False, out=None):
        """Layer i on x. With first, only the first token asks and is carried on, as (batch, 1, width)."""
        g, p = self.g, f"encoder.layer.{i}."
        s = p + "attention.self."
        if first:
            k, v = g.op("Split", self.linear(x, s + "key", s + "value"), outputs=2, axis=-1, num_outputs=2)
            x = g.op("Gather", x, g.const(np.array([0], np.int64)), axis=1)
            q = self.linear(x, s + "query")
        else:
            q, k, v = g.op("Split", self.linear(x, s + "query", s + "key", s + "value"), outputs=3, axis=-1, num_outputs=3)
        inputs = [q, k, v, "", mask, bias] if bias else [q, k, v, "", mask]
        a = g.op("MultiHeadAttention", *inputs, domain=MS, num_heads=self.c["num_attention_heads"])
        x = self.norm(x, self.linear(a, p + "attention.output.dense"), p + "attention.output.LayerNorm")
        h = g.op("Gelu", self.linear(x, p + "intermediate.dense"), domain=MS)
        x = self.norm(x, self.linear(h, p + "output.dense"), p + "output.LayerNorm")
        if out:
            g.nodes[-1].output[0] = x = out
        return x

    def sentence(self):
        mask = self.g.op("Cast", "attention_mask", to=TensorProto.INT32)
        x = self.embeddings()
        last = self.c["num_hidden_layers"] - 1
        for i in range(last + 1):
            x = self.layer(i, x, mask, out="last_hidden_state" if i == last else None)

    def pair(self):
        """cross.Cross.score, operation by operation."""
        g, w = self.g, self.w
        f = lambda v: g.const(np.array(v, np.float32))
        ints = lambda *v: g.const(np.array(v, np.int64))
        wide = lambda x, axis: g.op("Unsqueeze", x, ints(axis))
        real = lambda x: g.op("Cast", x, to=TensorProto.FLOAT)
        total = lambda x, keep=0: g.op("ReduceSum", x, ints(1), keepdims=keep)
        peak = lambda x: g.op("ReduceMax", x, ints(2), keepdims=0)
        mask = real("attention_mask")
        ends = g.op("Cast", g.op("Equal", "input_ids", g.const(np.array(2, np.int64))), to=TensorProto.INT64)
        passage = real(g.op("Greater", g.op("Sub", g.op("CumSum", ends, g.const(np.array(1, np.int64))), ends), g.const(np.array(0, np.int64))))
        other = g.op("Sub", f(1), passage)
        word = g.op("Mul", mask, real(g.op("Greater", "input_ids", g.const(np.array(4, np.int64)))))
        query, found = g.op("Mul", word, other), g.op("Mul", word, passage)
        pairs = lambda one, two: g.op("Mul", wide(one, 2), wide(two, 1))
        across = g.op("Add", pairs(query, found), pairs(found, query))
        alike = real(g.op("Equal", wide("input_ids", 2), wide("input_ids", 1)))
        both = peak(g.op("Mul", alike, across))
        x = self.embeddings()
        apart = real(g.op("Not", g.op("Equal", wide(passage, 2), wide(passage, 1))))
        bias = wide(g.op("Mul", apart, f(-10000)), 1)
        keys = g.op("Cast", "attention_mask", to=TensorProto.INT32)
        last = self.c["num_hidden_layers"] - 1
        for i in range(last):
            x = self.layer(i, x, keys, bias)
        length = lambda v: g.op("Max", g.op("Sqrt", g.op("ReduceSum", g.op("Mul", v, v), ints(-1), keepdims=1)), f(1e-12))
        unit = lambda v: g.op("Div", v, length(v))

        def mean(side):
            s = g.op("Mul", mask, side)
            return unit(g.op("Div", total(g.op("Mul", x, wide(s, 2))), g.op("Add", total(s, 1), f(1e-6))))

        cosine = total(g.op("Mul", mean(other), mean(passage)), 1)
        ux = unit(x)
        best = peak(g.op("Mul", g.op("MatMul", ux, g.op("Transpose", ux, perm=[0, 2, 1])), across))
        loud = g.op("Squeeze", g.op("Add", g.op("MatMul", x, g.const(w["say.weight"].T)), g.const(w["say.bias"])), ints(2))
        say = g.op("Mul", query, g.op("Add", g.op("Sigmoid", loud), f(1e-6)))
        share = g.op("Div", say, g.op("Add", total(say, 1), f(1e-6)))
        parts = [cosine, total(g.op("Mul", share, best), 1), total(g.op("Mul", share, both), 1)]
        common = g.op("MatMul", g.op("Concat", *parts, axis=1), g.const(w["mix"][:3, None]))
        told = g.op("Add", g.op("Mul", wide(both, 2), g.const(w["match"])), g.op("Mul", wide(best, 2), g.const(w["close"])))
        first = g.op("Squeeze", self.layer(last, g.op("Add", x, told), keys, first=True), ints(1))
        h = g.op("Gemm", first, g.const(w["classifier.dense.weight"]), g.const(w["classifier.dense.bias"]), transB=1)
        head = g.op("Gemm", g.op("Tanh", h), g.const(w["classifier.out_proj.weight"]), g.const(w["classifier.out_proj.bias"] + w["mix"][3]), transB=1)
        g.op("Add", head, common, out="logits")


def build(state, config, kind, ranges=None):
    return finished(Encoder(kind, state, config, ranges))


def finished(e):
    config = e.c
    ints = lambda n: helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "tokens"])
    if "classifier.dense.weight" in e.w:
        e.pair()
        out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
    else:
        e.sentence()
        out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "tokens", config["hidden_size"]])
    graph = helper.make_graph(e.g.nodes, "robin-starter", [ints("input_ids"), ints("attention_mask")], [out], e.g.init)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid(MS, 1)],
                              ir_version=9, producer_name="robin training/graph.py")
    onnx.checker.check_model(model)
    return model


def calibrate(state, config, batches, session):
    """Least and greatest activation that each matrix multiplies over batches of (ids, mask), padding left out."""
    e = Encoder("f32", state, config)
    model = finished(e)
    model.graph.output.extend(helper.make_tensor_value_info(x, TensorProto.FLOAT, None) for x in dict.fromkeys(e.g.fed.values()))
    sess, ranges = session(model.SerializeToString()), {}
    for ids, mask in batches:
        names = list(e.g.fed)
        got = sess.run([e.g.fed[n] for n in names], {"input_ids": ids, "attention_mask": mask})
        for n, x in zip(names, got):
            x = x[mask.astype(bool)] if x.shape[1] == mask.shape[1] else x
            low, high = ranges.get(n, (0.0, 0.0))
            ranges[n] = min(low, float(x.min())), max(high, float(x.max()))
    return {n: (low * MARGIN, high * MARGIN) for n, (low, high) in ranges.items()}
