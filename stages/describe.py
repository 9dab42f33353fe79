"""Show what data a run is made of: who says what, what it sounds like, what preprocessing did, what was left out."""

import pandas as pd
import typer

from ser import paths
from ser.dataset.clips import read_clips
from ser.labels import label_map
from ser.params import read_params
from ser.reporting import data_report
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main() -> None:
    """Show what data a run is made of: who says what, what it sounds like, what preprocessing did, what was left out.

    Reads data/raw, data/recordings, data/audio_stats, data/rejected, data/interim and data/excluded.csv; writes
    reports/data.html and the pictures in it to reports/corpora.
    """
    params = read_params()
    data_report.write(
        paths.DATA_REPORT,
        paths.DATA_FIGURES,
        sources=data_report.load_corpus_tables(params.corpora, custom_corpora=params.custom_corpora),
        clips=read_clips(map(paths.clips, params.corpora)),
        left_out=pd.read_csv(paths.EXCLUDED),
        left_out_file=str(paths.EXCLUDED),
        labels=label_map(params.emotions.classes, params.emotions.merge),
        settings=params.preprocess,
        features=params.features,
    )


if __name__ == "__main__":
    typer.run(main)
