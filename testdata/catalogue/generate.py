#!/usr/bin/env python3
"""Writes the demo catalogue, its judged queries and its planted duplicates from the vocabulary beside it.

    python3 generate.py              rewrite the files in this folder
    python3 generate.py --out DIR    write them elsewhere
    python3 generate.py --check      write nothing; exit 1 if a file differs from what the vocabulary gives

Python 3.9 or newer and its standard library are enough. The result depends on the vocabulary and SEED only: of the
random module nothing but random() is used, which Python promises to keep. Gzip files are compared by what they hold.
"""
import argparse
import gzip
import io
import json
import math
import os
import random
import re
import sys

from porter import stem
from words import lines, listing, read_vocabulary, split

SEED = 20261123
BASE, COPIES, VARIANTS = 2700, 300, 320
PER_KIND = 100
HERE = os.path.dirname(os.path.abspath(__file__))
# Departments whose goods are used up or worn: no closing sentence about spare parts or assembly (those begin with *).
SHORT_LIVED = ("food", "beauty", "clothing")


class Dice:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def below(self, n):
        return int(self.r.random() * n)

    def chance(self, p):
        return self.r.random() < p

    def pick(self, items):
        return items[self.below(len(items))]

    def shuffled(self, items):
        items = list(items)
        for i in range(len(items) - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def span(self, lo, hi):
        return lo + (hi - lo) * self.r.random()


# ---- products ------------------------------------------------------------------------------------------------------

def respelled(brand, dice):
    """The same brand as another seller types it."""
    forms = [brand.upper(), brand.replace(" & ", " and ") if "&" in brand else brand + " Co.", brand.replace(" ", "-") if " " in brand else brand.lower()]
    return dice.pick(forms)


_UNITS = [
    (r"(\d+) × (\d+) cm", lambda m: f"{int(m[1]) * 10} × {int(m[2]) * 10} mm"),
    (r"(\d+) × (\d+) mm", None),
    (r"(?<![\d,.–×] )(?<![\d.,–])(\d+) ml\b", lambda m: f"{int(m[1]) / 1000:g} litres"),
    (r"(?<![\d.,–])(\d+(?:\.\d+)?) l\b", lambda m: f"{float(m[1]) * 1000:g} ml" if float(m[1]) < 3 else f"{m[1]} litres"),
    (r"(?<![\d.,–])(\d+(?:\.\d+)?) kg\b", lambda m: f"{float(m[1]) * 1000:g} g" if float(m[1]) < 2 else f"{m[1]} kilos"),
    (r"(?<![\d.,–])(\d+(?:\.\d+)?) cm\b", lambda m: f"{float(m[1]) * 10:g} mm"),
    (r"(?<![\d.,–])(\d+) pieces", lambda m: f"{m[1]} parts"),
    (r"set of (\d+)", lambda m: f"{m[1]}-piece set"),
    (r"pack of (\d+)", lambda m: f"{m[1]}-pack"),
]


def other_unit(size):
    for pattern, change in _UNITS:
        m = re.search(pattern, size)
        if m:
            return size if change is None else size[:m.start()] + change(m) + size[m.end():]
    return size


def capital(text):
    return text[:1].upper() + text[1:]


def fill(sentence, p):
    text = sentence.format(m=p["material"], s=p["size"], b=p["brand"], c=p.get("colour", ""))
    return capital(text)


def titles(p, noun):
    """The ways in which a shop may head this product."""
    colour = p.get("colour")
    tail = f", {colour}" if colour else ""
    return [
        f"{p['brand']} {p['series']} {noun}, {p['size']}{tail}",
        f"{p['brand']} {noun} {p['series']} – {p['size']}{tail}",
        f"{p['series']} {noun} by {p['brand']} ({p['size']}{tail})",
        f"{capital(noun)} {p['size']}{tail}, {p['brand']} {p['series']}",
        f"{p['brand']} {p['series']}: {noun}, {p['material']}, {p['size']}",
    ]


class Shop:
    def __init__(self, types):
        self.types, self.dice = types, Dice(SEED)
        self.brands, self.palettes = listing("brands.txt"), listing("palettes.txt")
        self.series = " ".join(lines("series.txt")).split()
        self.closers = [split(line, " ~ ") for line in lines("closers.txt")]
        self.seen_text, self.seen_key, self.skus, self.numbers = set(), set(), set(), {}
        self.products, self.copies, self.variants = [], [], []

    def price(self, t, size):
        place = t.sizes.index(size) / max(1, len(t.sizes) - 1)
        at = min(1, max(0, 0.08 + 0.5 * place + self.dice.span(0, 0.42)))
        return self.tag(t.lo * math.pow(t.hi / t.lo, at))

    def tag(self, amount):
        ending = self.dice.pick([0.99, 0.95, 0.90, 0.49, 0.50, 0.00]) if amount < 40 else self.dice.pick([0.99, 0.00, 0.90, 0.00, 0.95])
        return round(max(1, math.floor(amount)) + ending, 2)

    def sku(self, brand):
        letters = re.sub(r"[^A-Z]", "", brand.upper())
        head = letters[0] + next(c for c in letters[2:] if c not in "AEIOU")
        while True:
            sku = f"{head}-{10000 + self.dice.below(90000)}"
            if sku not in self.skus:
                self.skus.add(sku)
                return sku

    def day(self):
        n = self.dice.below(3 * 365 + 200)
        year, rest = 2023 + n // 365, n % 365
        for month, days in enumerate([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], 1):
            if rest < days:
                return f"{year}-{month:02d}-{rest + 1:02d}"
            rest -= days

    def market(self, p):
        """What differs between two offers of one product."""
        d = self.dice
        p["sku"] = self.sku(p["brand"])
        p["rating"] = round(min(5.0, max(1.4, 4.75 - d.span(0, 1) ** 2 * 1.9 + d.span(-0.2, 0.25))), 1)
        p["reviews"] = int(math.exp(d.span(0.7, 7.6)))
        p["in_stock"] = d.chance(0.88)
        p["added"] = self.day()

    def describe(self, p, t):
        lead, facts, closer = p["plan"]
        parts = [fill(t.leads[lead[0]][lead[1]], p)]
        parts += [fill(t.facts[f][w], p) for f, w in facts]
        if closer:
            parts.append(fill(self.closers[closer[0]][closer[1]].removeprefix("* "), p))
        if p.get("lead_last"):
            parts = parts[1:2] + parts[:1] + parts[2:]
        return " ".join(parts)

    def plan(self, t, facts=None, lead=None):
        d = self.dice
        if facts is None:
            # Sentences first; of the short remarks ("Carries 150 kg.") at most two, at the end.
            order = d.shuffled(range(len(t.facts)))
            full = [f for f in order if len(t.facts[f][0].split()) > 3]
            short = [f for f in order if len(t.facts[f][0].split()) <= 3]
            facts = full[:2 if d.chance(0.6) else 3]
            facts += short[:(1 if d.chance(0.6) else 0) if len(facts) > 1 else 2]
            if len(facts) < 2:
                facts = order[:3]
        if lead is None:
            lead = d.below(len(t.leads))
        closer = None
        if d.chance(0.42):
            closer = (d.below(len(self.closers)), d.below(2))
            said = " ".join(self.closers[closer[0]])
            if "{c}" in said and t.palette == "none" or said.startswith("*") and (t.palette == "none" or t.category[1] in SHORT_LIVED):
                closer = None
        return ((lead, d.below(2)), [(f, d.below(2)) for f in facts], closer)

    def accept(self, p, t):
        text = p["description"] = self.describe(p, t)
        bare = normal(text, p)
        if bare in self.seen_text or p["title"] in self.seen_text:
            return False
        self.seen_text.update((bare, p["title"]))
        self.products.append(p)
        return True

    def base(self, t, wants=()):
        """One more product of type t; with wants, one that meets them, so that a query has its answer."""
        d = self.dice
        for _ in range(4000):
            p = {"type": t.key, "category": t.category[0], "brand": d.pick(self.brands[t.category[1]]), "series": d.pick(self.series),
                 "size": d.pick(t.sizes), "material": d.pick(t.materials)}
            if t.palette != "none":
                p["colour"] = d.pick(self.palettes[t.palette])
            name, same = (t.key, p["brand"], p["series"]), (t.key, p["brand"], p["size"], p["material"], p.get("colour"))
            if name in self.seen_key or same in self.seen_key:
                continue
            p["plan"] = self.plan(t)
            p["title"] = capital(d.pick(titles(p, d.pick(t.nouns(p)[:2]))))
            p["price"] = self.price(t, p["size"])
            if wants and not meets(dict(p, origin_size=p["size"], origin_text=p["title"] + " " + self.describe(p, t)), wants):
                continue
            if self.accept(p, t):
                self.seen_key.update((name, same))
                self.market(p)
                return
        if not wants:
            raise SystemExit(f"the vocabulary of type {t.key} is too small for one more product")

    def variant(self, origin):
        """The same model in another size or colour: alike, and not a duplicate."""
        d, t = self.dice, self.types[origin["type"]]
        p = {k: origin[k] for k in ("type", "category", "brand", "series", "size", "material")}
        if "colour" in origin:
            p["colour"] = origin["colour"]
        if "colour" in p and (d.chance(0.5) or len(t.sizes) == 1):
            p["colour"] = d.pick([c for c in self.palettes[t.palette] if c != p["colour"]])
        elif len(t.sizes) > 1:
            p["size"] = d.pick([s for s in t.sizes if s != p["size"]])
        else:
            return False
        same = (t.key, p["brand"], p["size"], p["material"], p.get("colour"))
        if same in self.seen_key:
            return False
        (lead, _), facts, _ = origin["plan"]
        p["plan"] = self.plan(t, d.shuffled([f for f, _ in facts]), lead)
        p["title"] = capital(d.pick(titles(p, d.pick(t.nouns(p)[:2]))[:4]))
        if not self.accept(p, t):
            return False
        self.seen_key.add(same)
        p["price"] = origin["price"] if p["size"] == origin["size"] else self.price(t, p["size"])
        self.market(p)
        self.variants.append((origin, p))
        return True

    def copy(self, origin):
        """The same product offered again, everything said in other words."""
        d, t = self.dice, self.types[origin["type"]]
        p = {k: origin[k] for k in ("type", "category", "series", "material") }
        if "colour" in origin:
            p["colour"] = origin["colour"]
        p["brand"] = respelled(origin["brand"], d) if d.chance(0.6) else origin["brand"]
        p["size"] = other_unit(origin["size"]) if d.chance(0.7) else origin["size"]
        (lead, w), facts, closer = origin["plan"]
        facts = sorted(reversed(facts), key=lambda f: len(t.facts[f[0]][0].split()) <= 3)
        p["plan"] = ((lead, 1 - w), [(f, 1 - v) for f, v in facts], closer and (closer[0], 1 - closer[1]))
        p["lead_last"] = d.chance(0.3)
        names = t.nouns(origin)
        used = next((n for n in sorted(names, key=len, reverse=True) if n.lower() in origin["title"].lower()), "")
        p["title"] = capital(d.pick(titles(p, d.pick([n for n in names if n != used] or names))[1:4]))
        p["description"] = self.describe(p, t)
        if overlap(origin, p) > 0.7 or not self.accept(p, t):
            return False
        p["price"] = self.tag(origin["price"] * d.span(0.95, 1.05))
        self.market(p)
        self.copies.append((origin, p))
        return True

    def stock(self, asked):
        d, order = self.dice, list(self.types.values())
        for _, key, rest in asked:
            _, wants, _ = parse_ask(rest)
            if wants:
                self.base(self.types[key], wants)
        i = 0
        while len(self.products) < BASE - VARIANTS:
            self.base(order[i % len(order)])
            i += 1
        models = list(self.products)
        while len(self.variants) < VARIANTS:
            self.variant(d.pick(models))
        copied = iter(d.shuffled(self.products))
        while len(self.copies) < COPIES:
            self.copy(next(copied))
        self.products = d.shuffled(self.products)
        for p in self.products:
            prefix = self.types[p["type"]].category[2]
            self.numbers[prefix] = self.numbers.get(prefix, 0) + 1
            p["id"] = f"{prefix}-{self.numbers[prefix]:04d}"


def overlap(a, b):
    """The Jaccard index of the words of two products' titles and descriptions."""
    x, y = (set(re.findall(r"[^\W_]+", (p["title"] + " " + p["description"]).lower())) for p in (a, b))
    return len(x & y) / len(x | y)


def normal(text, p):
    """The text without numbers, brand, model name and colour: what must still differ between two products."""
    text = text.lower()
    for word in (p["brand"], p["series"], p.get("colour", "")):
        if word:
            text = re.sub(r"\b" + re.escape(word.lower()) + r"\b", " ", text)
    return " ".join(re.sub(r"[\d.,×–]+", " ", text).split())


# ---- queries -------------------------------------------------------------------------------------------------------

STOP = None


def content(text):
    """The stems of a text's content words."""
    global STOP
    if STOP is None:
        STOP = set(" ".join(lines("stopwords.txt")).split())
    words = re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower().replace("’", "'"))
    return {stem(w[:-2] if w.endswith("'s") else w) for w in words if w not in STOP and len(w) > 1}


