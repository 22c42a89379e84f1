"""Generates our own shop texts: products with attributes, and what shoppers type when they want them.

Writes work/shop/products.jsonl and queries.jsonl (with the attributes each was made from),
work/text/products.txt and queries.txt (the bare texts) and work/pairs/shop.tsv (query, product, kind,
department); situations.* are the same for the needs in needs/. One need in ten is held out: it appears in no training text; see work/shop/held.jsonl.
"""
import json
import random
import sys
import zlib
from pathlib import Path

import numpy as np

import goods
from judged import Judged
from teacher import Teacher

WORK = Path(__file__).parent / "work"
PRODUCTS_PER_KIND = 200
KEYWORD_QUERIES_PER_KIND = 70
NEED_QUERIES_PER_NEED = 40
QUERIES_PER_SITUATION = 16

COLOURS = """black white grey silver navy blue light-blue red burgundy green olive mint yellow orange pink rose-gold
purple lavender beige cream brown tan charcoal teal turquoise gold copper ivory multicolour clear khaki coral""".split()
GRADES = ["premium", "classic", "compact", "heavy-duty", "lightweight", "professional", "deluxe", "everyday", "portable",
          "large", "small", "mini", "extra large", "slim", "modern", "vintage style", "original", "improved", "eco", "basic"]
WHO = ["men", "women", "kids", "adults", "beginners", "professionals", "seniors", "teens", "families", "toddlers", "students",
       "travellers", "runners", "pet owners", "the office", "the home", "small spaces", "left-handed people"]
HEADS = "nor tel bran kal vel mar sol hal fen ost bri cal dor el far gri hol jun kes lum mon nim or pel quil ras syl tor ul ver wil xan yor zel ".split()
MIDS = "a e i o u an en ar er or el il os ing ford vi lo ri na to ".split()
TAILS = "ra ta ix on ex us io ware tech line craft den well ton wood field son co lux fit zen gear way mont dale berg max ".split()
OPENERS = ["something to {}", "something that will {}", "i want to {}", "i need to {}", "how to {}", "what do i need to {}",
           "looking for a way to {}", "help me {}", "best thing to {}", "to {}", "{}", "{}", "a thing to {}", "gadget to {}",
           "easy way to {}", "what can i use to {}", "i'd like to {}", "item that lets me {}", "anything to {}"]
TAILS_OF_NEEDS = ["", "", "", "", "", "", " at home", " every day", " please", " without spending much", " for my family",
                  " when travelling", " - any ideas?", " on a budget", " this winter", " for a friend"]
AS_SAID = ["{}", "{}", "{}", "{}", "{}?", "{} please", "{}, what should i buy", "{} - any ideas?", "help: {}", "need help, {}", "looking for: {}",
           "{} any suggestions", "what to buy: {}", "recommend me: {}", "i need: {}", "{} cheap", "{} good quality", "{} for my family", "gift idea: {}"]
GIFT = ["gift for someone who wants to {}", "present for a friend who likes to {}", "birthday gift: helps to {}"]
REASONS = ["Made for anyone who wants to {}.", "Helps you {}.", "The easy way to {}.", "Now you can {}."]
CLOSERS = ["Easy to clean.", "Two-year warranty.", "Comes gift boxed.", "Instructions included.", "Ships in recyclable packaging.",
           "Designed for daily use.", "Batteries not included.", "A favourite of our customers.", "Built to last.", "Makes a great gift.",
           "Simple to set up.", "No tools required.", "Spare parts available.", "Available in several colours.", "Safe and reliable."]


def held_out(need):
    return zlib.crc32(need.encode()) % 10 == 0


def brand(rng):
    return (rng.choice(HEADS) + (rng.choice(MIDS) if rng.random() < 0.5 else "") + rng.choice(TAILS)).capitalize()


