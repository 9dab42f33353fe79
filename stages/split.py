"""Decide which clips are trained, validated and tested on."""

import typer

from ser import paths
from ser.corpora.base import published_folds
from ser.dataset.clips import read_clips
from ser.dataset.protocol import told
from ser.dataset.selection import choose
from ser.dataset.splits import split_clips
from ser.params import read_params
from ser.utils.errors import one_sentence
from ser.utils.files import write_text
from ser.utils.text import count


@one_sentence
def main() -> None:
    """Decide which clips are trained, validated and tested on.

    Reads data/functionals, of which only what is known of each clip; writes data/splits.csv: clip_id, emotion, fold,
    part, one row a clip and fold; and which clips are in no part, with the reason, to data/left_out.csv.
    """
    params = read_params()
    clips = read_clips(map(paths.functionals, params.corpora))
    published = published_folds(params.corpora, params.split.table)
    splits = split_clips(clips, params.split, emotions=params.emotions, seed=params.seed, published=published)
    left_out = choose(clips, params.emotions)[1]
    write_text(paths.SPLITS, splits.to_csv(index=False, lineterminator="\n"))
    write_text(paths.LEFT_OUT, left_out.to_csv(index=False, lineterminator="\n"))
    typer.echo("\n".join(told(clips, splits)))
    for reason, group in left_out.groupby(left_out.reason.str.replace(r"as (\w+)/.*", r"as a clip of \1", regex=True)):
        typer.echo(f"{count(len(group), 'clip is', 'clips are')} in no part: {reason} ({paths.LEFT_OUT})")


if __name__ == "__main__":
    typer.run(main)
