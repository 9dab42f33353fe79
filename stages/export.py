"""Convert trained models into self-contained folders for inference."""

from functools import cache

import typer

from ser import paths
from ser.corpora.base import published_folds, speech_styles
from ser.dataset.clip_metadata import is_unknown_speaker
from ser.dataset.clips import read_clips
from ser.dataset.protocol import describe_protocol
from ser.dataset.run_data import describe_data
from ser.export import export as exporting
from ser.export.export import PipelineSettings, TrainedModel
from ser.params import read_params
from ser.utils.errors import handle_user_errors


@handle_user_errors
def main() -> None:
    """Convert trained models into self-contained folders for inference.

    Reads models/checkpoints, data/features/frames, data/features/functionals, data/splits.csv,
    data/excluded.csv and reports/leaderboard.csv; writes models/exported and reports/models.csv (model, card_md5,
    bytes).
    """
    params = read_params()
    corpora = sorted(params.corpora)
    frames, functionals = tuple(map(paths.frames, corpora)), tuple(map(paths.functionals, corpora))
    clips = read_clips(functionals)
    unknown = sorted(clips.corpus[is_unknown_speaker(clips)].unique())
    published = published_folds(corpora, params.split.fold_table)
    protocol = describe_protocol(corpora, params.split, unknown=unknown, published=published)
    scores = exporting.read_scores(paths.LEADERBOARD_CSV, protocol=protocol)
    styles = speech_styles(corpora, params.custom_corpora)
    data = describe_data(functionals, paths.SPLITS, paths.EXCLUDED, styles=styles)
    settings = PipelineSettings(params.preprocess, params.features, params.train_lstm)
    statistics = cache(exporting.training_statistics)
    for name in ["lstm", *params.baselines]:
        inputs = frames if name == "lstm" else functionals
        trained = TrainedModel(name, paths.checkpoint(name), inputs, paths.SPLITS)
        exporting.export(paths.exported(name), trained, settings, scores=scores[name], data=data, statistics=statistics)
    exporting.write_model_index(paths.EXPORTED, paths.MODELS_CSV)


if __name__ == "__main__":
    typer.run(main)
