"""Tokenizers of encoders and the ids that Rust's `tokenizers` gives, for test/tokenizer/framed.test.ts.

    PYTHONPATH=.oracles/python python3 scripts/oracles/make-encoder-fixtures.py   # with sentencepiece 0.2.0 beside it

Writes test/tokenizer/encoders/<name>/tokenizer.json and expected.json: by text the ids without the tokens around a
sentence, and `around`, those before and behind it. nmt-nfkc.json.gz beside them has one tokenizer with the ids of random texts.
"""
import importlib.util
import io
import json
import pathlib
import struct
import tempfile

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

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
    "a\u0301b ab\u0301 e\u0301\u0301 \ufb01nd \u00bd\u00bd \r\n \U0001d400\U0001d401 <mask> <s>x  two   spaces \u3000wide ",
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


# What stands for what in a table of SentencePiece's, which has some of NFKC: code points, a tab, code points.
TABLE = {
    "\n": " ", "\t": " ", "\r\n": " ", "\u00a0": " ", "\u3000": " ", "\u200b": "", "\u00ad": "", "\ufb01": "fi", "\u00bd": "1\u20442",
    "e\u0301": "\u00e9", "\uff41": "a", "\u2460": "1", "\u1e9e": "SS", "\uff0c": ",", "\u0132": "IJ", "\U0001d400": "A", "ab\u0301": "?",
}


def fields(message):
    """Number and value of every field of a protobuf message, as far as a SentencePiece model has kinds of them."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        size = {1: 8, 5: 4}.get(key & 7)
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        if size is None:
            size = varint()
        yield key >> 3, message[at : at + size]
        at += size


def trained(lines, **settings):
    """Pieces with their scores, and the table of replacements, of a SentencePiece model."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=made, model_type="unigram", minloglevel=2, **settings
    )
    found = list(fields(made.getvalue()))
    pieces = [dict(fields(value)) for number, value in found if number == 1]
    vocab = [(piece[1].decode(), struct.unpack("<f", piece[2])[0]) for piece in pieces]
    return vocab, dict(fields(next(value for number, value in found if number == 3)))[2]


def unigram(lines, newer, **settings):
    """As transformers converts XLM-R's: the older way, and the newer one with tokens for bytes."""
    vocab, table = trained(lines, **settings)
    around = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    vocab = around + [piece for piece in vocab if piece[0] not in dict(around)]
    if newer:
        vocab += [(f"<0x{byte:02X}>", -20.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocab, 3, byte_fallback=newer))
    precompiled = normalizers.Precompiled(table)
    if newer:
        strip = normalizers.Strip(left=False, right=True)
        tokenizer.normalizer = normalizers.Sequence([precompiled, strip, normalizers.Replace(Regex(" {2,}"), "\u2581")])
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    else:
        tokenizer.normalizer = normalizers.Sequence([precompiled, normalizers.Replace(Regex(" {2,}"), " ")])
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([token for token, _ in around] + ["<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def small_unigram(newer):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        points = lambda text: " ".join(f"{ord(character):X}" for character in text)
        rules.write("".join(f"{points(key)}\t{points(value)}\n" for key, value in TABLE.items()))
        rules.flush()
        lines = [line for line in fixtures.TRAINING.split("\n") if line]
        return unigram(lines, newer, vocab_size=220, hard_vocab_limit=False, normalization_rule_tsv=rules.name, character_coverage=0.99)


def main():
    kinds = {
        "uncased": word_piece(True, None),
        "cased": word_piece(False, None, processor=processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))),
        "bare": word_piece(True, False, chinese=False, clean=False),
        "roberta": roberta(),
        "xlm-r": small_unigram(False),
        "xlm-r-newer": small_unigram(True),
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


def text_of(random):
    """Characters of all planes, those that normal forms change and join among them, between words of the mix."""
    ranges = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x600), (0x900, 0x980), (0xE00, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2200),
              (0x2460, 0x2500), (0x3000, 0x3100), (0x3130, 0x3400), (0x4E00, 0x4F00), (0xAC00, 0xAD00), (0xF900, 0xFB50), (0xFDF0, 0xFE70),
              (0xFF00, 0xFFF0), (0x1D400, 0x1D800), (0x1F100, 0x1F200), (0x1F600, 0x1F650)]  # fmt: skip
    return "".join(
        random.choice(["the ", "river ", " ", "  ", "\n", "\r\n", "e\u0301", "\u0301"])
        if random.random() < 0.3
        else chr(random.randrange(*random.choice(ranges)))
        for _ in range(random.randrange(1, 60))
    )


def nmt_nfkc():
    """XLM-R's own table, and texts that meet it: packed, for it is large."""
    import gzip
    import random

    source = random.Random(1)
    lines = [line for line in pathlib.Path("assets/text/mix.txt").read_text().split("\n") if line][:4000]
    tokenizer = unigram(lines, False, vocab_size=3000, hard_vocab_limit=False, character_coverage=0.999, normalization_rule_name="nmt_nfkc")
    texts = [text_of(source) for _ in range(600)]
    ids = {text: tokenizer.encode(text, add_special_tokens=False).ids for text in texts}
    packed = {"tokenizer": json.loads(tokenizer.to_str()), "ids": ids}
    pathlib.Path("test/tokenizer/nmt-nfkc.json.gz").write_bytes(gzip.compress(json.dumps(packed).encode(), 9, mtime=0))


main()
nmt_nfkc()
