"""Settings that no run can have, refused before DVC clears the outputs of what has changed."""

from pathlib import Path

from ser import paths
from ser.corpora.base import published_folds
from ser.download.corpus import describe_corpus
from ser.params import Params, read_params


def check(path: Path = paths.PARAMS) -> Params:
    """Read settings, and refuse what stages would only refuse later.

    Raises
    ------
    UserError
        If a setting is wrong, a corpus is unknown, or nobody published the folds that the run is to have.
    """
    params = read_params(path)
    for name in params.corpora:
        describe_corpus(name, params.own)
    published_folds(params.corpora, params.split.table)
    return params
