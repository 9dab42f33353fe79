"""Assign clips to train, validation and test splits."""

import typer

from ser import paths
from ser.corpora.base import published_folds
from ser.dataset.clips import read_clips
from ser.dataset.protocol import format_split_summary
from ser.dataset.selection import describe_selection, select_clips
from ser.dataset.splits import split_clips
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import write_text


@handle_user_errors
def main() -> None:
    """Assign clips to train, validation and test splits.

    Reads the metadata of clips from data/features/functionals; writes data/splits.csv (clip_id, emotion, fold, split;
    one row per clip and fold) and data/excluded.csv (clips in no split, with the reason).
    """
    params = read_params()
    clips = read_clips(map(paths.functionals, params.corpora))
    published = published_folds(params.corpora, params.split.fold_table)
    splits = split_clips(clips, params.split, emotions=params.emotions, seed=params.data_seed, published=published)
    excluded = select_clips(clips, params.emotions)[1]
    write_text(paths.SPLITS, splits.to_csv(index=False, lineterminator="\n"))
    write_text(paths.EXCLUDED, excluded.to_csv(index=False, lineterminator="\n"))
    notes = describe_selection(clips, excluded, params.emotions, file=paths.EXCLUDED)
    typer.echo("\n".join([*format_split_summary(clips, splits), *notes]))


if __name__ == "__main__":
    typer.run(main)
