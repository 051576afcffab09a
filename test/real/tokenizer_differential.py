"""What Rust's `tokenizers` makes of every request on stdin, one JSON object a line: {"json": text, "texts": [text]}.

Prints for each {"error": text} or {"ids": [[id]], "decoded": [text]}. Truncation and padding are taken off, as transformers does.
"""

import json
import sys

from tokenizers import Tokenizer


def answer(request):
    try:
        tokenizer = Tokenizer.from_str(request["json"])
        tokenizer.no_truncation()
        tokenizer.no_padding()
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in request["texts"]]
        return {"ids": ids, "decoded": [tokenizer.decode(row, skip_special_tokens=False) for row in ids]}
    except BaseException as error:  # a panic of Rust's is no Exception
        return {"error": str(error)[:200]}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
