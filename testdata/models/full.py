"""Writes a model folder of full size, without torch: for speed, and for comparing numbers with Python.

    pip install onnx numpy tokenizers
    python full.py random VOCABULARY FOLDER     DistilRoBERTa's shape, random weights; VOCABULARY holds vocab.json, merges.txt
    python full.py convert SOURCE FOLDER        a BERT or RoBERTa folder with model.safetensors, weights in float32

The graph is written operator by operator, as exporters do, so that ONNX Runtime has to find by itself what it can fuse.
"""
import json
import pathlib
import shutil
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DISTIL = {
    "architectures": ["RobertaModel"], "model_type": "roberta", "vocab_size": 50265, "hidden_size": 768, "num_hidden_layers": 6,
    "num_attention_heads": 12, "intermediate_size": 3072, "max_position_embeddings": 514, "type_vocab_size": 1, "layer_norm_eps": 1e-5,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "hidden_act": "gelu",
}


def random_weights(c):
    rng = np.random.default_rng(1)
    h, inner = c["hidden_size"], c["intermediate_size"]
    normal = lambda *shape: rng.normal(0, 0.04, shape).astype(np.float32)
    w = {"embeddings.word_embeddings.weight": normal(c["vocab_size"], h),
         "embeddings.position_embeddings.weight": normal(c["max_position_embeddings"], h),
         "embeddings.token_type_embeddings.weight": normal(c["type_vocab_size"], h)}
    norms = ["embeddings.LayerNorm"]
    for i in range(c["num_hidden_layers"]):
        p = f"encoder.layer.{i}."
        for name, rows, columns in [("attention.self.query", h, h), ("attention.self.key", h, h), ("attention.self.value", h, h),
                                    ("attention.output.dense", h, h), ("intermediate.dense", inner, h), ("output.dense", h, inner)]:
            w[p + name + ".weight"], w[p + name + ".bias"] = normal(rows, columns), normal(rows)
        norms += [p + "attention.output.LayerNorm", p + "output.LayerNorm"]
    for n in norms:
        w[n + ".weight"], w[n + ".bias"] = 1 + normal(h), normal(h)
    return w


def read_safetensors(path):
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    head, body = json.loads(raw[8:8 + size]), raw[8 + size:]
    kinds = {"F32": np.float32, "F16": np.float16, "I64": np.int64}
    w = {}
    for name, t in head.items():
        if name == "__metadata__":
            continue
        a, b = t["data_offsets"]
        name = name.removeprefix("roberta.").removeprefix("bert.")
        w[name] = np.frombuffer(body[a:b], kinds[t["dtype"]]).reshape(t["shape"])
        if t["dtype"] != "I64":
            w[name] = w[name].astype(np.float32)
    return w


