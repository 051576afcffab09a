"""The byte-level BPE vocabulary that both tiny models share."""

import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SIZE = 2048
# Ids 0 and 1. The first both ends a document and starts a sequence; padding has its own id because
# transformers' OPT never trains the padding row.
BOUNDARY = '<|endoftext|>'
PADDING = '<|pad|>'
BOUNDARY_ID = 0
PADDING_ID = 1


def train(texts: list[str]) -> Tokenizer:
    """GPT-2's pre-tokenizer, so that llama.cpp's `gpt-2` splits text the same way; it adds no BOS."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=SIZE,
        special_tokens=[BOUNDARY, PADDING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, positions: int) -> None:
    tokenizer.save(str(folder / 'tokenizer.json'))
    settings = {
        'tokenizer_class': 'PreTrainedTokenizerFast',
        'add_bos_token': False,
        'bos_token': BOUNDARY,
        'eos_token': BOUNDARY,
        'pad_token': PADDING,
        'clean_up_tokenization_spaces': False,
        'model_max_length': positions,
    }
    (folder / 'tokenizer_config.json').write_text(json.dumps(settings, indent=2) + '\n')
