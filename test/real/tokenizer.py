"""Ids by Python of every given text, as little-endian int32 files.

Usage: tokenizer.py FOLDER... -- TEXT...
For each folder with a tokenizer.json and each text, writes FOLDER/<index of text>.i32 by `tokenizers`; where
tokenizer_config.json has a chat template, transformers must give the same ids and fill in the template.
"""

import os
import sys

import numpy
from tokenizers import Tokenizer
from transformers import AutoTokenizer, logging

logging.set_verbosity_error()


def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read().replace("\r\n", "\n").replace("\r", "\n")


def main():
    split = sys.argv.index("--")
    texts = [read(path) for path in sys.argv[split + 1 :]]
    for folder in sys.argv[1:split]:
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        everywhere = AutoTokenizer.from_pretrained(folder)
        for index, text in enumerate(texts):
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            assert everywhere(text, add_special_tokens=False)["input_ids"] == ids, (folder, index)
            numpy.array(ids, dtype="<i4").tofile(os.path.join(folder, f"{index}.i32"))
        if everywhere.chat_template:
            chat = [{"role": "user", "content": "Hello"}]
            print(everywhere.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))


main()
