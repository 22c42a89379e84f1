"""Reads the vocabulary: the kinds of product with their names, values and sentences, and the queries asked about them."""
import os
import re

VOCABULARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "vocabulary")


class Type:
    """One kind of product: its names, the values that vary, and sentences, each worded in two ways."""

    def __init__(self, key, category, fields):
        self.key, self.category = key, category
        self.names = split(fields[0], ";")
        lo, hi = fields[1].split("-")
        self.lo, self.hi = float(lo), float(hi)
        named = {k: split(v, ",") for k, v in (f.split("=", 1) for f in fields[2:])}
        # "1,000 A" is one size: the comma between digits does not separate.
        self.sizes, self.materials, self.palette = rejoin(named["s"]), named["m"], named["c"][0]
        self.leads, self.facts = [], []

    def nouns(self, p):
        """The names that fit product p: "floor pump[track]" wants "track" in its size or material, and no name speaks of
        another material than p's ("cashmere shawl" of silk is a "shawl")."""
        made, fitting = (p["size"] + " " + p["material"]).lower(), []
        for name in self.names:
            name, _, only = name.rstrip("]").partition("[")
            if only and not any(word.lower() in made for word in only.split("/")):
                continue
            words = [w for w in name.split() if not (SUBSTANCE.fullmatch(w.lower()) and w.lower().replace("wooden", "wood") not in made)]
            name = " ".join(words)
            if name and name not in fitting:
                fitting.append(name)
        return fitting


SUBSTANCE = re.compile("wool|merino|cashmere|silk|felt|sheepskin|leather|canvas|raffia|straw|silver|pearl|down|velvet|linen|cotton|alpaca|glass|"
                       "crystal|porcelain|stoneware|steel|cast-iron|bamboo|jute|seagrass|foam|memory|soy|teak|cork|acetate|coir|goose-down|"
                       "modal|flannel|fleece|jersey")


def split(text, sep):
    return [part.strip() for part in text.split(sep)]


def rejoin(parts):
    """Puts back together the numbers that a split at commas broke."""
    out = []
    for part in parts:
        if out and re.fullmatch(r"\d{1,3}", out[-1]) and re.match(r"\d{3}\b", part):
            out[-1] += "," + part
        else:
            out.append(part)
    return out


def lines(name):
    with open(os.path.join(VOCABULARY, name), encoding="utf-8") as f:
        return [line.rstrip("\n") for line in f if line.strip() and not line.startswith("// ")]


def listing(name):
    return {k: split(v, ",") for k, v in (line.split(":", 1) for line in lines(name))}


def read_vocabulary():
    types, asked, category = {}, [], None
    for name in sorted(n for n in os.listdir(VOCABULARY) if n[0].isdigit()):
        for number, line in enumerate(lines(name), 1):
            mark, rest = line[0], line[1:].strip()
            if line.startswith("## "):
                category = split(line[3:], "|")
            elif mark == "@":
                key, *fields = split(rest, "|")
                if key in types:
                    raise SystemExit(f"{name}:{number}: type {key} is there twice")
                here = types[key] = Type(key, category, fields)
            elif mark in "L-":
                pair = split(rest, " ~ ")
                if len(pair) != 2:
                    raise SystemExit(f"{name}:{number}: want two wordings: {line}")
                (here.leads if mark == "L" else here.facts).append(pair)
            elif mark in "?NK":
                kind = {"?": "paraphrase", "N": "natural", "K": "keyword"}[mark]
                named = re.match(r"\[(\w+)\] (.*)", rest)
                asked.append((kind, named[1], named[2]) if named else (kind, here.key, rest))
            else:
                raise SystemExit(f"{name}:{number}: cannot read: {line}")
    return types, asked
