"""Register models in MLflow, and move the champion alias."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ser
from ser.utils.errors import UserError
from ser.utils.wav import harmonic_tone, wav_bytes

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

NAME = "speech-emotion"
DESCRIPTION = (
    "Speech emotion recognition, one version per model of an experiment. **challenger** is the best model of the "
    "newest experiment, **champion** the one promoted by `python -m stages.promote --run RUN`."
)
CHALLENGER, CHAMPION = "challenger", "champion"
PREDICTIONS = "predictions"  # artifact folder of a run with the prediction table of its model
COMMON = (
    *("joblib", "librosa", "mlflow", "noisereduce", "numpy", "pandas", "pydantic", "pyloudnorm", "PyYAML", "scipy"),
    *("av", "soundfile", "soxr", "threadpoolctl", "tqdm"),
)
REQUIREMENTS = {"network": (*COMMON, "onnxruntime"), "baseline": (*COMMON, "scikit-learn", "skops")}


@dataclass(frozen=True)
class ModelBundle:
    """Exported model: its name, folder, kind (a key of `REQUIREMENTS`, its packages) and predicted emotions."""

    name: str
    folder: Path
    kind: str
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Version:
    """Registered version with its run and the prediction table of its model."""

    number: str
    run_id: str
    predictions: "pd.DataFrame"


def register(run_id: str, model: ModelBundle, *, best: bool) -> str:
    """Log a model to its run, register it as a version of `NAME`, the best one as challenger, and return its id."""
    import mlflow

    with mlflow.start_run(run_id=run_id):
        logged = mlflow.pyfunc.log_model(
            name=model.name,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={"model": str(model.folder)},
            code_paths=[ser.__path__[0]],
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS[model.kind]],
            signature=signature(model.labels),
            input_example=example(),
        )
    client = mlflow.MlflowClient()
    if not client.search_registered_models(f"name = '{NAME}'"):
        client.create_registered_model(NAME, description=DESCRIPTION)
    model_id, tags = logged.model_id, {"model": model.name}
    registered = client.create_model_version(NAME, logged.model_uri, run_id, tags=tags, model_id=model_id)
    if best:
        client.set_registered_model_alias(NAME, CHALLENGER, registered.version)
    return str(model_id)


def signature(labels: tuple[str, ...]) -> "ModelSignature":
    """Describe the input and output columns of a served model, with one row per recording.

    The input is one of `path`, on the server; `audio`, the bytes of a file (base64 in JSON); `samples` with `rate` in
    Hz. Rows may differ, and MLflow rejects null in columns of other types than `AnyType`.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    text, number = DataType.string, DataType.double
    inputs = dict.fromkeys(["path", "audio", "samples", "rate"], AnyType())
    scores = dict.fromkeys(["confidence", *(f"prob_{label}" for label in labels)], number)
    outputs = {"label": text, **scores, "flags": text, "error": text}
    columns = (inputs, outputs)
    return ModelSignature(*(Schema([ColSpec(kind, name, required=False) for name, kind in c.items()]) for c in columns))


def example() -> "pd.DataFrame":
    """Make an input example: the bytes of a WAV file with a harmonic tone of 0.5 s."""
    import pandas as pd

    tone = harmonic_tone(seconds=0.5, rate=8000, n_harmonics=5) * 4000
    return pd.DataFrame({"audio": [wav_bytes(tone.astype(np.int16), rate=8000)]})


def version_of_run(client: "MlflowClient", run_id: str) -> Version:
    """Find the version that a model's run registered; for an experiment's run, the version of its best model.

    Raises
    ------
    UserError
        If the run is unknown or registered no model.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = client.get_run(run_id)
    except MlflowException:
        raise UserError(f"--run {run_id}: no such run in MLflow; copy the id from the page of the run.") from None
    if best := run.data.tags.get("best_model"):
        nested = f"tags.`mlflow.parentRunId` = '{run_id}' and tags.model = '{best}'"
        run = client.search_runs([run.info.experiment_id], nested)[0]
    versions = client.search_model_versions(f"name = '{NAME}' and run_id = '{run.info.run_id}'")
    if not versions:
        raise UserError(f"--run {run_id}: the run has no registered model; expected a run of a model or an experiment.")
    return _load_version(client, versions[0])


def champion(client: "MlflowClient") -> Version | None:
    """Find the champion; None if no version has been promoted."""
    if CHAMPION not in client.get_registered_model(NAME).aliases:
        return None
    return _load_version(client, client.get_model_version_by_alias(NAME, CHAMPION))


def promote(client: "MlflowClient", candidate: Version) -> None:
    """Make a version the champion."""
    client.set_registered_model_alias(NAME, CHAMPION, candidate.number)


def _load_version(client: "MlflowClient", version: "ModelVersion") -> Version:
    import pandas as pd

    predictions = pd.read_parquet(client.download_artifacts(version.run_id, PREDICTIONS))
    return Version(str(version.version), str(version.run_id), predictions)