def full_text(p):
    return " ".join((p["title"], p["description"], p["brand"], p["category"]))


_CLAUSE = re.compile(r"\s+(?=(?:s=|colour=|has=|price<|[123]:))")


def parse_ask(rest):
    text, _, tail = rest.removesuffix(" | first").partition(" | ")
    rules = {"3": [], "2": [], "1": []}
    wants = []
    for clause in _CLAUSE.split(tail.strip()) if tail else []:
        m = re.match(r"([123]):(.*)", clause)
        if m:
            rules[m[1]] += split(m[2], ",")
        elif clause:
            wants.append(re.match(r"(s=|colour=|has=|price<)(.*)", clause).groups())
    return text.strip(), wants, rules


def meets(p, wants):
    for op, value in wants:
        if op == "s=" and p["origin_size"] != value:
            return False
        if op == "colour=" and p.get("colour") != value:
            return False
        if op == "has=" and not re.search(value, p["origin_text"]):
            return False
        if op == "price<" and not p["price"] < float(value):
            return False
    return True


def judge(products, key, wants, rules):
    grades = {}
    for p in products:
        if p["type"] == key or p["type"] in rules["3"]:
            grades[p["id"]] = 3 if meets(p, wants) else 2
        elif p["type"] in rules["2"]:
            grades[p["id"]] = 2
        elif p["type"] in rules["1"]:
            grades[p["id"]] = 1
    return grades


