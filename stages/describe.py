"""Write the data report: clips, speakers, preprocessing examples, warnings and exclusions."""

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
    """Write the data report: clips, speakers, preprocessing examples, warnings and exclusions.

    Reads data/raw, data/recordings, data/audio_stats, data/rejected, data/interim and data/excluded.csv; writes
    reports/data.html and its figures to reports/data.
    """
    params = read_params()
    data_report.write(
        paths.DATA_REPORT,
        paths.DATA_FIGURES,
        sources=data_report.load_corpus_tables(params.corpora, custom_corpora=params.custom_corpora),
        clips=read_clips(map(paths.clips, params.corpora)),
        excluded=pd.read_csv(paths.EXCLUDED),
        excluded_file=str(paths.EXCLUDED),
        labels=label_map(params.emotions.classes, params.emotions.merge),
        settings=params.preprocess,
        features=params.features,
    )


if __name__ == "__main__":
    typer.run(main)
