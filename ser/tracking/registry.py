"""Models in MLflow's registry: what can be served, and which of them is the champion."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ser
from ser.utils.errors import UserError
from ser.utils.wav import harmonic_tone, wav_bytes

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

NAME = "speech-emotion"
DESCRIPTION = (
    "Emotions of a voice. A version a model of an experiment; **challenger** is the best of the newest experiment, "
    "**champion** what `python -m stages.promote --run RUN` chose."
)
CHALLENGER, CHAMPION = "challenger", "champion"
PREDICTIONS = "predictions"
"""The folder of a run's artifacts that holds the model's prediction table."""
PACKAGE = Path(ser.__path__[0])
"""The library, which a model in the registry carries along."""
COMMON = (
    "joblib",
    "librosa",
    "mlflow",
    "noisereduce",
    "numpy",
    "pandas",
    "pydantic",
    "pyloudnorm",
    "PyYAML",
    "scipy",
    "soundfile",
    "soxr",
    "threadpoolctl",
    "tqdm",
)
NEEDED = {"network": (*COMMON, "onnxruntime"), "baseline": (*COMMON, "scikit-learn", "skops")}
"""What a served model imports, by its kind."""


@dataclass(frozen=True)
class ModelBundle:
    """A model to be served.

    Attributes
    ----------
    name
        Such as ``lstm``.
    folder
        Where it lies, whole.
    kind
        A key of `NEEDED`.
    labels
        The emotions that it tells apart.
    """

    name: str
    folder: Path
    kind: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes
    ----------
    number, run_id
        Its number, and the run that holds it.
    predictions
        The prediction table of this model.
    """

    number: str
    run_id: str
    predictions: "pd.DataFrame"


def register(run_id: str, model: ModelBundle, *, best: bool) -> str:
    """Log a model in its run, and register it as a version of `NAME`.

    Parameters
    ----------
    run_id
        Of the model's run.
    model
        What is served.
    best
        Whether it is the best of its experiment, and so the new challenger.

    Returns
    -------
    str
        The id of the logged model, for metrics to name.
    """
    import mlflow

    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name=model.name,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"model": str(model.folder)},
            code_paths=[str(PACKAGE)],
            pip_requirements=[f"{name}=={version(name)}" for name in NEEDED[model.kind]],
            signature=signature(model.labels),
            input_example=example(),
        )
    client = mlflow.MlflowClient()
    _make_registry(client)
    tags = {"model": model.name}
    made = client.create_model_version(NAME, logged.model_uri, run_id, tags=tags, model_id=logged.model_id)
    if best:
        client.set_registered_model_alias(NAME, CHALLENGER, made.version)
    return str(logged.model_id)


def _make_registry(client: "MlflowClient") -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode

    try:
        client.create_registered_model(NAME, description=DESCRIPTION)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
            raise


def signature(labels: tuple[str, ...]) -> "ModelSignature":
    """Say what a served model takes and gives, a row a recording.

    It takes one of: `path` on the machine that serves; `audio`, a file's bytes, in JSON as base64; `samples` with
    their `rate` in Hz.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

    taken: list[tuple[str, Any]] = [
        ("path", DataType.string),
        ("audio", DataType.binary),
        ("samples", Array(DataType.double)),
        ("rate", DataType.double),
    ]
    numbers = ["confidence", *(f"p_{label}" for label in labels)]
    given = [("label", DataType.string), *((name, DataType.double) for name in numbers)]
    said = [("flags", DataType.string), ("error", DataType.string)]
    return ModelSignature(
        inputs=Schema([ColSpec(kind, name, required=False) for name, kind in taken]),
        outputs=Schema([ColSpec(kind, name, required=False) for name, kind in [*given, *said]]),
    )


def example() -> "pd.DataFrame":
    """Make a recording to try a model with: a voiceless buzz of 0.5 s, as the bytes of a WAV file."""
    import pandas as pd

    buzz = harmonic_tone(seconds=0.5, rate=8000, n_harmonics=5) * 4000
    return pd.DataFrame({"audio": [wav_bytes(buzz.astype(np.int16), rate=8000)]})


# Champions ------------------------------------------------------------------------------------------------------------


def version_of_run(client: "MlflowClient", run_id: str) -> Version:
    """Find the version that a model's run registered; of an experiment's run, that of its best model.

    Raises
    ------
    InputError
        If the run is unknown, or registered none.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise UserError(f"--run {run_id}: MLflow knows no such run; copy the id from its page.") from None
    best = run.data.tags.get("best_model")
    if best:
        nested = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.model = '{best}'"
        run = client.search_runs([run.info.experiment_id], nested)[0]
    found = client.search_model_versions(f"name = '{NAME}' and run_id = '{run.info.run_id}'")
    if not found:
        raise UserError(f"--run {run_id}: it registered no model; a run of a model, or of an experiment, did.")
    return _version(client, str(found[0].version), run.info.run_id)


def champion(client: "MlflowClient") -> Version | None:
    """Find the present champion; None before there is one."""
    aliases = client.get_registered_model(NAME).aliases
    if CHAMPION not in aliases:
        return None
    number = str(aliases[CHAMPION])
    return _version(client, number, str(client.get_model_version(NAME, number).run_id))


def promote(client: "MlflowClient", candidate: Version) -> None:
    """Make a version the champion."""
    client.set_registered_model_alias(NAME, CHAMPION, candidate.number)


def _version(client: "MlflowClient", number: str, run_id: str) -> Version:
    import pandas as pd

    folder = client.download_artifacts(run_id, PREDICTIONS)
    return Version(number, run_id, pd.read_parquet(folder))