class Graph:
    def __init__(self, c, w):
        self.c, self.w, self.nodes, self.init, self.n = c, w, [], {}, 0

    def const(self, value, name=None):
        name = name or f"c{len(self.init)}"
        self.init[name] = numpy_helper.from_array(np.ascontiguousarray(value) if np.ndim(value) else np.asarray(value), name)
        return name

    def op(self, kind, *inputs, out=None, **attrs):
        self.n += 1
        out = out or f"{kind.lower()}_{self.n}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], name=out, **attrs))
        return out

    def f(self, value):
        return self.const(np.float32(value))

    def ints(self, *values):
        return self.const(np.array(values, np.int64))

    def linear(self, x, name):
        y = self.op("MatMul", x, self.const(self.w[name + ".weight"].T, name + ".weight"))
        return self.op("Add", self.const(self.w[name + ".bias"], name + ".bias"), y)

    def norm(self, x, name, out=None):
        return self.op("LayerNormalization", x, self.const(self.w[name + ".weight"], name + ".weight"),
                       self.const(self.w[name + ".bias"], name + ".bias"), axis=-1, epsilon=self.c["layer_norm_eps"], out=out)

    def embeddings(self):
        table = lambda n: self.const(self.w[f"embeddings.{n}.weight"], f"embeddings.{n}.weight")
        word = self.op("Gather", table("word_embeddings"), "input_ids")
        one = self.const(np.int64(1))
        if self.c["model_type"] == "bert":
            kind = self.op("Gather", table("token_type_embeddings"), "token_type_ids")
            place = self.op("Sub", self.op("CumSum", self.op("Add", self.op("Mul", "attention_mask", self.const(np.int64(0))), one), one), one)
        else:
            zero = self.op("Mul", "input_ids", self.const(np.int64(0)))
            kind = self.op("Gather", table("token_type_embeddings"), zero)
            pad = self.const(np.int64(self.c["pad_token_id"]))
            real = self.op("Cast", self.op("Not", self.op("Equal", "input_ids", pad)), to=TensorProto.INT64)
            place = self.op("Add", self.op("Mul", self.op("CumSum", real, one), real), pad)
        x = self.op("Add", self.op("Add", word, kind), self.op("Gather", table("position_embeddings"), place))
        return self.norm(x, "embeddings.LayerNorm")

    def heads(self, x, last):
        size = self.c["hidden_size"] // self.c["num_attention_heads"]
        x = self.op("Reshape", x, self.ints(0, 0, self.c["num_attention_heads"], size))
        return self.op("Transpose", x, perm=last)

    def layer(self, i, x, mask, out=None):
        p, size = f"encoder.layer.{i}.", self.c["hidden_size"] // self.c["num_attention_heads"]
        q = self.heads(self.linear(x, p + "attention.self.query"), [0, 2, 1, 3])
        k = self.heads(self.linear(x, p + "attention.self.key"), [0, 2, 3, 1])
        v = self.heads(self.linear(x, p + "attention.self.value"), [0, 2, 1, 3])
        s = self.op("Add", self.op("Div", self.op("MatMul", q, k), self.f(size ** 0.5)), mask)
        a = self.op("Transpose", self.op("MatMul", self.op("Softmax", s, axis=-1), v), perm=[0, 2, 1, 3])
        a = self.op("Reshape", a, self.ints(0, 0, self.c["hidden_size"]))
        x = self.norm(self.op("Add", self.linear(a, p + "attention.output.dense"), x), p + "attention.output.LayerNorm")
        h = self.linear(x, p + "intermediate.dense")
        erf = self.op("Add", self.op("Erf", self.op("Div", h, self.f(2 ** 0.5))), self.f(1))
        h = self.op("Mul", self.op("Mul", h, erf), self.f(0.5))
        return self.norm(self.op("Add", self.linear(h, p + "output.dense"), x), p + "output.LayerNorm", out=out)

    def model(self):
        mask = self.op("Cast", self.op("Unsqueeze", "attention_mask", self.ints(1, 2)), to=TensorProto.FLOAT)
        mask = self.op("Mul", self.op("Sub", self.f(1), mask), self.f(np.finfo(np.float32).min))
        x, last = self.embeddings(), self.c["num_hidden_layers"] - 1
        for i in range(last + 1):
            x = self.layer(i, x, mask, out="last_hidden_state" if i == last else None)
        names = ["input_ids", "attention_mask"] + (["token_type_ids"] if self.c["model_type"] == "bert" else [])
        graph = helper.make_graph(
            self.nodes, "encoder", [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in names],
            [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["batch", "length", self.c["hidden_size"]])], list(self.init.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, producer_name="full.py")


def roberta_tokenizer(vocabulary):
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors
    t = Tokenizer(models.BPE.from_file(str(vocabulary / "vocab.json"), str(vocabulary / "merges.txt")))
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    t.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)])
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return t


def write(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def main():
    how, source, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    if how == "random":
        config, weights = DISTIL, random_weights(DISTIL)
        roberta_tokenizer(source).save(str(folder / "tokenizer.json"), pretty=False)
        write(folder / "config.json", config)
        kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        write(folder / "modules.json", [{"idx": i, "name": str(i), "path": p, "type": "sentence_transformers.models." + k}
                                        for i, (p, k) in enumerate(kinds)])
        (folder / "1_Pooling").mkdir(exist_ok=True)
        write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True})
        write(folder / "sentence_bert_config.json", {"max_seq_length": 512, "do_lower_case": False})
    else:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", "*.bin"))
        config, weights = json.loads((source / "config.json").read_text()), read_safetensors(source / "model.safetensors")
    onnx.save(Graph(config, weights).model(), str(folder / "model.onnx"))
    print(f"{folder}: {(folder / 'model.onnx').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
