"""Trains tiny tokenizers of every supported kind and stores the ids that Rust's `tokenizers` gives.

Run from the repository root, with tokenizers 0.23.3 and transformers 5.24 on PYTHONPATH:
    python3 scripts/oracles/make-tokenizer-fixtures.py
Writes test/tokenizer/fixtures/<name>/{tokenizer.json,tokenizer_config.json,expected.json},
test/tokenizer/fixtures/scored.json and variants.json. With `variants` only the last. The training text stands below and was written for this purpose.
"""

import hashlib
import json
import pathlib
import subprocess
import sys

import numpy
import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path("test/tokenizer/fixtures")

TRAINING = """The river rises in the hills and runs for 120 miles to the sea. In 1874 a stone bridge was built
over it, and the town's first mill followed in 1881. They've said it wasn't the best place; she'd say it's fine.
Millers carried 3,500 sacks of flour a year, about 10 a day, through the narrow lanes to the market.
  The bridge was closed in 2003 for repairs .  It was opened again , a year later , by the mayor .
\tHe said : "We'll keep it open . We're proud of it ." Many thanks ! I'm sure you'd agree ...
= The mill =

The mill has four floors, two water wheels and one engine. Its walls are thick, its windows small; the roof
is made of slate. Water wheels turned the stones until 1931, when the engine (of 40 horse power) took over.
In winter the river freezes. In summer the children swim in it, and the miller's boat takes visitors to the sea.
Für die Mühle brauchte man Wasser. La rivière est belle en été. Река течёт к морю. 川は海へ流れる。
"""

# Every text that once made two tokenizers differ, or could.
TEXTS = [
    "The river rises in the hills.",
    " leading space and trailing space ",
    "  two spaces\n\nblank line\n   indented\t\ttabs \n",
    "it's they've WE'LL I'M she'D 'tis ' s 'll",
    "long s: it'\u017f, '\u017f 'K\u212a",
    "digits 1234567 12,345.67 1st x2y3 007",
    "other digits \u00b2\u00b3 \u00bd \u0663\u0664\u0665 \u2167 \u3007 \u0967\u0968 1\u00b2\u0663",
    "spaces a\u00a0b\u2003c\u3000d\u0085e\ufefff\u200bg\u2028h\u180ei \ufeff \u0085 \u00a0 ",
    "composed \u00e9 and decomposed e\u0301, \uac00 and \u1100\u1161, \u212b \ufb01 \u2460",
    "\u0420\u0435\u043a\u0430 \u0442\u0435\u0447\u0451\u0442, \u5ddd\u306f\u6d77\u3078\u6d41\u308c\u308b\u3002\u5ddd\u3001\u6d77\uff01 \u0e41\u0e21\u0e48\u0e19\u0e49\u0e33",
    "emoji \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001d49c\U00010348!",
    "punctuation ...!!! (a) [b] {c} <d> --- a--b @-@ @.@ $5 %x #y *z* a_b_c \\n \u2014 \u2026",
    "special <s> tokens</s>in <unk> text <|end|><|end|> x<pad>y </s> <extra> <extra>z a<extra> ",
    "<s>The river</s>",
    "x" * 300 + " " * 40 + "y" + "\n" * 9 + "z",
    "A",
    " ",
    "\n",
    "\u2581literal\u2581\u2581signs \u2581",
    "<0x41> <0xZZ> \x00\x01\x7f",
    "signs!\n\n(a)\r\nb; \r\n c...\r\r\n\n- d ?!\n 1\n22\r\n333\n4444",
    "marks e\u0301\u0323 \u0301x 1\u0301 !\u0301 _a\u0308_",
    "normal marks \u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u094d\u0937\u0947\u0924\u094d\u0930 \u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd x\u0301 \u0301y 1\u0301 !\u0301",
]

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# With the line ends themselves in its classes, as llama-vocab.cpp quotes it.
SEED = (
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}"
    "| ?[^\\s\\p{L}\\p{N}\r\n]+|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"
)
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# What llama.cpp cuts by, one after the other, where a file says "default" or nothing (llama-vocab.cpp).
LLAMA_CPP = (
    r"[\p{P}\$\+<=>\^~\|]+",
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"\p{N}+",
    r"[0-9][0-9][0-9]",
)


def split(*patterns):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in patterns]
        + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def matches(pattern):
    """What `split` cuts, as the converters of OpenAI's vocabularies write it."""
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def with_unmerged(tokenizer):
    """With words of TEXTS that no merge makes: `ignore_merges` decides whether they are found."""
    data = json.loads(tokenizer.to_str())
    for token in ["\u0120decomposed", "composed", "123"]:
        assert token not in data["model"]["vocab"]
        data["model"]["vocab"][token] = len(data["model"]["vocab"])
    return Tokenizer.from_str(json.dumps(data))