def ask(shop, asked, report):
    """The queries with their grades: kind -> [(text, grades)]."""
    d = Dice(SEED + 1)
    products = shop.products
    by_id = {p["id"]: p for p in products}
    for p in products:
        p["origin_size"], p["origin_text"] = p["size"], full_text(p)
    for origin, copy in shop.copies:
        copy["origin_size"] = origin["size"]
        copy["origin_text"] = origin["origin_text"] = full_text(origin) + " " + full_text(copy)
    out = {"keyword": [], "natural": [], "paraphrase": []}
    made = []  # keyword queries that come before all others: misspelt ones, SKUs, brand and type
    for kind, key, rest in asked:
        text, wants, rules = parse_ask(rest)
        for k in rules["3"] + rules["2"] + rules["1"]:
            if k not in shop.types:
                raise SystemExit(f"query {text!r} names the unknown type {k!r}")
        grades = judge(products, key, wants, rules)
        best = [by_id[i] for i, g in grades.items() if g == 3]
        if not best:
            report(f"no product answers {kind} query {text!r} ({key})")
            continue
        if kind == "paraphrase":
            shared = {}
            for p in best:
                for w in content(text) & content(full_text(p)):
                    shared[w] = shared.get(w, 0) + 1
            if shared:
                report(f"paraphrase query {text!r} ({key}) shares {shared} of {len(best)}")
                continue
        (made if rest.endswith("| first") else out[kind]).append((text, grades))
    twin = {}
    for origin, copy in shop.copies:
        twin[origin["id"]], twin[copy["id"]] = copy["id"], origin["id"]
    for p in d.shuffled(products)[:10]:
        made.append((p["sku"] if d.chance(0.7) else p["sku"].lower(), {i: 3 for i in (p["id"], twin.get(p["id"])) if i}))
    originals = [o for o, _ in shop.copies] + [o for o, _ in shop.variants]
    taken = set()
    for p in d.shuffled(originals):
        if p["type"] in taken or len(taken) == 12:
            continue
        taken.add(p["type"])
        t = shop.types[p["type"]]
        grades = {q["id"]: 2 for q in products if q["type"] == p["type"]}
        for q in products:
            if q["type"] == p["type"] and q["brand"] == p["brand"]:
                grades[q["id"]] = 3
                if q["id"] in twin:
                    grades[twin[q["id"]]] = 3
        text = f"{p['brand']} {t.nouns(p)[0]}"
        made.append((text.lower() if d.chance(0.4) else text, grades))
    for kind, queries in out.items():
        first = made if kind == "keyword" else []
        wanted = PER_KIND - len(first)
        if len(queries) < wanted:
            report(f"only {len(queries)} {kind} queries, want {wanted}")
        # Where there are more than are wanted, take them evenly over all kinds of product.
        out[kind] = first + [queries[i * len(queries) // wanted] for i in range(min(wanted, len(queries)))]
    return out


# ---- files ---------------------------------------------------------------------------------------------------------

def jsonl(rows):
    return "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)


def tsv(header, rows):
    return "".join("\t".join(str(v) for v in row) + "\n" for row in [header] + rows)


def build(report):
    types, asked = read_vocabulary()
    shop = Shop(types)
    shop.stock(asked)
    queries = ask(shop, asked, report)
    fields = ("id", "sku", "title", "brand", "category", "description", "price", "rating", "reviews", "in_stock", "colour", "added")
    products = [{f: p[f] for f in fields if f in p} for p in shop.products]
    corpus = [{"_id": p["id"], "title": p["title"], "text": p["description"],
               **{f: v for f, v in p.items() if f not in ("id", "title", "description")}} for p in products]
    listed, judged = [], []
    for kind, head in (("keyword", "k"), ("natural", "n"), ("paraphrase", "p")):
        for i, (text, grades) in enumerate(queries[kind], 1):
            query = f"{head}{i:03d}"
            listed.append({"_id": query, "text": text, "kind": kind})
            judged += [(query, doc, grade) for doc, grade in sorted(grades.items(), key=lambda g: (-g[1], g[0]))]
    variants = [(a["id"], b["id"]) for a, b in shop.variants]
    return {
        "products.jsonl.gz": jsonl(products),
        "corpus.jsonl.gz": jsonl(corpus),
        "queries.jsonl": jsonl(listed),
        "qrels.tsv": tsv(("query-id", "corpus-id", "score"), judged),
        "duplicates.tsv": tsv(("id1", "id2"), sorted((a["id"], b["id"]) for a, b in shop.copies)),
        "nonduplicates.tsv": tsv(("id1", "id2"), sorted(variants)),
    }


def held(path):
    try:
        with (gzip.open if path.endswith(".gz") else open)(path, "rb") as f:
            return f.read().decode("utf-8")
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=HERE, help="folder to write to (default: this one)")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    args = parser.parse_args()
    complaints = []
    stale = []
    for name, text in build(complaints.append).items():
        path = os.path.join(args.out, name)
        if held(path) == text:
            continue
        stale.append(name)
        if args.check:
            continue
        data = text.encode("utf-8")
        if name.endswith(".gz"):
            buffer = io.BytesIO()
            with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as f:
                f.write(data)
            data = buffer.getvalue()
        with open(path, "wb") as f:
            f.write(data)
    for line in complaints:
        print("generate.py:", line, file=sys.stderr)
    if args.check and stale:
        raise SystemExit(f"generate.py: not what the vocabulary gives: {', '.join(stale)}")
    print("generate.py:", f"wrote {', '.join(stale)}" if stale else "all files are up to date")


if __name__ == "__main__":
    main()
