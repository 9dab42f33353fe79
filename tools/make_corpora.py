"""Write docs/corpora.md from the facts in ser/corpora: python -m tools.make_corpora."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from ser.corpora.base import Corpus, RemoteFile, known_corpora, load_corpus
from ser.labels import EMOTIONS, canonical_order
from ser.utils.text import join_names

OUTPUT = Path(__file__).parents[1] / "docs" / "corpora.md"

_HEAD = """\
# The corpora there are facts about

Made from `ser/corpora/` by `make docs`; what is wrong here is wrong there.
A corpus is used with `-S 'corpora=[NAME]'`, several with `-S 'corpora=[NAME,NAME]'`. To add one, read
[adding-a-corpus.md](adding-a-corpus.md); for recordings of your own, [own-recordings.md](own-recordings.md).

Whatever is said below about fetching, a corpus that you have is taken from your disk. Put it into `FOLDER/NAME/`, at
any depth, zips too, or as `FOLDER/NAME.zip`, and say `-S download.data_dir=FOLDER`. What is fetched waits in a cache
(`SER_CACHE`) for the next time. Recordings are counted, and each that is missing or not of the corpus is named; a part
of a corpus is enough with `-S download.allow_incomplete=true`. No recording is part of this project: the licence is
between you and the publisher.
"""

_MIXING = """\
## Mixing corpora

How many recordings of each emotion a corpus has, or that it lacks them; "yes" where it has some and the facts do not
list them.

{table}

**A model can learn the corpus instead of the emotion.** Each corpus has its own microphone, room and speakers. Where an
emotion is in one of the mixed corpora only, knowing the corpus is half of the answer, and the score rises for a reason
that has nothing to do with emotion. The same holds, less, where one corpus has far more of an emotion than another.
{single}The emotions that all real corpora have are the safe ones to mix:

```
-S 'emotions.use=[{use}]'
```

A merge can help too, such as `-S '+emotions.merge={{calm: neutral}}'`. `data/excluded.csv` names each clip that is then
in no split.
"""


def corpora_markdown() -> str:
    """Write the page about all corpora there are.

    Returns
    -------
    str
        Markdown: a section a corpus, real ones first, and a table of corpora and emotions.
    """
    corpora = sorted(map(load_corpus, known_corpora()), key=lambda corpus: (corpus.is_synthetic, corpus.name))
    counted = [(corpus, counts(corpus)) for corpus in corpora]
    return "\n".join([_HEAD, *(_section(corpus, found) for corpus, found in counted), _mixing(counted)])


def counts(corpus: Corpus) -> dict[str, int]:
    """Count a corpus's recordings by emotion, in the order of emotions; nothing where nobody listed them."""
    read = (corpus.parse(PurePosixPath(f"{name}.wav")) for name in corpus.expected_files())
    found = Counter(recording.emotion for recording in read if recording)
    return {emotion: found[emotion] for emotion in canonical_order(list(found))}


def _section(corpus: Corpus, found: Mapping[str, int]) -> str:
    speakers = _number(corpus.speaker_sex.values(), {"f": "women", "m": "men"})
    lines = {
        "Recordings": f"{corpus.n_recordings}, in the language `{corpus.language}`",
        "Speakers": f"{len(corpus.speaker_sex)}: {join_names(speakers)}",
        "Emotions": join_names(_emotions(corpus, found)),
        "Lacks": join_names(_lacking(corpus)),
        "Played": join_names(list(corpus.intensities.values())),
        "Licence": corpus.license_info,
        "Cite": corpus.citation,
        "Address": f"<{corpus.url}>",
        "Fetched": _fetched(corpus),
        "Names": _names(corpus),
        "Faulty": join_names([f"`{name}` {why}; it becomes no clip" for name, why in sorted(corpus.known_bad.items())]),
        "Good to know": " ".join(corpus.notes),
    }
    facts = "\n".join(
        f"- **{word}**: {fact}{'' if fact.endswith('.') else '.'}" for word, fact in lines.items() if fact
    )
    return f"## `{corpus.name}`\n\n{corpus.title}.\n\n{facts}\n"


def _number(values: Iterable[str], words: Mapping[str, str]) -> list[str]:
    found = Counter(values)
    return [f"{found[value]} {word}" for value, word in words.items() if found[value]]


def _emotions(corpus: Corpus, found: Mapping[str, int]) -> list[str]:
    return [f"{emotion} {found.get(emotion, '')}".strip() for emotion in canonical_order(set(corpus.emotions.values()))]


def _lacking(corpus: Corpus) -> list[str]:
    return [emotion for emotion in EMOTIONS if emotion not in corpus.emotions.values()]


def _fetched(corpus: Corpus) -> str:
    """Say where recordings come from that are not on the user's disk."""
    if corpus.is_synthetic:
        return "never; it is made on your machine, without a network"
    return "; ".join(way for way in (_official(corpus), _copy(corpus)) if way)


def _official(corpus: Corpus) -> str:
    files = corpus.published()
    if corpus.dataverse is not None:
        server = corpus.dataverse.server.removeprefix("https://")
        return f"from the Dataverse {server} ({corpus.dataverse.doi}), which lists the files and their checksums"
    if files:
        return f"from where it is published, {_size(files)}, and checked ({str(files[0].known_hash).partition(':')[0]})"
    return "not without asking: get it from the address, then say `-S download.data_dir=FOLDER`"


def _size(files: Sequence[RemoteFile]) -> str:
    megabytes = sum(file.size or 0 for file in files) / 1e6
    return (
        f"{len(files)} file{'s' if len(files) > 1 else ''} of {megabytes:.0f} MB{' together' if len(files) > 1 else ''}"
    )


def _copy(corpus: Corpus) -> str:
    if not corpus.kaggle:
        return ""
    page = f"[kaggle.com/datasets/{corpus.kaggle}](https://www.kaggle.com/datasets/{corpus.kaggle})"
    return f"with `-S download.kaggle=true`, and what `requirements-kaggle.txt` installs, a copy from {page}"


def _names(corpus: Corpus) -> str:
    example = "".join(f"`{name}`, and in general " for name in corpus.expected_files()[:1])
    return f"{example}`{corpus.pattern}`, in any folder and of any audio format"


def _mixing(counted: Sequence[tuple[Corpus, Mapping[str, int]]]) -> str:
    real = [corpus for corpus, _ in counted if not corpus.is_synthetic]
    shared = [emotion for emotion in EMOTIONS if all(emotion in corpus.emotions.values() for corpus in real)]
    single = [
        f"`{corpus.name}` has only {_sex(corpus)}" for corpus in real if len(set(corpus.speaker_sex.values())) == 1
    ]
    voices = f"Voices matter as well: {join_names(single)}.\n" if single else ""
    return _MIXING.format(table=_table(counted), use=",".join(shared), single=voices)


def _sex(corpus: Corpus) -> str:
    return {"f": "women", "m": "men"}[next(iter(corpus.speaker_sex.values()))]


def _table(counted: Sequence[tuple[Corpus, Mapping[str, int]]]) -> str:
    emotions = canonical_order({*EMOTIONS, *(emotion for corpus, _ in counted for emotion in corpus.emotions.values())})
    rows = [["corpus", *emotions], ["---", *("---:" for _ in emotions)]]
    for corpus, found in counted:
        had = {emotion: str(found.get(emotion, "yes")) for emotion in corpus.emotions.values()}
        rows.append([f"`{corpus.name}`", *(had.get(emotion, "lacks") for emotion in emotions)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    OUTPUT.write_text(corpora_markdown(), encoding="utf-8")
