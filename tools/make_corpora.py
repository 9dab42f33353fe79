"""Write docs/corpora.md from the metadata in ser/corpora: python -m tools.make_corpora."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ser.corpora.base import Corpus, known_corpora, load_corpus
from ser.labels import EMOTIONS, canonical_order
from ser.utils.text import join_names, pluralize

OUTPUT = Path(__file__).parents[1] / "docs" / "corpora.md"

_HEAD = """\
# Supported corpora

Generated from `ser/corpora/` by `make docs`; do not edit this page.
Use a corpus with `-S 'corpora=[NAME]'`, several with `-S 'corpora=[NAME,NAME]'`. To add one, see
[adding-a-corpus.md](adding-a-corpus.md); for your own recordings, see [own-recordings.md](own-recordings.md).

A local copy of a corpus has precedence over any download. Put it into `FOLDER/NAME/` (at any depth, zip archives too)
or `FOLDER/NAME.zip`, and set `-S download.data_dir=FOLDER`. Downloads are cached in `SER_CACHE`. Missing and unknown
recordings are listed; `-S download.allow_incomplete=true` accepts an incomplete corpus. This project contains no
recordings: each corpus has the license of its publisher.
"""

_MIXING = """\
## Mixing corpora

Number of recordings per emotion and corpus; "yes" if a corpus has the emotion, but its recordings are not listed.

{table}

**A model can learn the corpus instead of the emotion.** Each corpus has its own microphone, room and speakers. If an
emotion occurs in only one of the corpora, recognizing the corpus helps to predict the emotion, and scores rise for a
reason that is unrelated to emotion. The same holds, to a lesser degree, if emotions are distributed differently.
{gender}Use the emotions that all real corpora have:

```
-S 'emotions.use=[{use}]'
```

Merging labels can also help, for example `-S '+emotions.merge={{calm: neutral}}'`. `data/excluded.csv` lists the
clips that are then excluded.
"""


def corpora_markdown() -> str:
    """Format the page about all supported corpora.

    Returns
    -------
    str
        Markdown: a section per corpus, real ones first, and a table of corpora and emotions.
    """
    corpora = sorted(map(load_corpus, known_corpora()), key=lambda corpus: (corpus.is_synthetic, corpus.name))
    counts = {corpus.name: count_emotions(corpus) for corpus in corpora}
    sections = [_section(corpus, counts[corpus.name]) for corpus in corpora]
    return "\n".join([_HEAD, *sections, _mixing(corpora, counts)])


def count_emotions(corpus: Corpus) -> dict[str, int]:
    """Count the recordings of a corpus by emotion, in canonical order; empty if they are not listed."""
    recordings = (corpus.parse(PurePosixPath(f"{name}.wav")) for name in corpus.expected_files())
    counts = Counter(recording.emotion for recording in recordings if recording)
    return {emotion: counts[emotion] for emotion in canonical_order(list(counts))}


def _section(corpus: Corpus, counts: Mapping[str, int]) -> str:
    sexes = Counter(corpus.speaker_sex.values())
    speakers = [f"{sexes[sex]} {name}" for sex, name in (("f", "women"), ("m", "men")) if sexes[sex]]
    emotions = canonical_order(set(corpus.emotions.values()))
    example = "".join(f"`{name}`; pattern: " for name in corpus.expected_files()[:1])
    lines = {
        "Recordings": f"{corpus.n_recordings}, language `{corpus.language}`",
        "Speakers": f"{len(corpus.speaker_sex)} ({join_names(speakers)})",
        "Emotions": join_names([f"{emotion} {counts.get(emotion, '')}".strip() for emotion in emotions]),
        "Missing emotions": join_names([emotion for emotion in EMOTIONS if emotion not in emotions]),
        "Intensities": join_names(list(corpus.intensities.values())),
        "License": corpus.license_info,
        "Citation": corpus.citation,
        "URL": f"<{corpus.url}>",
        "Download": "; ".join(_downloads(corpus)),
        "File names": f"{example}`{corpus.pattern}`, in any folder and audio format",
        "Known issues": join_names(
            [f"`{name}` {reason} (rejected)" for name, reason in sorted(corpus.known_bad.items())]
        ),
        "Notes": " ".join(corpus.notes),
    }
    items = [f"- **{key}**: {text}{'' if text.endswith('.') else '.'}" for key, text in lines.items() if text]
    return f"## `{corpus.name}`\n\n{corpus.title}.\n\n" + "\n".join(items) + "\n"


def _downloads(corpus: Corpus) -> list[str]:
    if corpus.is_synthetic:
        return ["none; the recordings are synthesized locally"]
    files = corpus.published()
    if corpus.dataverse is not None:
        server = corpus.dataverse.server.removeprefix("https://")
        sources = [f"from the Dataverse {server} ({corpus.dataverse.doi}), which lists the files and their checksums"]
    elif files:
        megabytes = sum(file.size or 0 for file in files) / 1e6
        algorithm = str(files[0].known_hash).partition(":")[0]
        sources = [f"from the publisher ({pluralize(len(files), 'file')}, {megabytes:.0f} MB, verified by {algorithm})"]
    else:
        sources = ["on request: get it from the URL, then set `-S download.data_dir=FOLDER`"]
    if corpus.kaggle:
        page = f"[kaggle.com/datasets/{corpus.kaggle}](https://www.kaggle.com/datasets/{corpus.kaggle})"
        sources.append(f"a copy with `-S download.kaggle=true` (needs `requirements-kaggle.txt`): {page}")
    return sources


def _mixing(corpora: Sequence[Corpus], counts: Mapping[str, Mapping[str, int]]) -> str:
    real = [corpus for corpus in corpora if not corpus.is_synthetic]
    common = [emotion for emotion in EMOTIONS if all(emotion in corpus.emotions.values() for corpus in real)]
    sexes = [(corpus.name, set(corpus.speaker_sex.values())) for corpus in real]
    single = [f"`{name}` has only {'women' if sex == {'f'} else 'men'}" for name, sex in sexes if len(sex) == 1]
    gender = f"The gender of speakers is another confounder: {join_names(single)}.\n" if single else ""
    columns = canonical_order({*EMOTIONS, *(emotion for corpus in corpora for emotion in corpus.emotions.values())})
    rows = [["corpus", *columns], ["---", *("---:" for _ in columns)]]
    for corpus in corpora:
        cells = {emotion: str(counts[corpus.name].get(emotion, "yes")) for emotion in corpus.emotions.values()}
        rows.append([f"`{corpus.name}`", *(cells.get(emotion, "none") for emotion in columns)])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return _MIXING.format(table=table, use=",".join(common), gender=gender)


if __name__ == "__main__":
    OUTPUT.write_text(corpora_markdown(), encoding="utf-8")
