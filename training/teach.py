"""Teacher vectors of every text file in work/text that has none yet: work/vec/NAME.npy, float16, row for row."""
import sys
import time
from pathlib import Path

import numpy as np
import torch

import texts as texts_module
from teacher import Teacher

WORK = Path(__file__).parent / "work"


def main():
    torch.set_num_threads(2)
    (WORK / "vec").mkdir(exist_ok=True)
    teacher = Teacher()
    for path in sorted((WORK / "text").glob("*.txt")):
        out = WORK / "vec" / (path.stem + ".npy")
        if out.exists() and out.stat().st_mtime > path.stat().st_mtime:
            continue
        texts = path.read_text(encoding="utf-8").splitlines()
        began = time.time()
        vec = teacher.embed(texts, progress=lambda a, b: print(f"{path.stem}: {a} of {b}", file=sys.stderr, flush=True))
        np.save(out, texts_module.lean(texts, vec) if path.stem in ("queries", "situations") else vec)
        print(f"{path.stem}: {len(texts)} vectors in {time.time() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
