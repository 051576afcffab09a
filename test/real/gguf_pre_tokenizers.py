"""A GGUF file under other names of its pre-tokenizer: gguf_pre_tokenizers.py FILE FOLDER NAME... writes FOLDER/NAME.gguf, by gguf-py."""

import sys
from pathlib import Path

import gguf
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

file, folder, *names = sys.argv[1:]
for name in names:
    reader = gguf.GGUFReader(file)
    architecture = reader.get_field(gguf.Keys.General.ARCHITECTURE).contents()
    writer = gguf.GGUFWriter(Path(folder, f"{name}.gguf"), arch=architecture)
    details = MetadataDetails(gguf.GGUFValueType.STRING, name)
    copy_with_new_metadata(reader, writer, {gguf.Keys.Tokenizer.PRE: details}, [])
