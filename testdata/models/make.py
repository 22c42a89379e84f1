"""Makes the tiny model folders beside it, with random weights, and reference.json with what Python answers for them.

    pip install -r requirements.txt && python make.py

tiny-roberta    bi-encoder, RoBERTa as transformers implements it, byte-level BPE, mean pooling, prefixes
tiny-bert       bi-encoder, BERT (token types), WordPiece, CLS pooling, files as sentence-transformers writes them
tiny-cross      cross-encoder, RoBERTa with one label
tiny-lookup     no network: each token's row of a table, one row NaN, one zero, and too few rows for the last token
tiny-half       no network: a table in float16, where the row of "far" is beyond its numbers and a batch with a row that is not finite
                is so as a whole; model_float32.onnx has the numbers
tiny-halfcross  the same as a cross-encoder: the sum of the tokens' numbers
"""
import json
import pathlib

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, RobertaConfig, RobertaForSequenceClassification, RobertaModel

HERE = pathlib.Path(__file__).parent
DIM, MAX = 32, 48

WORDS = """a the of and for with in on to is are it this that insulated travel mug keeps coffee hot cold drinks tea train bottle steel
glass cup lid leak proof office desk lamp light led chair wood metal leather phone case screen charger cable usb battery pack
running shoes women men children kids water resistant jacket hiking boots backpack camera lens tripod bag wireless mouse keyboard
monitor speaker headphones noise cancelling kitchen knife pan pot set non stick garden hose 10 20 100 inch black white red blue"""

TEXTS = [
    "insulated travel mug", "keeps coffee hot on the train", "", " ", "a", "Leather phone case, black (5.8 inch)!",
    "Wireless noise-cancelling headphones with 20 hours battery and USB cable, for the train and the office",
    "naïve café Ελλάδα 日本語 😀 \t\n tabs", "don't we'll it's 3.5mm", "<s> <mask> </s>", "steel " * 60, "unbelievableword" * 8,
]
PAIRS = [("hot coffee", "insulated travel mug keeps coffee hot"), ("hot coffee", "garden hose 100 inch"), ("", "lamp"), ("led lamp", ""),
         ("desk " * 40, "office lamp with light " * 20), ("é日", "😀")]


def roberta_tokenizer():
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    t.train_from_iterator(WORDS.split("\n") * 20, trainers.BpeTrainer(
        vocab_size=600, special_tokens=special + [AddedToken("<mask>", lstrip=True, special=True)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    t.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    return t


def bert_tokenizer():
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + sorted(set(WORDS.split()))
    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,!?()-'/αβγδελσς"
    vocab += [c for c in letters if c not in vocab] + ["##" + c for c in letters] + ["##s", "##ing", "##er", "日", "本", "é"]
    t = Tokenizer(models.WordPiece({w: i for i, w in enumerate(dict.fromkeys(vocab))}, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    t.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", [("[CLS]", 2), ("[SEP]", 3)])
    return t


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def spread(model):
    """Random weights as initialised are so small that all vectors look alike."""
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.normal_(0, 0.3)
    return model.eval()


def export(model, folder, inputs, output):
    folder.mkdir(parents=True, exist_ok=True)
    ids = torch.randint(5, 50, (2, 7))
    feed = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}

    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, *args):
            return getattr(self.model(**dict(zip(inputs, args))), output)

    axes = {name: {0: "batch", 1: "length"} for name in inputs}
    axes[output] = {0: "batch"} if output == "logits" else {0: "batch", 1: "length"}
    torch.onnx.export(Wrapped(), tuple(feed[n] for n in inputs), str(folder / "model.onnx"), input_names=inputs,
                      output_names=[output], dynamic_axes=axes, opset_version=17, dynamo=False)


def encodings(tok, rows):
    tok.enable_truncation(MAX)
    return [tok.encode(*r) if isinstance(r, tuple) else tok.encode(r) for r in rows]


def run(folder, encs, pad):
    sess = ort.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    names = [i.name for i in sess.get_inputs()]
    for e in encs:
        feed = {"input_ids": e.ids, "attention_mask": [1] * len(e.ids), "token_type_ids": e.type_ids}
        yield sess.run(None, {n: np.array([feed[n]], np.int64) for n in names})[0]


def rounded(v):
    return [round(float(x), 7) for x in v]


def references(folder, tok, pooling, prefix=""):
    encs = encodings(tok, [prefix + t for t in TEXTS])
    out = []
    for text, e, h in zip(TEXTS, encs, run(folder, encs, 0)):
        v = h[0].mean(0) if pooling == "mean" else h[0][0]
        out.append({"text": text, "ids": e.ids, "vector": rounded(v / np.linalg.norm(v))})
    return out


def half(vocab):
    """The two folders whose float16 numbers overflow. Zero times the sum of all rows is NaN where one is infinite."""
    vocab = vocab + ["far"]
    tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rng = np.random.default_rng(2)
    for name, width, kind in [("tiny-half", 8, "BertModel"), ("tiny-halfcross", 1, "BertForSequenceClassification")]:
        table = rng.normal(size=(len(vocab), width)).astype(np.float32)
        table[vocab.index("far")] = 70000 + 1000 * np.arange(width)
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        tok.save(str(folder / "tokenizer.json"), pretty=False)
        for file, dtype in [("model.onnx", np.float16), ("model_float32.onnx", np.float32)]:
            n = [helper.make_node("Gather", ["table", "input_ids"], ["stored"]), helper.make_node("Cast", ["stored"], ["all"], to=TensorProto.FLOAT),
                 helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT), helper.make_node("Unsqueeze", ["m", "last"], ["mask"]),
                 helper.make_node("Mul", ["all", "mask"], ["rows"]), helper.make_node("ReduceSum", ["rows"], ["sum"], keepdims=1),
                 helper.make_node("Mul", ["sum", "zero"], ["poison"])]
            if width > 1:
                n += [helper.make_node("Add", ["rows", "poison"], ["last_hidden_state"])]
                out = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", width])
            else:
                n += [helper.make_node("ReduceSum", ["rows", "one"], ["each"], keepdims=0), helper.make_node("Add", ["each", "line"], ["logits"])]
                n[-1:-1] = [helper.make_node("Squeeze", ["poison", "one"], ["line"])]
                out = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])
            with np.errstate(over="ignore"):
                stored = numpy_helper.from_array(table.astype(dtype), "table")
            graph = helper.make_graph(
                n, "half", [helper.make_tensor_value_info(i, TensorProto.INT64, ["batch", "length"]) for i in ("input_ids", "attention_mask")], [out],
                [stored, numpy_helper.from_array(np.array([2], np.int64), "last"), numpy_helper.from_array(np.array([1], np.int64), "one"),
                 numpy_helper.from_array(np.float32(0), "zero")])
            onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / file)
        write(folder / "config.json", {"model_type": "bert", "architectures": [kind], "hidden_size": 8, "vocab_size": len(vocab), "num_labels": 1,
                                       "max_position_embeddings": 64, "pad_token_id": 0})