def model_number(rng):
    letters = "".join(rng.choice("ABCDEFGHKLMNPRSTVWXZ") for _ in range(rng.randint(1, 3)))
    digits = str(rng.randint(10, 9999))
    return rng.choice([f"{letters}{digits}", f"{letters}-{digits}", f"{digits}{letters}", f"{letters}{digits}-{rng.randint(1, 9)}"])


def typo(text, rng):
    """One slip of the finger in one longer word."""
    words = text.split()
    long = [i for i, w in enumerate(words) if len(w) > 4 and w.isalpha()]
    if not long:
        return text
    i = rng.choice(long)
    w, at = words[i], rng.randrange(1, len(words[i]) - 1)
    how = rng.random()
    if how < 0.3:
        w = w[:at] + w[at + 1:]
    elif how < 0.55:
        w = w[:at] + w[at + 1] + w[at] + w[at + 2:]
    elif how < 0.8:
        w = w[:at] + w[at] + w[at:]
    else:
        w = w[:at] + rng.choice("aeiourstn") + w[at + 1:]
    words[i] = w
    return " ".join(words)


def product(kind, brands, rng):
    p = dict(kind=kind.key, department=kind.department, name=rng.choice(kind.names), brand=rng.choice(brands))
    p["colour"] = rng.choice(COLOURS).replace("-", " ") if rng.random() < 0.6 else ""
    p["material"] = rng.choice(kind.materials) if kind.materials and rng.random() < 0.7 else ""
    p["size"] = rng.choice(kind.sizes) if kind.sizes and rng.random() < 0.7 else ""
    p["model"] = model_number(rng) if rng.random() < 0.4 else ""
    p["who"] = rng.choice(WHO) if rng.random() < 0.2 else ""
    p["features"] = rng.sample(kind.features, min(len(kind.features), rng.randint(1, 3)))
    name = p["name"].title() if rng.random() < 0.6 else p["name"]
    grade = rng.choice(GRADES).title() + " " if rng.random() < 0.3 else ""
    title = grade + name
    if p["material"] and rng.random() < 0.5:
        title = rng.choice([f"{p['material']} {title}", f"{title} in {p['material']}", f"{title}, {p['material']}"])
    if rng.random() < 0.35:
        title += rng.choice([" with ", ", ", " - ", " | "]) + p["features"][0]
    if p["who"]:
        title += f" for {p['who']}"
    extras = [p[k] for k in ("colour", "size") if p[k] and rng.random() < 0.7]
    rng.shuffle(extras)
    for x in extras:
        title += rng.choice([", ", " - ", " "]) + x
    if p["model"] and rng.random() < 0.8:
        title += rng.choice([" ", " (model ", ", "]) + p["model"]
        if "(model" in title:
            title += ")"
    if rng.random() < 0.75:
        title = f"{p['brand']} {title}"
    p["title"] = title[0].upper() + title[1:]
    said = []
    if rng.random() < 0.55:
        fs = list(p["features"])
        rng.shuffle(fs)
        said.append(rng.choice(["", "With ", "Features: ", "Offers ", "Comes with ", "Has "]) + rng.choice([", ", "; ", " and "]).join(fs) + ".")
        if p["material"]:
            said.append(rng.choice(["Made of {}.", "Material: {}.", "Crafted from {}.", "{} construction."]).format(p["material"]))
        if p["size"] and rng.random() < 0.6:
            said.append(rng.choice(["Size: {}.", "{}.", "Dimensions/capacity: {}."]).format(p["size"]))
        if p["colour"] and rng.random() < 0.5:
            said.append(rng.choice(["Colour: {}.", "In {}.", "Color {}."]).format(p["colour"]))
        told = [n for n in kind.needs if n[0] != "=" and not held_out(n)]
        if told and rng.random() < 0.2:
            said.append(rng.choice(REASONS).format(rng.choice(told)).replace(" my ", " your ").replace(" me ", " you "))
        if rng.random() < 0.3:
            said.append(f"A {rng.choice(kind.names)} by {p['brand']}.")
        if rng.random() < 0.5:
            said.append(rng.choice(CLOSERS))
        rng.shuffle(said)
    p["description"] = " ".join(s[0].upper() + s[1:] for s in said)
    p["text"] = p["title"] + (". " + p["description"] if said else "")
    return p


