"""Counts tokens as the official tokenizers do.

Reads one JSON object: "texts", and either "encodings" (names of tiktoken's) with "vocabularies" (a folder with our built-in
files, decompressed) or "tokenizer" (the path of a tokenizer.json, for Hugging Face's tokenizers). Prints one JSON object: for each
encoding, or for "tokenizer", the count of each text.

tiktoken would download its vocabularies. It looks into a cache first, where a file is named by the SHA-1 of its address,
and checks each file's SHA-256 against its own list: so ours are written there as they were published, and are proved to be the published ones.
"""

import base64
import hashlib
import json
import os
import pathlib
import sys
import tempfile

PUBLISHED = "https://openaipublic.blob.core.windows.net/encodings/{}.tiktoken"


def main():
    asked = json.load(sys.stdin)
    if "tokenizer" in asked:
        counts = {"tokenizer": hugging_face(asked["tokenizer"], asked["texts"])}
    else:
        with tempfile.TemporaryDirectory() as cache:
            counts = official(asked, pathlib.Path(cache))
    json.dump(counts, sys.stdout)


def official(asked, cache):
    os.environ["TIKTOKEN_CACHE_DIR"] = str(cache)
    import tiktoken

    counts = {}
    for name in asked["encodings"]:
        published = hashlib.sha1(PUBLISHED.format(name).encode()).hexdigest()
        dense = pathlib.Path(asked["vocabularies"], name).read_bytes()
        (cache / published).write_bytes(as_published(dense))
        encoding = tiktoken.get_encoding(name)
        counts[name] = [len(encoding.encode_ordinary(text)) for text in asked["texts"]]
    return counts


def as_published(dense):
    """A line for each token with its rank, from what src/meter/count/vocabulary/README.md describes."""
    count = int.from_bytes(dense[:4], "little")
    lengths, at, lines = dense[4 : 4 + count], 4 + count, []
    for rank, length in enumerate(lengths):
        lines.append(base64.b64encode(dense[at : at + length]) + b" %d\n" % rank)
        at += length
    return b"".join(lines)


def hugging_face(path, texts):
    import tokenizers

    tokenizer = tokenizers.Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [len(tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]


main()