def main():
    reference = {}
    roberta = RobertaConfig(vocab_size=600, hidden_size=DIM, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                            max_position_embeddings=MAX + 2, type_vocab_size=1, pad_token_id=1)

    folder, tok = HERE / "tiny-roberta", roberta_tokenizer()
    export(spread(RobertaModel(roberta, add_pooling_layer=False)), folder, ["input_ids", "attention_mask"], "last_hidden_state")
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    write(folder / "config.json", {**roberta.to_dict(), "architectures": ["RobertaModel"], "vocab_size": tok.get_vocab_size()})
    write(folder / "config_sentence_transformers.json", {"prompts": {"query": "query: ", "passage": "passage: "}})
    reference["tiny-roberta"] = {"passages": references(folder, tok, "mean", "passage: "), "queries": references(folder, tok, "mean", "query: ")}

    folder, tok = HERE / "tiny-bert", bert_tokenizer()
    bert = BertConfig(vocab_size=tok.get_vocab_size(), hidden_size=DIM, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
                      max_position_embeddings=64)
    export(spread(BertModel(bert, add_pooling_layer=False)), folder, ["input_ids", "attention_mask", "token_type_ids"], "last_hidden_state")
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    write(folder / "config.json", {**bert.to_dict(), "architectures": ["BertModel"]})
    write(folder / "modules.json", [{"idx": i, "name": str(i), "path": p, "type": "sentence_transformers.models." + t}
                                    for i, (p, t) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")])])
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": DIM, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False})
    write(folder / "sentence_bert_config.json", {"max_seq_length": MAX, "do_lower_case": False})
    reference["tiny-bert"] = {"passages": references(folder, tok, "cls"), "queries": references(folder, tok, "cls")}

    folder, tok = HERE / "tiny-cross", roberta_tokenizer()
    roberta.num_labels = 1
    export(spread(RobertaForSequenceClassification(roberta)), folder, ["input_ids", "attention_mask"], "logits")
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    write(folder / "config.json", {**roberta.to_dict(), "architectures": ["RobertaForSequenceClassification"], "vocab_size": tok.get_vocab_size()})
    encs = encodings(tok, PAIRS)
    reference["tiny-cross"] = {"pairs": [{"query": q, "passage": p, "ids": e.ids, "logit": float(h[0][0])}
                                         for (q, p), e, h in zip(PAIRS, encs, run(folder, encs, 1))]}

    # Words are tokens: "nan" has a row of NaN, "zero" a row of zeros, "absent" no row at all.
    folder = HERE / "tiny-lookup"
    folder.mkdir(exist_ok=True)
    vocab = ["[PAD]", "[UNK]"] + sorted(set(WORDS.split())) + ["nan", "zero", "absent"]
    tok = Tokenizer(models.WordPiece({w: i for i, w in enumerate(vocab)}, unk_token="[UNK]"))
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    table = np.random.default_rng(1).normal(size=(len(vocab) - 1, 8)).astype(np.float32)
    table[vocab.index("nan")], table[vocab.index("zero")] = np.nan, 0
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["rows"]), helper.make_node("Cast", ["attention_mask"], ["m"], to=TensorProto.FLOAT),
         helper.make_node("Unsqueeze", ["m", "last"], ["mask"]), helper.make_node("Greater", ["mask", "half"], ["on"]),
         helper.make_node("Where", ["on", "rows", "nothing"], ["last_hidden_state"])],
        "lookup", [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", "length"]) for n in ("input_ids", "attention_mask")],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "length", 8])],
        [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array([2], np.int64), "last"),
         numpy_helper.from_array(np.float32(0.5), "half"), numpy_helper.from_array(np.float32(0), "nothing")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "model.onnx")
    write(folder / "config.json", {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 8, "vocab_size": len(vocab),
                                   "max_position_embeddings": 64, "pad_token_id": 0})

    half(vocab)

    rows = json.dumps(reference, ensure_ascii=False, separators=(",", ":")).replace('{"text"', '\n{"text"').replace('{"query"', '\n{"query"')
    (HERE / "reference.json").write_text(rows + "\n")


if __name__ == "__main__":
    main()
