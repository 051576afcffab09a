"""Tokenizers of encoders and the ids that Rust's `tokenizers` gives, for test/tokenizer/framed.test.ts.

    PYTHONPATH=.oracles/python python3 scripts/oracles/make-encoder-fixtures.py

Writes test/tokenizer/encoders/<name>/tokenizer.json and expected.json: by text the ids without the tokens around a
sentence, and `around`, those before and behind it.
"""
import importlib.util
import json
import pathlib

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

OUT = pathlib.Path("test/tokenizer/encoders")
spec = importlib.util.spec_from_file_location("fixtures", pathlib.Path(__file__).with_name("make-tokenizer-fixtures.py"))
fixtures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fixtures)

TEXTS = [
    *fixtures.TEXTS,
    "[CLS] The river [SEP][MASK]ed, [mask] and[PAD]",
    "Éclair naïve ÅNGSTRÖM İstanbul ΣΊΣΥΦΟΣ straße e\u0301 \u1e9e",
    "川海river漢字，かな。\u3400\U00020000\uf900",
    "zero\u200bwidth soft\u00adhyphen \x00null\x07bell\ufffd tab\there\x0b",
    "$5 + 3 = <8> ^ `code` a|b ~ c\u2014d \u00a1\u00bf \u00b7",
    "word" * 30 + " " + "x" * 100 + " " + "y" * 101,
    "unknowable \u4e00 \u2603 \U0001f600a",
]


def word_piece(lower, accents, chinese=True, clean=True, processor=None):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lower, strip_accents=accents, handle_chinese_chars=chinese, clean_text=clean)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(fixtures.TRAINING.split("\n"), trainers.WordPieceTrainer(vocab_size=300, special_tokens=special))
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processor or processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(fixtures.TRAINING.split("\n"), trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def main():
    kinds = {
        "uncased": word_piece(True, None),
        "cased": word_piece(False, None, processor=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))),
        "bare": word_piece(True, False, chinese=False, clean=False),
        "roberta": roberta(),
    }
    for name, tokenizer in kinds.items():
        folder = OUT / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        around = tokenizer.encode("the").ids
        inner = tokenizer.encode("the", add_special_tokens=False).ids
        at = next(i for i in range(len(around)) if around[i : i + len(inner)] == inner)
        ids = {text: tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS}
        expected = {"around": [around[:at], around[at + len(inner) :]], "ids": ids}
        (folder / "expected.json").write_text(json.dumps(expected, ensure_ascii=True) + "\n")


main()
