"""test/tokenizer/sentencepiece: a tokenizer.model as Llama 2's is trained, and the ids that SentencePiece gives.

    PYTHONPATH=.oracles/python python3 scripts/oracles/make-sentencepiece-fixture.py   # with sentencepiece 0.2.0 beside it
"""
import importlib.util
import io
import json
import pathlib

import sentencepiece

OUT = pathlib.Path("test/tokenizer/sentencepiece")
spec = importlib.util.spec_from_file_location("fixtures", pathlib.Path(__file__).with_name("make-tokenizer-fixtures.py"))
fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixtures)

made = io.BytesIO()
sentencepiece.SentencePieceTrainer.train(
    sentence_iterator=iter(line for line in fixtures.TRAINING.split("\n") if line),
    model_writer=made,
    model_type="bpe",
    vocab_size=500,
    hard_vocab_limit=False,
    byte_fallback=True,
    normalization_rule_name="identity",
    remove_extra_whitespaces=False,
    split_digits=True,
    user_defined_symbols=["<river>"],
    minloglevel=2,
)
OUT.mkdir(parents=True, exist_ok=True)
(OUT / "tokenizer.model").write_bytes(made.getvalue())
processor = sentencepiece.SentencePieceProcessor(model_proto=made.getvalue())
texts = [text for text in [*fixtures.TEXTS, "the <river> runs", " two  spaces", "1234 \u4e00\U0001f600"] if text and "\x00" not in text and "<s>" not in text]
(OUT / "expected.json").write_text(json.dumps({text: processor.encode(text) for text in texts}) + "\n")
