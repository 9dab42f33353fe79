"""Decode, denoise, trim and level-normalize the recordings of a corpus."""

from dataclasses import asdict
from typing import Annotated

import typer

from ser import paths
from ser.dataset.clips import AUDIO, clip_writer
from ser.dataset.preprocess import REJECTED_COLUMNS, STATS_COLUMNS, PreprocessingLog, make_clips
from ser.dataset.recordings import read_recordings
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import write_csv, write_json
from ser.utils.text import pluralize


@handle_user_errors
def main(corpus: Annotated[str, typer.Option(help="Name of the corpus, such as demo, ravdess or tess.")]) -> None:
    """Decode, denoise, trim and level-normalize the recordings of a corpus.

    Reads data/raw/CORPUS and data/recordings/CORPUS.csv; writes data/interim/CORPUS.parquet, the rejected recordings
    with their reasons to data/rejected/CORPUS.csv, and levels and durations of the recordings to
    data/audio_stats/CORPUS.csv.
    """
    settings = read_params().preprocess
    recordings, log = read_recordings(paths.recordings(corpus)), PreprocessingLog()
    clips = make_clips(paths.raw(corpus), recordings, settings, corpus=corpus, log=log)
    with clip_writer(paths.clips(corpus), payload=AUDIO) as write:
        for rows in clips:
            write(rows)
        write_csv(paths.rejected(corpus), map(asdict, log.rejected), columns=REJECTED_COLUMNS)
        if log.rejected:
            n_recordings = log.counts()["recordings"]
            typer.echo(f"{len(log.rejected)} of {n_recordings} recordings rejected: {paths.rejected(corpus)}")
        if n_segmented := log.counts()["segmented"]:
            recordings_were = pluralize(n_segmented, "recording was", "recordings were")
            typer.echo(f"{recordings_were} split at pauses into segments: {paths.audio_stats(corpus)}")
        if n_flagged := sum(bool(row["flags"]) for row in log.stats):
            flags = ", ".join(sorted({flag for row in log.stats for flag in row["flags"].split()}))
            typer.echo(f"{pluralize(n_flagged, 'recording')} repaired ({flags}): {paths.audio_stats(corpus)}")
        log.check(corpus=corpus, max_rejected_fraction=settings.max_rejected_fraction)
    write_csv(paths.audio_stats(corpus), log.stats, columns=STATS_COLUMNS)
    write_json(paths.preprocess_metrics(corpus), log.counts())


if __name__ == "__main__":
    typer.run(main)
