"""Writes ids that Hugging Face's tokenizers gives, for the Go tests and for comparisons of any size.

    pip install tokenizers==0.23.3
    python golden.py                                    the files beside this script
    python golden.py tokenizer.json texts.txt ids.jsonl  for TestIDsMatchAnotherTokenizersOutput, a text per line
"""
import json
import pathlib
import random
import sys

from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent.parent
FOLDERS = {"starter": ROOT / "embedder/starter", "tiny-roberta": ROOT / "testdata/models/tiny-roberta",
           "tiny-bert": ROOT / "testdata/models/tiny-bert", "unigram": HERE / "unigram", "unigram-bytes": HERE / "unigram-bytes"}

FIXED = [
    "", " ", "  ", "\n", "\t \n", "a", "Hello, world!", "don't DON'T we'll they've I'm he'd you're 'tis it''s", "USB-C 3.5mm 10,000mAh ½ ² Ⅷ",
    "  leading and   inner  \n\n spaces \r\n\t", "naïve café Ångström İstanbul ΑΣΣΟΣ ß ﬁ", "e\u0301 vs é, \u0301 alone, a" + "\u0301" * 40,
    "日本語のテキスト 한국어 中文字", "العربية हिन्दी ไทย עברית Ελληνικά Русский", "👩‍👩‍👧 🏳️‍🌈 👍🏽 ❤️ 😀😀", "\u200b\u200d\ufeff\u202e\u00a0\u3000\u2028\u0085",
    "\x00\x01\x1f\x7f\x80\x9f\ufffd", "<s> <mask> </s> <pad><unk>", "x<mask>y   <mask>z", "[CLS] [MASK] [SEP] [UNK]", "##ing #tag ## #", "a" * 120,
    "ab" * 300, "=" * 200, "1" * 77, "\U00010d41\u1c89\ua7cb\u061d\u0890\u1734\u1cf2\u32ff", "ſ K Å ẞ ǅ", "https://example.com/a?b=c&d=%20#e", "C++/C# .NET #1 @you $5.00 50% ^_^",
]

PLACED = ["  ÉCLAIR <mask> au   café\n", "é<mask>  日本 <mask>語 [MASK]", "\u00a0<mask>é"]


def texts():
    rng = random.Random(11)
    pieces = [p for t in FIXED for p in t.split(" ") if p] + [" ", "  ", "\n", "'s", "the", "Mug", "blue-ish", "0.75l", "é", "日", "😀"]
    pools = [(0x20, 0x7e), (0xa0, 0x24f), (0x300, 0x36f), (0x370, 0x5ff), (0x900, 0xdff), (0x2000, 0x2bff), (0x3040, 0x30ff),
             (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xfb00, 0xffff), (0x1f300, 0x1faff), (0x10000, 0x11fff), (0, 0x1f)]
    out = list(FIXED)
    for _ in range(150):
        row = ""
        for _ in range(rng.randint(1, 10)):
            row += rng.choice(pieces)[:40] if rng.random() < .6 else chr(rng.randint(*rng.choice(pools)))
        out.append(row)
    for _ in range(20):
        out.append(bytes(rng.randrange(256) for _ in range(rng.randint(1, 60))).decode("utf-8", "replace"))
    return out


def row(tok, text, second=None, limit=0):
    tok.no_truncation()
    tok.no_padding()
    if limit:
        tok.enable_truncation(limit, strategy="longest_first")
    e = tok.encode(text) if second is None else tok.encode(text, second)
    out = {"t": text, "ids": e.ids}
    if second is not None:
        out.update(p=second, types=e.type_ids)
    if limit:
        out["max"] = limit
    return json.dumps(out, ensure_ascii=True, separators=(",", ":"))


def spans(tok, text):
    """The places of the tokens, in characters, for TestTokensAreWhereTheirTextIs."""
    tok.no_truncation()
    tok.no_padding()
    e = tok.encode(text)
    out = {"t": text, "tokens": e.tokens, "special": e.special_tokens_mask, "start": [a for a, _ in e.offsets], "stop": [b for _, b in e.offsets]}
    return json.dumps(out, ensure_ascii=True, separators=(",", ":"))


def main():
    if len(sys.argv) == 4:
        tok = Tokenizer.from_file(sys.argv[1])
        with open(sys.argv[2], encoding="utf-8", newline="\n") as lines, open(sys.argv[3], "w") as out:
            for line in lines:
                print(row(tok, line.rstrip("\n")), file=out)
        return
    all_texts = texts()
    for name, folder in FOLDERS.items():
        tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
        rng = random.Random(5)
        rows = [row(tok, t) for t in all_texts]
        for limit in [4, 5, 8, 13, 32, 64] * 10:
            rows.append(row(tok, rng.choice(all_texts), rng.choice(all_texts), limit))
        (HERE / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
        (HERE / f"{name}-spans.jsonl").write_text("\n".join(spans(tok, t) for t in all_texts + PLACED) + "\n")


if __name__ == "__main__":
    main()
