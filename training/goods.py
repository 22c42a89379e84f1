"""Reads goods/*.txt: what kinds of things shops sell, how they are called, what they can do and what for.

A line is   names | features | needs | materials | sizes   with ; between entries and # department above.
needs/*.txt holds more needs of the same kinds: problems, situations and descriptions without the name.
A need is a verb phrase ("crush ice for cocktails") or, after =, a shopper's words as they are.
"""
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass
class Kind:
    key: str
    department: str
    names: list
    features: list
    needs: list
    materials: list
    sizes: list
    situations: list = field(default_factory=list)


def read():
    kinds = []
    for path in sorted((HERE / "goods").glob("*.txt")):
        department = ""
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("#"):
                department = line[1:].strip()
                continue
            fields = [[v.strip() for v in f.split(";") if v.strip()] for f in line.split("|")]
            if len(fields) != 5 or not fields[0] or not fields[1]:
                raise SystemExit(f"{path.name}: want 5 fields in: {line}")
            kinds.append(Kind(fields[0][0], department, *fields))
    keys = [k.key for k in kinds]
    assert len(keys) == len(set(keys)), sorted(k for k in keys if keys.count(k) > 1)
    by_key = {k.key: k for k in kinds}
    for path in sorted((HERE / "needs").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, needs = line.partition(" | ")
            by_key[key].situations += [n.strip() for n in needs.split(";")]
    return kinds
