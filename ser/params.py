"""Read params.yaml as validated, immutable settings."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args, get_origin

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from ser import paths
from ser.labels import EMOTION_COLUMNS, LABEL_PATTERN
from ser.utils.errors import UserError

Emotion = Literal["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
FrameFeature = Literal["mfcc", "mel", "chroma", "rms", "zcr", "pitch", "spectral"]
Functional = Literal[
    "mean", "std", "min", "percentile10", "percentile25", "median", "percentile75", "percentile90", "max", "slope",
    "curvature", "mean_abs_delta", "voiced_mean", "voiced_std", "unvoiced_mean", "unvoiced_std", "covariance",
    "correlation", "modulation_spectrum", "acoustic_classes",
]  # fmt: skip
AugmentationName = Literal["noise", "band_limit", "reverberation", "time_stretch", "pitch_shift", "time_shift", "speed"]
BaselineName = Literal["svm", "knn", "random_forest", "decision_tree"]
Protocol = Literal["speaker_independent", "text_independent", "cross_corpus", "random"]
Style = Literal["acted", "elicited", "spontaneous", "synthetic"]
Change = Literal["corpora", "protocol", "classes", "test-clips", "models"]


def _require_list(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        example = f"; write [{value}]" if isinstance(value, (str, int, float)) else ""
        raise ValueError(f"must be a list{example}")
    return value


def _require_integers(value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or any(type(item) is not int for item in value):
        example = value if type(value) is int else 1
        raise ValueError(f"must be a list of whole numbers, such as [{example}]")
    return value


def _require_unique(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError("must not contain duplicates")
    return values


T = TypeVar("T")
UniqueTuple = Annotated[tuple[T, ...], BeforeValidator(_require_list), AfterValidator(_require_unique)]
NonEmptyTuple = Annotated[UniqueTuple[T], Field(min_length=1)]
Label = Annotated[str, StringConstraints(pattern=f"^{LABEL_PATTERN}$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
FractionOrZero = Annotated[float, Field(ge=0, lt=1)]
ClosedFraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
CorpusName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]


class Settings(BaseModel):
    """A section of params.yaml: immutable, without undeclared keys."""

    # Build validators on first use, as a prediction needs only some sections.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class Range(Settings):
    """A closed interval from which values are drawn uniformly."""

    min: float
    max: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min ({self.min}) is above max ({self.max})")
        return self


class Emotions(Settings):
    """Classes of a run: canonical emotions, extra emotions, and emotions that are merged into another class."""

    use: UniqueTuple[Emotion]
    extra: UniqueTuple[Label]
    merge: dict[Label, Label]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class labels."""
        return (*self.use, *self.extra)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if len(self.classes) < 2:
            raise ValueError("use and extra have fewer than two emotions")
        canonical = [label for label in self.extra if label in get_args(Emotion)]
        if canonical:
            raise ValueError(f"extra is for other than the canonical emotions; move {', '.join(canonical)} to use")
        for emotion, target in self.merge.items():
            if target not in self.classes:
                raise ValueError(f"merge maps {emotion} to {target}, which is not in use; add it to use")
            if target in self.merge:
                raise ValueError(f"merge maps {emotion} to {target}, which is itself merged into {self.merge[target]}")
        return self


class Download(Settings):
    """Sources of corpora: a local folder with <corpus>/… or null, and Kaggle; whether to accept incomplete corpora."""

    data_dir: str | None
    kaggle: bool
    allow_incomplete: bool


