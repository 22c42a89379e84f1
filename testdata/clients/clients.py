"""Uses the clients of the services that Robin answers as, unmodified, against a running Robin.

    pip install -r requirements.txt
    python clients.py http://127.0.0.1:8080

It prints a line for each thing that was tried and ends at the first that went wrong.
"""
import base64
import json
import pathlib
import sys
import urllib.request

import cohere
import numpy as np
import openai
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from tokenizers import Tokenizer

URL = sys.argv[1]
MUG, TENT, LAMP = "insulated mug that keeps coffee hot", "two-person tent for hiking", "reading lamp with a warm light"
TEXTS = [MUG, TENT, LAMP, "Tasse für Kaffee ☕"]


def check(what, ok):
    print("ok" if ok else "WRONG", what, flush=True)
    if not ok:
        sys.exit(1)


def refused(error, status, says, call):
    """Calls what must be refused with the client's own error for the status."""
    try:
        call()
    except error as e:
        code = getattr(e, "status_code", None) or e.response.status_code
        check(f"{error.__name__} {code}", code == status and says in str(e))
        return
    check(f"no {error.__name__}", False)


def openai_client():
    c = openai.OpenAI(base_url=URL + "/v1", api_key="none", max_retries=0)
    usual = c.embeddings.create(model="starter", input=TEXTS)  # base64, which the client decodes
    floats = c.embeddings.create(model="starter", input=TEXTS, encoding_format="float")
    bare = c.embeddings.create(model="starter", input=TEXTS, encoding_format="base64")
    check("openai: model and usage", usual.model == "starter" and usual.usage.prompt_tokens == usual.usage.total_tokens > len(TEXTS))
    check("openai: order", [d.index for d in usual.data] == list(range(len(TEXTS))))
    for a, b, raw in zip(usual.data, floats.data, bare.data):
        bits = np.array(b.embedding, "<f4").tobytes()
        text = raw.embedding if isinstance(raw.embedding, str) else base64.b64encode(np.array(raw.embedding, "<f4").tobytes()).decode()
        check("openai: float and base64 are the same bytes", bits == np.array(a.embedding, "<f4").tobytes() == base64.b64decode(text))
        check("openai: length 1", abs(np.linalg.norm(np.array(b.embedding)) - 1) < 1e-5)
    one = c.embeddings.create(model="starter", input=MUG, dimensions=len(usual.data[0].embedding))
    check("openai: one text", np.allclose(one.data[0].embedding, usual.data[0].embedding, atol=1e-5))
    answer = c.embeddings.with_raw_response.create(model="starter", input=["mug " * 1000, "mug"])
    check("openai: what was cut is said", answer.headers["robin-truncated-at"] == "0" and answer.parse().model_extra["truncated"] == [0])
    check("openai: fingerprint", len(answer.headers["robin-model-fingerprint"]) == 64)
    refused(openai.NotFoundError, 404, "gpt-9", lambda: c.embeddings.create(model="gpt-9", input="a"))
    refused(openai.BadRequestError, 400, "token ids", lambda: c.embeddings.create(model="starter", input=[[1, 2], [3]]))
    refused(openai.BadRequestError, 400, "was not trained to be cut", lambda: c.embeddings.create(model="starter", input="a", dimensions=2))
    refused(openai.BadRequestError, 400, "is empty", lambda: c.embeddings.create(model="starter", input=""))
    return np.array([d.embedding for d in floats.data], "f4")


def hugging_face_client(vectors):
    c = InferenceClient(URL + "/embed")
    got = c.feature_extraction(TEXTS)
    check("huggingface: the vectors that OpenAI's client gets", got.shape == vectors.shape and np.allclose(got, vectors, atol=1e-5))
    one = c.feature_extraction(MUG, normalize=True, truncate=True, truncation_direction="right", prompt_name="query")
    check("huggingface: one text", one.shape == (1, vectors.shape[1]))
    refused(HfHubHTTPError, 413, "", lambda: c.feature_extraction("mug " * 1000))
    check("huggingface: cut on request", c.feature_extraction("mug " * 1000, truncate=True).shape == one.shape)
    cosines = InferenceClient(URL + "/similarity").sentence_similarity(MUG, other_sentences=TEXTS[1:] + [MUG])
    want = [float(vectors[0] @ v) for v in vectors[1:]] + [1.0]
    check("huggingface: similarity is the cosine", np.allclose(cosines, want, atol=1e-5))


def cohere_client():
    for name, c in {"v1": cohere.Client("none", base_url=URL), "v2": cohere.ClientV2("none", base_url=URL)}.items():
        got = c.rerank(model="starter", query="something to drink coffee from", documents=[TENT, MUG, LAMP], top_n=2, **({} if name == "v1" else {"max_tokens_per_doc": 64}))
        scores = [r.relevance_score for r in got.results]
        check(f"cohere {name}: the mug is first", len(scores) == 2 and got.results[0].index == 1 and 1 >= scores[0] > scores[1] >= 0)
        check(f"cohere {name}: id and meta", bool(got.id) and got.meta.api_version.version == name[1] and got.meta.tokens.input_tokens > 0)
        long = c.rerank(model="starter", query="mug", documents=["mug " * 1000, "mug"])
        check(f"cohere {name}: what was cut is said", len(long.meta.warnings) == 1)
        refused(cohere.NotFoundError, 404, "rerank-v9", lambda: c.rerank(model="rerank-v9", query="a", documents=["b"]))
        refused(cohere.BadRequestError, 400, "/query", lambda: c.rerank(model="starter", query="", documents=["b"]))


def post(path, body):
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def no_client():
    """The routes of text-embeddings-inference that no client of these has, against the library that it tokenizes with."""
    tok = Tokenizer.from_file(str(pathlib.Path(__file__).parent.parent.parent / "embedder/starter/tokenizer.json"))
    tok.no_truncation()
    tok.no_padding()
    texts = TEXTS + ["  ÉCLAIR <mask> au   café\n", "🍵🍵 日本語", "x" * 3000]
    for special in (True, False):
        for text, got in zip(texts, post("/tokenize", {"inputs": texts, "add_special_tokens": special}), strict=True):
            e = tok.encode(text, add_special_tokens=special)
            want = [{"id": i, "text": t if s else text[a:b], "special": bool(s), "start": None if s else a, "stop": None if s else b}
                    for i, t, s, (a, b) in zip(e.ids, e.tokens, e.special_tokens_mask, e.offsets)]
            check(f"tokenize: {text[:20]!r}", got == want)
    ranks = post("/rerank", {"query": "something to drink coffee from", "texts": [TENT, MUG], "raw_scores": True, "return_text": True})
    check("rerank: raw scores", ranks[0]["index"] == 1 and ranks[0]["text"] == MUG and ranks[0]["score"] > ranks[1]["score"])
    with urllib.request.urlopen(URL + "/info") as answer:
        info = json.load(answer)
    check("info", info["model_id"] == "starter" and info["max_input_length"] > 8 and info["model_type"]["embedding"]["pooling"] == "mean" and info["model_dtype"] == "int8")


hugging_face_client(openai_client())
cohere_client()
no_client()
print("all clients work")
