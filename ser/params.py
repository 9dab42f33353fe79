"""Read params.yaml as frozen, validated settings. Errors name the full path of each unknown, missing or invalid key."""

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
from ser.labels import LABEL_PATTERN
from ser.utils.errors import UserError

Emotion = Literal["neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised"]
FrameFeature = Literal["mfcc", "mel", "chroma", "rms", "zcr", "pitch", "spectral"]
Functional = Literal[
    "mean", "std", "min", "percentile10", "percentile25", "median", "percentile75", "percentile90", "max", "slope",
    "curvature", "mean_abs_delta", "voiced_mean", "voiced_std", "unvoiced_mean", "unvoiced_std", "covariance",
    "correlation", "modulation_spectrum", "acoustic_classes",
]  # fmt: skip
AugmentationName = Literal["noise", "time_stretch", "pitch_shift", "time_shift", "speed"]
BaselineName = Literal["svm", "knn", "random_forest", "decision_tree"]
Protocol = Literal["speaker_independent", "text_independent", "cross_corpus", "random"]
Change = Literal["corpora", "protocol", "classes", "test-clips", "models"]


def _list(value: Any) -> Any:
    if not isinstance(value, (list, tuple)):
        example = f"; write [{value}]" if isinstance(value, (str, int, float)) else ""
        raise ValueError(f"must be a list{example}")
    return value


def _whole_numbers(value: Any) -> Any:
    if not isinstance(value, (list, tuple)) or any(type(item) is not int for item in value):
        example = value if type(value) is int else 1
        raise ValueError(f"must be a list of whole numbers, such as [{example}]")
    return value


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names something twice")
    return values


T = TypeVar("T")
Many = Annotated[tuple[T, ...], BeforeValidator(_list), AfterValidator(_distinct)]
Some = Annotated[Many[T], Field(min_length=1)]
Word = Annotated[str, StringConstraints(pattern=f"^{LABEL_PATTERN}$")]
Fraction = Annotated[float, Field(gt=0, lt=1)]
FractionOrZero = Annotated[float, Field(ge=0, lt=1)]
ClosedFraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
CorpusName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]


