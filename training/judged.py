"""Keeps the judged queries of the demo catalogue out of what the models learn from.

Run by itself it compares every hand-written need and situation with them and ends with exit code 1 when one is like a
query; the Makefile runs it before any text is made. texts.py and openwords.py leave out their own texts that are.
Words are compared by their stems, without stop words.
"""
import collections
import json
import sys
from pathlib import Path

import goods

CATALOGUE = Path(__file__).parent.parent / "testdata" / "catalogue"
sys.path.append(str(CATALOGUE))
from generate import content  # noqa: E402  (the words that the catalogue's own no-shared-word rule compares)

LIKE = 0.75  # share of the content words that two texts may not have in common


class Judged:
    def __init__(self):
        self.queries, self.with_word = [], collections.defaultdict(list)
        with open(CATALOGUE / "queries.jsonl", encoding="utf-8") as f:
            for line in f:
                q = json.loads(line)
                q["words"] = content(q["text"])
                self.queries.append(q)
                for w in q["words"]:
                    self.with_word[w].append(q)

    def shared(self, text):
        """Each query that has a content word of the text, with both sets of words and the number they share."""
        words = content(text)
        count = collections.Counter(q["_id"] for w in words for q in self.with_word[w])
        for q in self.queries:
            if count[q["_id"]]:
                yield q, words, count[q["_id"]]

    def copies(self, text):
        """Whether the text says what a query says, and little else."""
        return any(n >= LIKE * max(len(words), len(q["words"])) for q, words, n in self.shared(text))

    def like(self, need):
        """The queries that a need is in, or that are in it: stricter, since a need becomes many queries. Keyword queries
        are names of goods, which a need may well hold."""
        return [q for q, words, n in self.shared(need)
                if q["kind"] != "keyword" and n >= 2 and n >= LIKE * min(len(words), len(q["words"]))]


def main():
    judged, found = Judged(), 0
    for kind in goods.read():
        for need in kind.needs + kind.situations:
            for q in judged.like(need):
                found += 1
                print(f'{kind.key}: "{need}" is like the judged query {q["_id"]}, "{q["text"]}": reword or remove it', file=sys.stderr)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
