"""Texts from the two free sources that are not ours: WordNet 3.0 and Debian's package descriptions.

Writes work/text/wordnet.txt, debian.txt (one text a line) and work/pairs/wordnet.tsv, debian.tsv
(two texts that mean the same thing, told briefly and told at length).
"""
import re
import subprocess
import sys
from pathlib import Path

from judged import Judged

WORK = Path(__file__).parent / "work"
# Lexicographer files whose nouns a shop could sell, or that describe such things.
PRODUCT_NOUNS = {4, 5, 6, 7, 8, 9, 10, 13, 17, 19, 20, 21, 25, 26, 27}
SHORT = 4


def synsets(folder):
    """(file number, part of speech, lemmas, definition, examples, is a named instance) of each synset."""
    for pos in ("noun", "verb", "adj", "adv"):
        for line in open(folder / f"data.{pos}", encoding="latin-1"):
            if line.startswith("  "):
                continue
            head, _, gloss = line.partition("|")
            f = head.split()
            count = int(f[3], 16)
            lemmas = [re.sub(r"\(.*\)", "", f[4 + 2 * i]).replace("_", " ") for i in range(count)]
            examples = re.findall(r'"([^"]+)"', gloss)
            definition = gloss.split('"')[0].strip().rstrip(";: ")
            yield int(f[1]), pos, lemmas, definition, examples, "@i" in f


def wordnet(folder):
    texts, pairs, seen = [], [], set()

    def add(t):
        t = t.strip()
        if len(t) >= SHORT and t.lower() not in seen:
            seen.add(t.lower())
            texts.append(t)

    for n, (lex, pos, lemmas, definition, examples, instance) in enumerate(synsets(folder)):
        if instance and n % 8:
            continue
        wanted = pos != "noun" or lex in PRODUCT_NOUNS
        if wanted or n % 3 == 0:
            for w in lemmas[:3]:
                add(w)
        if wanted and (pos == "noun" or n % 2 == 0) or n % 4 == 0:
            add(definition if n % 2 else f"{lemmas[0]}: {definition}")
        for e in examples:
            add(e)
        if pos == "noun" and lex in {5, 6, 8, 13, 20, 27} and not instance:
            pairs.append((", ".join(lemmas[:2]), definition))
    return texts, pairs


def translations(folder):
    """Blocks of Debian's Translation-en lists; apt-helper unpacks whatever they are packed with."""
    files = sorted(folder.glob("*Translation-en*"))
    raw = subprocess.run(["/usr/lib/apt/apt-helper", "cat-file", *map(str, files)], check=True, capture_output=True)
    return raw.stdout.decode("utf-8", "replace").split("\n\n")


def debian(folder):
    texts, pairs, seen = [], [], set()
    for n, block in enumerate(translations(folder)):
        m = re.search(r"^Description-en: (.*)\n((?: .*\n?)*)", block, re.M)
        if not m:
            continue
        short = m.group(1).strip()
        short = re.sub(r" [-(\[]+.*$", "", short)
        paragraphs = [" ".join(p.split()) for p in re.split(r"^ \.\s*$", m.group(2), flags=re.M)]
        paragraphs = [p for p in paragraphs if len(p) > 40 and not p.startswith("This package")]
        if len(short) < 12 or short.lower() in seen or re.search(r"locali[sz]ation|language pack|dictionary for|debug", short):
            continue
        seen.add(short.lower())
        texts.append(short)
        if not paragraphs:
            continue
        body = paragraphs[0]
        if body.lower() in seen:
            continue
        seen.add(body.lower())
        pairs.append((short, body[:400]))
        if n % 2:
            texts.append(body[:300])
        if n % 16 == 0:
            texts.append(" ".join(paragraphs)[:1400])
    return texts, pairs


def write(name, texts, pairs):
    (WORK / "text").mkdir(parents=True, exist_ok=True)
    (WORK / "pairs").mkdir(parents=True, exist_ok=True)
    clean = lambda t: " ".join(t.split())
    judged = Judged()
    texts = [t for t in texts if not judged.copies(t)]
    pairs = [p for p in pairs if not any(map(judged.copies, p))]
    (WORK / "text" / f"{name}.txt").write_text("".join(clean(t) + "\n" for t in texts), encoding="utf-8")
    (WORK / "pairs" / f"{name}.tsv").write_text(
        "".join(clean(a) + "\t" + clean(b) + "\n" for a, b in pairs), encoding="utf-8")
    print(f"{name}: {len(texts)} texts, {len(pairs)} pairs", file=sys.stderr)


if __name__ == "__main__":
    write("wordnet", *wordnet(WORK / "wn/usr/share/wordnet"))
    write("debian", *debian(WORK / "apt"))