def keyword_query(kind, some, rng):
    """A short query made of what one product of the kind has: q's attributes are what it asks for."""
    p = rng.choice(some)
    q = dict(kind=kind.key, department=kind.department, want={}, need="")
    if p["model"] and rng.random() < 0.06:
        q["want"] = {"model": p["model"]}
        q["text"] = rng.choice([p["model"], p["model"].lower(), f"{p['brand']} {p['model']}", f"{p['name']} {p['model']}"])
        q["name"] = ""
        return q
    q["name"] = p["name"] if rng.random() < 0.6 else rng.choice(kind.names)
    words = [q["name"]]
    for k, odds in (("brand", 0.18), ("colour", 0.2), ("size", 0.15), ("material", 0.15), ("who", 0.3)):
        if p[k] and rng.random() < odds:
            q["want"][k] = p[k]
            words.insert(0 if rng.random() < 0.5 and k != "who" else len(words), ("for " if k == "who" and rng.random() < 0.6 else "") + p[k])
    if rng.random() < 0.2:
        f = rng.choice(p["features"])
        q["want"]["feature"] = f
        words.append(rng.choice(["", "with "]) + f)
    if rng.random() < 0.06:
        words.insert(0, rng.choice(["cheap", "best", "good", "buy", "new", "quality"]))
    text = " ".join(words)
    q["text"] = text if rng.random() < 0.15 else text.lower()
    if rng.random() < 0.15:
        q["text"] = typo(q["text"], rng)
    return q


def situation_query(kind, need, rng):
    if need[0] != "=":
        return need_query(kind, need, rng)
    text = rng.choice(AS_SAID).format(need[1:])
    if rng.random() < 0.1:
        text = typo(text, rng)
    return dict(kind=kind.key, department=kind.department, want={}, need=need, name="", text=text)


def need_query(kind, need, rng):
    q = dict(kind=kind.key, department=kind.department, want={}, need=need, name="")
    if need[0] == "=":
        q["text"] = need[1:] + rng.choice(["", "", "", " please", "?"])
    else:
        pattern = rng.choice(GIFT) if rng.random() < 0.05 else rng.choice(OPENERS)
        q["text"] = pattern.format(need) + rng.choice(TAILS_OF_NEEDS)
    if rng.random() < 0.1:
        q["text"] = typo(q["text"], rng)
    if rng.random() < 0.1:
        q["text"] = q["text"].capitalize()
    return q


def answers(queries, products, names, vector, rng):
    """For each query one product that answers it. A kind's line may name cousins (cane; shower chair): the
    product's name is drawn by how near the teacher puts it to the need or the asked name."""
    by_name, by_model = {}, {}
    for p in products:
        by_name.setdefault((p["kind"], p["name"]), []).append(p)
        by_model.setdefault(p["model"], []).append(p)
    for q in queries:
        if "model" in q["want"]:
            yield q, rng.choice(by_model[q["want"]["model"]])
            continue
        asked = q["need"] or q["name"]
        odds = likeness(vector[asked], [vector[n] for n in names[q["kind"]]], 0.08 if q["need"] else 0.05)
        pool = by_name[q["kind"], rng.choices(names[q["kind"]], odds)[0]]
        best = max(rng.sample(pool, min(4, len(pool))), key=lambda p: wanted(q, p))
        yield q, best


def likeness(asked, names, heat):
    """Softmax over names of the cosine to what is asked."""
    near = np.array([asked @ n for n in names])
    odds = np.exp((near - near.max()) / heat)
    return odds / odds.sum()


