"""Trains the tokenizer both starter models share: byte-level BPE as RoBERTa's, lower-cased, 16,000 entries."""
import json
import random
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

WORK = Path(__file__).parent / "work"
SIZE = 16000
MAX_TOKENS = 256
SPECIALS = ["<s>", "<pad>", "</s>", "<unk>"]
# How often each source is read. Shop texts weigh most: they are what the vocabulary is for.
REPEAT = {"products": 3, "queries": 3, "wordnet": 1, "debian": 1}


def lines():
    rng = random.Random(7)
    for path in sorted((WORK / "text").glob("*.txt")):
        texts = path.read_text(encoding="utf-8").splitlines()
        if path.stem == "debian":  # software names are not shop words
            texts = rng.sample(texts, len(texts) // 3)
        for _ in range(REPEAT.get(path.stem, 1)):
            yield from texts


def build():
    tok = Tokenizer(models.BPE(unk_token="<unk>"))
    tok.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.Lowercase()])
    # A leading space is added so that a word has one id wherever it stands, first in a query or inside a title.
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE - 1, special_tokens=SPECIALS, min_frequency=2, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(lines(), trainer)
    tok.add_special_tokens(["<mask>"])
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=True)
    return tok


def main():
    tok = build()
    out = WORK / "tokenizer.json"
    tok.save(str(out))
    d = json.loads(out.read_text(encoding="utf-8"))
    # As RoBERTa has it: <mask> swallows the space before it.
    for a in d["added_tokens"]:
        a["lstrip"] = a["content"] == "<mask>"
    d["truncation"] = None
    d["padding"] = None
    out.write_text(json.dumps(d, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    tok = Tokenizer.from_file(str(out))
    print("vocabulary", tok.get_vocab_size(), file=sys.stderr)
    for s in ("Insulated stainless-steel travel mug, 16 oz", "wireless headphones", "USB-C hub 7-in-1 (100W)"):
        print(tok.encode(s).tokens, file=sys.stderr)


if __name__ == "__main__":
    main()
