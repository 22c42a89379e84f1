"""Makes the two Unigram tokenizers that the Go tests read, from the demo catalogue and words of many scripts.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3
    python unigram.py

unigram is as XLM-RoBERTa's is published; unigram-bytes has what newer conversions write, and falls back to bytes.
"""
import base64
import gzip
import io
import json
import pathlib
import random

import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as pb

HERE = pathlib.Path(__file__).parent
CATALOGUE = HERE.parent.parent.parent / "testdata/catalogue/products.jsonl.gz"
SCRIPTS = [(0x61, 0x7a), (0xe0, 0xf6), (0x3b1, 0x3c9), (0x430, 0x44f), (0x5d0, 0x5ea), (0x627, 0x64a), (0x905, 0x939), (0xe01, 0xe2e),
           (0x3042, 0x3093), (0x30a2, 0x30f3), (0x4e00, 0x4e5f), (0xac00, 0xac5f), (0x1f600, 0x1f64f)]


def texts():
    rng = random.Random(3)
    with gzip.open(CATALOGUE, "rt") as lines:
        for line in lines:
            product = json.loads(line)
            yield product["title"]
            yield product["description"]
    for first, last in SCRIPTS:
        words = ["".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 6))) for _ in range(120)]
        for _ in range(200):
            yield " ".join(rng.choice(words) for _ in range(8))


def train(size, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts(), model_writer=model, model_type="unigram", vocab_size=size, character_coverage=0.9995,
        num_threads=1, minloglevel=2, **options)
    m = pb.ModelProto()
    m.ParseFromString(model.getvalue())
    return m


def save(name, m, normalizer, pre_tokenizer):
    pieces = [["<s>", 0.0], ["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0]]
    pieces += [[p.piece, p.score] for p in m.pieces[3:]] + [["<mask>", 0.0]]
    mask = len(pieces) - 1
    special = [(0, "<s>", False), (1, "<pad>", False), (2, "</s>", False), (3, "<unk>", False), (mask, "<mask>", True)]
    template = lambda *parts: [{"SpecialToken": {"id": p, "type_id": 0}} if p[0] == "<" else {"Sequence": {"id": p, "type_id": 0}} for p in parts]
    file = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "special": True, "content": c, "single_word": False, "lstrip": l, "rstrip": False, "normalized": False}
                         for i, c, l in special],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer,
        "post_processor": {
            "type": "TemplateProcessing", "single": template("<s>", "A", "</s>"), "pair": template("<s>", "A", "</s>", "</s>", "B", "</s>"),
            "special_tokens": {t: {"id": t, "ids": [i], "tokens": [t]} for i, t in [(0, "<s>"), (2, "</s>")]},
        },
        "decoder": None,
        "model": {"type": "Unigram", "unk_id": 3, "vocab": pieces, "byte_fallback": m.trainer_spec.byte_fallback},
    }
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n")


def main():
    m = train(4000, normalization_rule_name="nmt_nfkc")
    charsmap = base64.b64encode(m.normalizer_spec.precompiled_charsmap).decode()
    save("unigram", m, {"type": "Precompiled", "precompiled_charsmap": charsmap},
         {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": True}]})
    m = train(1500, normalization_rule_name="identity", byte_fallback=True)
    save("unigram-bytes", m,
         {"type": "Sequence", "normalizers": [{"type": "Strip", "strip_left": False, "strip_right": True},
                                              {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]},
         {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True})


if __name__ == "__main__":
    main()
