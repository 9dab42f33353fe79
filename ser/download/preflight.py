"""Validate the settings before DVC removes the outputs of changed stages."""

from pathlib import Path

from ser import paths
from ser.corpora.base import published_folds
from ser.download.corpus import describe_corpus
from ser.params import Params, read_params


def check(path: Path = paths.PARAMS) -> Params:
    """Read the settings, and validate corpora and published folds, which stages would only reject later.

    Raises
    ------
    UserError
        If a setting is invalid, a corpus is unknown, or the published folds do not exist.
    """
    params = read_params(path)
    for name in params.corpora:
        describe_corpus(name, params.custom_corpora)
    published_folds(params.corpora, params.split.fold_table)
    return params