def byte_level(pre, normalizer=None, specials=("<s>", "</s>", "<pad>"), ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=520,
        show_progress=False,
        special_tokens=list(specials),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([TRAINING], trainer)
    return tokenizer


def sentencepiece_like(metaspace):
    """Trained on words that begin with their space, then used as Llama 2's converted vocabulary is."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=620,
        show_progress=False,
        limit_alphabet=60,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)],
    )
    tokenizer.train_from_iterator([TRAINING], trainer)
    bare = json.loads(tokenizer.to_str())
    bare["added_tokens"] = bare["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(bare))
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        tokenizer.pre_tokenizer = None
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def spaced_merges():
    """Merges across words (as Gemma has some): this text cannot be cut at spaces."""
    tokenizer = sentencepiece_like(False)
    data = json.loads(tokenizer.to_str())
    model = data["model"]
    for left, right in [("n\u2581", "t"), ("n", "\u2581")]:
        model["vocab"].setdefault(left + right, len(model["vocab"]))
        model["merges"].insert(0, [left, right])
    assert "n\u2581" in model["vocab"]
    return Tokenizer.from_str(json.dumps(data))


def with_added(tokenizer):
    tokenizer.add_special_tokens(["<|end|>"])
    tokenizer.add_tokens([AddedToken("<extra>", lstrip=True, rstrip=True, normalized=False, special=False)])
    return tokenizer


def long_text(texts):
    """Longer than any chunk; the tests build the same."""
    picked = [texts[(7 * i + i // 3) % len(texts)] for i in range(900)]
    return "".join(text + ("" if i % 4 else " and ") for i, text in enumerate(picked))


def ids_of(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def write(name, tokenizer, config):
    import transformers

    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    data = json.loads(tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    long_ids = numpy.array(ids_of(tokenizer, long_text(TEXTS)), dtype="<i4")
    ids = [ids_of(tokenizer, text) for text in TEXTS]
    expected = {
        "versions": {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__},
        "texts": TEXTS,
        "ids": ids,
        "decoded": [tokenizer.decode(row, skip_special_tokens=False) for row in ids],
        "long": {"count": len(long_ids), "sha256": hashlib.sha256(long_ids.tobytes()).hexdigest()},
    }
    (folder / "expected.json").write_text(json.dumps(expected))


def write_scored():
    """A scored vocabulary with ties, as GGUF files of Llama 2 hold one, and the merges transformers makes."""
    from transformers.tokenization_utils_base import generate_merges

    source = json.loads(sentencepiece_like(False).to_str())
    tokens = sorted(source["model"]["vocab"], key=source["model"]["vocab"].get)
    # Some longer pieces share a score, so that every rule for ties counts.
    scores = [0.0 if i < 259 else -float(i // 3 if i % 2 else i) for i in range(len(tokens))]
    merges = generate_merges({token: i for i, token in enumerate(tokens)}, dict(zip(tokens, scores)))
    source["model"]["merges"] = [list(pair) for pair in merges]
    tokenizer = Tokenizer.from_str(json.dumps(source))
    types = [2, 3, 3] + [6] * 256 + [1] * (len(tokens) - 259)
    result = {
        "tokens": tokens,
        "scores": scores,
        "types": types,
        "merges": merges,
        "texts": TEXTS,
        "ids": [ids_of(tokenizer, text) for text in TEXTS],
    }
    (OUT / "scored.json").write_text(json.dumps(result, ensure_ascii=False))


def sha256(text):
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def write_variants(count=600):
    """What Rust makes of the variants of test/hostile/tokenizers.ts, by seed."""
    node = ["node", "-r", "./scripts/lib/ts-register.js", "test/hostile/print-tokenizers.ts", "0", str(count)]
    requests = subprocess.run(node, check=True, capture_output=True, text=True).stdout
    oracle = [sys.executable, "test/real/tokenizer_differential.py"]
    answers = subprocess.run(oracle, input=requests, check=True, capture_output=True, text=True).stdout
    lines = []
    for request, answer in zip(requests.strip().split("\n"), answers.strip().split("\n"), strict=True):
        request, answer = json.loads(request), json.loads(answer)
        asked = sha256("\0".join([request["json"], *request["texts"]]))
        said = None
        if "ids" in answer:
            ids = ";".join(",".join(map(str, row)) for row in answer["ids"])
            said = sha256("\0".join([ids, *answer["decoded"]]))
        lines.append(json.dumps({"asked": asked, "said": said}))
    (OUT / "variants.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main():
    if sys.argv[1:] == ["variants"]:
        write_variants()
        return
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    config = {"bos_token": "<s>", "eos_token": "</s>", "tokenizer_class": "PreTrainedTokenizerFast"}
    write("gpt2", with_added(byte_level(plain)), config)
    write("gpt2-prefix", with_added(byte_level(pre_tokenizers.ByteLevel(add_prefix_space=True))), config)
    digits = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), plain])
    write("smollm", with_added(byte_level(digits)), config)
    write("llama3", with_added(with_unmerged(byte_level(split(LLAMA3), ignore_merges=True))), config)
    write("dbrx", with_added(with_unmerged(byte_level(matches(LLAMA3)))), config)
    write("qwen2", with_added(byte_level(split(QWEN2), normalizers.NFC())), config)
    write("qwen35", with_added(byte_level(split(QWEN35), normalizers.NFC())), config)
    write("seed", with_added(byte_level(split(SEED))), config)
    write("tekken", with_added(byte_level(split(TEKKEN), ignore_merges=True)), config)
    write("o200k", with_added(byte_level(split(O200K))), config)
    write("llama-cpp", with_added(byte_level(split(*LLAMA_CPP))), config)
    config = {**config, "unk_token": "<unk>"}
    write("llama2", with_added(sentencepiece_like(False)), config)
    write("llama2-metaspace", with_added(sentencepiece_like(True)), config)
    write("spaced-merges", spaced_merges(), config)
    write_scored()
    write_variants()


if __name__ == "__main__":
    main()