class CustomCorpus(Settings):
    """Recordings of the user. `emotions` maps labels to emotions.

    Labels are from the CSV file `labels` or the regular expression `pattern` of paths. If both are null, they are from
    labels.csv in the folder, or else from the names of subfolders.
    """

    folder: str | None
    labels: str | None
    pattern: str | None
    emotions: dict[str, Label]
    language: Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]
    style: Style | None = None

    @model_validator(mode="after")
    def _one_label_source(self) -> Self:
        if self.labels is not None and self.pattern is not None:
            raise ValueError("labels and pattern are both set; set one to null")
        return self

    @field_validator("emotions", mode="before")
    @classmethod
    def _require_text_labels(cls, emotions: Any) -> Any:
        other = [label for label in emotions if not isinstance(label, str)] if isinstance(emotions, dict) else []
        if other:  # YAML reads 01 as 1, and no as false
            raise ValueError(f"{other[0]!r} is not text; quote labels that YAML reads as something else")
        return emotions

    @field_validator("pattern")
    @classmethod
    def _valid_pattern(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groupindex if pattern is not None else {"emotion": 1}
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from None
        if not {group.replace("_", "").casefold() for group in groups} & {*EMOTION_COLUMNS}:
            raise ValueError("has no group (?P<emotion>…)")
        return pattern


class Preprocess(Settings):
    """Conversion of recordings to clips. The sample rate is in Hz, levels are in dB, times in seconds."""

    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    denoise_strength: ClosedFraction
    trim_top_db: Positive | None
    normalize: Literal["peak", "rms", "loudness", "none"]
    target_level_db: Annotated[float, Field(le=0)]
    min_duration: Positive
    max_segment_seconds: Annotated[float, Field(ge=1)] | None
    max_rejected_fraction: ClosedFraction


class Robustness(Settings):
    """Corruptions of test clips for robustness tests. Levels are in dB, times in seconds."""

    n_clips: CountOrZero
    noise_snr_db: UniqueTuple[Annotated[float, Field(ge=-40, le=80)]]
    telephone: bool
    rt60_seconds: UniqueTuple[Annotated[float, Field(ge=0.05, le=10)]]
    gain_db: UniqueTuple[Annotated[float, Field(ge=-60, le=60)]]


class Augment(Settings):
    """Augmented clips for training, and corrupted clips for robustness tests."""

    augmentations: UniqueTuple[AugmentationName]
    copies_per_clip: CountOrZero
    speed_perturb_copies: Count
    noise_snr_db: Range
    band_low_hz: Range
    band_high_hz: Range
    rt60_seconds: Range
    time_stretch_rate: Range
    pitch_shift_semitones: Range
    time_shift_fraction: Range
    speed_factor: Range
    robustness: Robustness

    def n_copies(self, augmentation: AugmentationName) -> int:
        """Count the augmented clips that one augmentation adds to each clip."""
        return self.copies_per_clip * (self.speed_perturb_copies if augmentation == "speed" else 1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        limits = {"time_stretch_rate": (0.25, 4), "speed_factor": (0.25, 4), "pitch_shift_semitones": (-24, 24)}
        limits |= {"band_low_hz": (20, 1000), "band_high_hz": (2000, 20_000), "rt60_seconds": (0.05, 10)}
        for name, (low, high) in limits.items():
            interval: Range = getattr(self, name)
            if interval.min < low or interval.max > high:
                raise ValueError(f"{name} must lie within {low} and {high}")
        if max(abs(self.time_shift_fraction.min), abs(self.time_shift_fraction.max)) >= 1:
            raise ValueError("time_shift_fraction must lie within -1 and 1")
        return self


class Mfcc(Settings):
    """Mel-frequency cepstral coefficients and the highest order of their derivatives."""

    n_mfcc: Annotated[int, Field(ge=1, le=128)]
    delta_order: Annotated[int, Field(ge=0, le=2)]


class Mel(Settings):
    """Mel filter bank of `mel` and `mfcc`. Frequencies are in Hz."""

    n_mels: Annotated[int, Field(ge=4, le=256)]
    fmin: Annotated[float, Field(ge=0)]


class Chroma(Settings):
    """Number of pitch classes per octave."""

    n_chroma: Annotated[int, Field(ge=1, le=96)]


class Features(Settings):
    """Frame-level features, and functionals of a clip. Times are in seconds."""

    frame_features: NonEmptyTuple[FrameFeature]
    functionals: NonEmptyTuple[Functional]
    window_seconds: Annotated[float, Field(ge=0.005, le=0.2)]
    hop_seconds: Annotated[float, Field(ge=0.001, le=0.2)]
    mfcc: Mfcc
    mel: Mel
    chroma: Chroma

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if "mfcc" in self.frame_features and self.mfcc.n_mfcc > self.mel.n_mels:
            raise ValueError(f"mfcc.n_mfcc ({self.mfcc.n_mfcc}) is above mel.n_mels ({self.mel.n_mels})")
        return self


class Split(Settings):
    """Evaluation protocol and folds. Fractions are of the speakers, texts or clips that the protocol splits."""

    protocol: Protocol
    folds: Count
    fold_table: Label | None
    test_fraction: Fraction
    val_fraction: Fraction

    @model_validator(mode="after")
    def _leaves_training(self) -> Self:
        test, val = self.test_fraction, self.val_fraction
        if self.fold_table is not None and (self.folds != 1 or self.protocol != "speaker_independent"):
            raise ValueError("fold_table defines its own speaker folds; set protocol: speaker_independent and folds: 1")
        if test + val >= 1:
            raise ValueError(f"test_fraction ({test}) and val_fraction ({val}) leave nothing for training")
        if self.folds > 1 and self.protocol != "cross_corpus" and 1 / self.folds + val >= 1:
            raise ValueError(f"with {self.folds} folds, val_fraction ({val}) leaves nothing for training")
        return self


class TrainLstm(Settings):
    """Architecture and training of the network."""

    architecture: Literal["lstm", "bilstm", "cnn_bilstm"]
    spectral_features: NonEmptyTuple[FrameFeature]
    prosody_features: UniqueTuple[FrameFeature]
    use_augmented: bool
    class_weight: Literal["balanced"] | None
    n_networks: Count
    conv_filters: Annotated[tuple[Count, ...], BeforeValidator(_require_list)]
    conv_stride: Count
    lstm_units: Count
    dense_units: Count
    functionals_units: CountOrZero
    functionals_dropout: FractionOrZero
    functionals_fusion_weight: Count
    dynamic_functionals: UniqueTuple[Functional]
    dropout: FractionOrZero
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "adamw"]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    lr_schedule: Literal["constant", "plateau", "cosine"]
    ema_momentum: FractionOrZero
    label_smoothing: FractionOrZero
    mixup: Annotated[float, Field(ge=0)]
    spec_augment: bool
    early_stopping_patience: Count | None
    bucket_seconds: Positive
    max_seconds: Positive


class TrainBaselines(Settings):
    """Grid search of the baselines: cross-validation folds and one grid per baseline."""

    augmentations: UniqueTuple[AugmentationName]
    folds: Annotated[int, Field(ge=2)]
    grids: dict[BaselineName, dict[str, Annotated[list[Any], BeforeValidator(_require_list), Field(min_length=1)]]]

    def grid_of(self, baseline: str) -> dict[str, list[Any]]:
        """Look up the grid of a baseline; raises a UserError if it has none."""
        grids = {str(name): grid for name, grid in self.grids.items()}
        if baseline not in grids:
            raise UserError(
                f"params.yaml: train_baselines.grids has no grid for {baseline!r}; expected one of {', '.join(grids)}."
            )
        return grids[baseline]


class Leakage(Settings):
    """Random forest of the leakage checks."""

    n_estimators: Count


class BinaryTask(Settings):
    """Binary task whose classes are sets of emotions. Clips of other emotions are excluded."""

    positive: NonEmptyTuple[Label]
    negative: NonEmptyTuple[Label]

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        both = [label for label in self.positive if label in self.negative]
        if both:
            raise ValueError(f"positive and negative both contain {', '.join(both)}")
        return self


class Evaluate(Settings):
    """Bootstrap, binary tasks, and name of the MLflow experiment."""

    mlflow_experiment: Annotated[str, Field(min_length=1)]
    n_resamples: Annotated[int, Field(ge=100)]
    binary_tasks: dict[Label, BinaryTask]


class Check(Settings):
    """Limits of the regression check, as differences of metrics; `alpha` is the family-wise significance level."""

    alpha: Fraction
    max_uar_drop: ClosedFraction
    max_uar_drop_not_significant: ClosedFraction
    max_recall_drop: ClosedFraction
    max_ece_rise: ClosedFraction
    max_worst_speaker_drop: ClosedFraction
    accepted_changes: UniqueTuple[Change]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (low := self.max_uar_drop) > (high := self.max_uar_drop_not_significant):
            raise ValueError(f"max_uar_drop ({low}) is above max_uar_drop_not_significant ({high})")
        return self


class Params(Settings):
    """All settings in params.yaml."""

    corpora: NonEmptyTuple[str]
    baselines: UniqueTuple[BaselineName]
    data_seed: CountOrZero
    model_seeds: Annotated[NonEmptyTuple[CountOrZero], BeforeValidator(_require_integers)]
    emotions: Emotions
    download: Download
    custom_corpora: dict[CorpusName, CustomCorpus]
    preprocess: Preprocess
    augment: Augment
    features: Features
    split: Split
    train_lstm: TrainLstm
    train_baselines: TrainBaselines
    leakage: Leakage
    evaluate: Evaluate
    check: Check = Field(exclude=True)  # not recorded with results, as it does not affect them

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        missing = [name for name in self.baselines if name not in self.train_baselines.grids]
        if missing:
            raise ValueError(f"train_baselines.grids has no grid for {', '.join(missing)}")
        absent = [name for name in self.train_lstm.spectral_features if name not in self.features.frame_features]
        if absent:
            raise ValueError(f"train_lstm.spectral_features: {', '.join(absent)} not in features.frame_features")
        return self


def read_params(path: Path = paths.PARAMS) -> Params:
    """Read and validate params.yaml.

    Raises
    ------
    UserError
        If the file is missing or not YAML, or a key is unknown, missing or invalid; the message names all such keys.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} was not found; change to the project root, or restore it from Git.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise UserError("; ".join(_format_error(path, details) for details in error.errors())) from None


def _format_error(path: Path, error: Any) -> str:
    location = [str(part) for part in error["loc"] if part != "[key]"]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{path}: {key} is not a known key{_suggestion(location)}"
    if error["type"] == "missing":
        return f"{path}: {key} is missing"
    is_empty = error["type"] == "too_short" and not error["input"]
    message = "must not be empty" if is_empty else error["msg"].removeprefix("Value error, ")
    value = "" if isinstance(error["input"], dict) else f", found {error['input']!r}"
    return f"{path}: {key or 'the file'}: {message}{value}"


def _suggestion(location: Sequence[str]) -> str:
    model: Any = Params
    for name in location[:-1]:
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[name].annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; expected one of {', '.join(known)}"