class Settings(BaseModel):
    """A section of params.yaml: immutable, and without undeclared keys."""

    # Validators are built on first use: a prediction needs few of the sections.
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
    """The classes of a run: canonical emotions, extra emotions, and emotions that are merged into another."""

    use: Many[Emotion]
    extra: Many[Word]
    merge: dict[Word, Word]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class labels."""
        return (*self.use, *self.extra)

    @model_validator(mode="after")
    def _valid(self) -> Self:
        if len(self.classes) < 2:
            raise ValueError("use and extra name fewer than two emotions")
        known = [word for word in self.extra if word in get_args(Emotion)]
        if known:
            raise ValueError(f"extra is for emotions other than the canonical eight; put {', '.join(known)} into use")
        for emotion, target in self.merge.items():
            if target not in self.classes:
                raise ValueError(f"merge maps {emotion} to {target}, which is not in use; add it there")
            if target in self.merge:
                raise ValueError(f"merge maps {emotion} to {target}, which is itself merged into {self.merge[target]}")
        return self


class Download(Settings):
    """Where corpora come from: a folder that holds <corpus>/… or null, Kaggle, and whether incomplete ones pass."""

    data_dir: str | None
    kaggle: bool
    allow_incomplete: bool


class CustomCorpus(Settings):
    """A user's own recordings: the folder, and where the labels are.

    `labels` is a CSV file and `pattern` a regular expression of paths. With neither, labels come from labels.csv in the
    folder, or else from the folder names. `emotions` maps labels to emotions.
    """

    folder: str | None
    labels: str | None
    pattern: str | None
    emotions: dict[str, Word]
    language: Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.labels is not None and self.pattern is not None:
            raise ValueError("labels and pattern are both set; set one to null")
        return self

    @field_validator("emotions", mode="before")
    @classmethod
    def _labels_are_text(cls, emotions: Any) -> Any:
        other = [label for label in emotions if not isinstance(label, str)] if isinstance(emotions, dict) else []
        if other:  # YAML reads 01 as 1, and no as false
            raise ValueError(f"{other[0]!r} is not text; quote labels that YAML reads as something else")
        return emotions

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groupindex if pattern is not None else {"emotion": 1}
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from None
        if "emotion" not in groups:
            raise ValueError("has no group (?P<emotion>…)")
        return pattern


class Preprocess(Settings):
    """From recordings to clips. The sample rate is in Hz, levels in dB, times in seconds."""

    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    denoise_strength: ClosedFraction
    trim_top_db: Positive | None
    normalize: Literal["peak", "rms", "loudness", "none"]
    target_level_db: Annotated[float, Field(le=0)]
    min_duration: Positive
    max_rejected_fraction: ClosedFraction


class Robustness(Settings):
    """Corruptions of test clips for robustness tests. Levels are in dB, times in seconds."""

    n_clips: CountOrZero
    noise_snr_db: Many[Annotated[float, Field(ge=-40, le=80)]]
    telephone: bool
    rt60_seconds: Many[Annotated[float, Field(ge=0.05, le=10)]]
    gain_db: Many[Annotated[float, Field(ge=-60, le=60)]]


class Augment(Settings):
    """Augmented clips for training, their number per clip, and corrupted clips for robustness tests."""

    augmentations: Many[AugmentationName]
    copies_per_clip: CountOrZero
    speed_perturb_copies: Count
    noise_snr_db: Range
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
        for name in ("time_stretch_rate", "speed_factor"):
            rate: Range = getattr(self, name)
            if rate.min < 0.25 or rate.max > 4:
                raise ValueError(f"{name} must lie within 0.25 and 4")
        if max(abs(self.time_shift_fraction.min), abs(self.time_shift_fraction.max)) >= 1:
            raise ValueError("time_shift_fraction must lie within -1 and 1")
        if max(abs(self.pitch_shift_semitones.min), abs(self.pitch_shift_semitones.max)) > 24:
            raise ValueError("pitch_shift_semitones must lie within -24 and 24")
        return self


class Mfcc(Settings):
    """Mel-frequency cepstral coefficients and the highest order of their derivatives."""

    n_mfcc: Annotated[int, Field(ge=1, le=128)]
    delta_order: Annotated[int, Field(ge=0, le=2)]


class Mel(Settings):
    """The mel filter bank of `mel` and `mfcc`. Frequencies are in Hz."""

    n_mels: Annotated[int, Field(ge=4, le=256)]
    fmin: Annotated[float, Field(ge=0)]


class Chroma(Settings):
    """Pitch classes per octave."""

    n_chroma: Annotated[int, Field(ge=1, le=96)]


class Features(Settings):
    """Frame-level features and the functionals that summarize them per clip. Times are in seconds."""

    frame_features: Some[FrameFeature]
    functionals: Some[Functional]
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
    """The evaluation protocol and its folds. Fractions are of the speakers, texts or clips that the protocol splits."""

    protocol: Protocol
    folds: Count
    fold_table: Word | None
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
    """The recurrent network and its training."""

    architecture: Literal["lstm", "bilstm", "cnn_bilstm"]
    spectral_features: Some[FrameFeature]
    prosody_features: Many[FrameFeature]
    use_augmented: bool
    class_weight: Literal["balanced"] | None
    n_networks: Count
    conv_filters: Annotated[tuple[Count, ...], BeforeValidator(_list)]
    conv_stride: Count
    lstm_units: Count
    dense_units: Count
    functionals_units: CountOrZero
    functionals_dropout: FractionOrZero
    functionals_fusion_weight: Count
    dynamic_functionals: Many[Functional]
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

    use_augmented: bool
    folds: Annotated[int, Field(ge=2)]
    grids: dict[BaselineName, dict[str, Annotated[list[Any], BeforeValidator(_list), Field(min_length=1)]]]

    def grid_of(self, baseline: str) -> dict[str, list[Any]]:
        """Look up the grid of a baseline.

        Raises
        ------
        UserError
            If it has no grid.
        """
        grids = {str(name): grid for name, grid in self.grids.items()}
        if baseline not in grids:
            known = ", ".join(grids)
            raise UserError(f"params.yaml: train_baselines.grids has no grid for {baseline!r}; known are {known}.")
        return grids[baseline]


class Leakage(Settings):
    """The random forest of the leakage checks."""

    n_estimators: Count


class BinaryTask(Settings):
    """A task of two classes, each a set of emotions. Clips of other emotions are excluded from it."""

    positive: Some[Word]
    negative: Some[Word]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = [word for word in self.positive if word in self.negative]
        if both:
            raise ValueError(f"positive and negative both name {', '.join(both)}")
        return self


class Evaluate(Settings):
    """How results are evaluated, and the MLflow experiment that records them."""

    mlflow_experiment: Annotated[str, Field(min_length=1)]
    n_resamples: Annotated[int, Field(ge=100)]
    binary_tasks: dict[Word, BinaryTask]


class Check(Settings):
    """Limits of the regression check, as differences of metrics; `alpha` is shared by all tests."""

    alpha: Fraction
    max_uar_drop: ClosedFraction
    max_uar_drop_not_significant: ClosedFraction
    max_recall_drop: ClosedFraction
    max_ece_rise: ClosedFraction
    max_worst_speaker_drop: ClosedFraction
    accepted_changes: Many[Change]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if (low := self.max_uar_drop) > (high := self.max_uar_drop_not_significant):
            raise ValueError(f"max_uar_drop ({low}) is above max_uar_drop_not_significant ({high})")
        return self


class Params(Settings):
    """All of params.yaml. A stage passes only the sections that the library needs."""

    corpora: Some[str]
    baselines: Many[BaselineName]
    data_seed: CountOrZero
    model_seeds: Annotated[Some[CountOrZero], BeforeValidator(_whole_numbers)]
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
    check: Check = Field(exclude=True)  # it compares results and changes none: no report shows it, no stage reads it

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
    """Read and validate settings.

    Raises
    ------
    UserError
        If the file is missing or not YAML, or any key is unknown, missing or out of range.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} was not found; run from the project's root, or restore it from Git.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        raise UserError("; ".join(_sentence(path, problem) for problem in error.errors())) from None


def _sentence(path: Path, problem: Any) -> str:
    location = [str(part) for part in problem["loc"] if part != "[key]"]
    key = ".".join(location)
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key} is not a known key{_suggestion(location)}"
    if problem["type"] == "missing":
        return f"{path}: {key} is missing"
    empty = problem["type"] == "too_short" and not problem["input"]
    message = "must not be empty" if empty else problem["msg"].removeprefix("Value error, ")
    found = "" if isinstance(problem["input"], dict) else f", found {problem['input']!r}"
    return f"{path}: {key or 'the file'}: {message}{found}"


def _suggestion(location: Sequence[str]) -> str:
    model: Any = Params
    for name in location[:-1]:
        model = get_args(model)[1] if get_origin(model) is dict else model.model_fields[name].annotation
    known = list(model.model_fields)
    close = difflib.get_close_matches(location[-1], known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(known)}"