def lean(texts, vec):
    """Teacher vectors of queries, those of needs moved half-way to the things that answer them: the teacher puts
    "keep my coffee hot on the train" nearer to coffee machines and trains than to a travel mug."""
    kinds = {k.key: k for k in goods.read()}
    words = sorted({n for k in kinds.values() for n in k.names})
    vector = dict(zip(words, Teacher().embed(words).astype(np.float32)))
    row = {t: i for i, t in enumerate(texts)}
    out = vec.astype(np.float32)
    for line in [l for n in ("queries", "situations") for l in open(WORK / f"shop/{n}.jsonl", encoding="utf-8")]:
        q = json.loads(line)
        i = row.get(" ".join(q["text"].split()))
        if not q["need"] or i is None:
            continue
        names = [vector[n] for n in kinds[q["kind"]].names]
        answer = likeness(out[i], names, 0.08) @ np.array(names)
        out[i] += answer / np.linalg.norm(answer)
        out[i] /= np.linalg.norm(out[i])
    return out.astype(np.float16)


def wanted(q, p):
    """How many of the query's asked attributes the product has."""
    return sum(v in p["features"] if k == "feature" else p[k] == v for k, v in q["want"].items())


def put(path, text):
    """Writes only what changed, so that teacher vectors of an unchanged file stay good."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def jsonl(path, rows):
    put(path, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))


def lines(path, rows):
    put(path, "".join(" ".join(r.split()) + "\n" for r in dict.fromkeys(rows)))


def tsv(path, rows):
    put(path, "".join("\t".join(" ".join(c.split()) for c in r) + "\n" for r in rows))


def distinct(queries, seen):
    return [q for q in queries if not (q["text"] in seen or seen.add(q["text"]))]


def unlike(judged, made):
    """What was made, without the texts that say what a judged query says."""
    return [m for m in made if not judged.copies(m["text"])]


def main():
    rng = random.Random(20)
    kinds, judged = goods.read(), Judged()
    brands = sorted({brand(rng) for _ in range(600)})
    products, queries, situations, held = [], [], [], []
    for k in kinds:
        mine = rng.sample(brands, 25)
        some = unlike(judged, [product(k, mine, rng) for _ in range(PRODUCTS_PER_KIND)])
        products += some
        queries += [keyword_query(k, some, rng) for _ in range(KEYWORD_QUERIES_PER_KIND)]
        for n in k.needs:
            (held if held_out(n) else queries).extend(need_query(k, n, rng) for _ in range(3 if held_out(n) else NEED_QUERIES_PER_NEED))
    seen = set()
    queries = distinct(unlike(judged, queries), seen)
    rng.shuffle(products)
    rng.shuffle(queries)
    for k in kinds:
        for n in k.situations:
            if held_out(n):
                held.append(dict(situation_query(k, n, rng), text=n.lstrip("=")))
            else:
                situations += [situation_query(k, n, rng) for _ in range(QUERIES_PER_SITUATION)]
    situations = distinct(unlike(judged, situations), seen)
    rng.shuffle(situations)
    names = {k.key: k.names for k in kinds}
    words = sorted({n for k in kinds for n in k.names + k.needs + k.situations})
    vector = dict(zip(words, Teacher().embed([w.lstrip("=") for w in words]).astype(np.float32)))
    jsonl(WORK / "shop/products.jsonl", products)
    jsonl(WORK / "shop/held.jsonl", held)
    lines(WORK / "text/products.txt", [p["text"] for p in products])
    for name, some, more in (("queries", queries, [n for k in kinds for n in k.names + k.features]), ("situations", situations, [])):
        jsonl(WORK / f"shop/{name}.jsonl", some)
        lines(WORK / f"text/{name}.txt", [q["text"] for q in some] + [m for m in more if not judged.copies(m)])
        tsv(WORK / "pairs" / f"{'shop' if name == 'queries' else name}.tsv",
            [(q["text"], p["text"], q["kind"], q["department"]) for q, p in answers(some, products, names, vector, rng)])
    print(f"{len(kinds)} kinds, {len(products)} products, {len(queries)} queries, {len(situations)} situations, {len(held)} held out", file=sys.stderr)


if __name__ == "__main__":
    main()
