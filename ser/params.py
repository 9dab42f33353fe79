"""params.yaml as frozen, validated settings. A key that is unknown, missing or out of range fails by its full path."""

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
    "mean", "std", "min", "p10", "p25", "median", "p75", "p90", "max", "rise", "bend", "change",
    "voiced_mean", "voiced_std", "unvoiced_mean", "unvoiced_std", "covariance", "correlation", "modulation",
    "sounds",
]  # fmt: skip
AugmentationName = Literal["noise", "time_stretch", "pitch_shift", "time_shift", "speed"]
BaselineName = Literal["svm", "knn", "random_forest", "decision_tree"]
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
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
CorpusName = Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]*$")]


class Settings(BaseModel):
    """A section of params.yaml: immutable, and nothing in it that is not declared."""

    # Built when first used: who asks for one answer needs few of them.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=(), defer_build=True
    )


class Range(Settings):
    """A closed interval a value is drawn from, uniformly."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low ({self.low}) is above high ({self.high})")
        return self


class Emotions(Settings):
    """Which emotions are the classes of a run, canonical and extra ones, and which are counted as another."""

    use: Many[Emotion]
    extra: Many[Word]
    merge: dict[Word, Word]

    @property
    def classes(self) -> tuple[str, ...]:
        """The emotions that clips are told apart by."""
        return (*self.use, *self.extra)

    @model_validator(mode="after")
    def _at_least_two(self) -> Self:
        if len(self.classes) < 2:
            raise ValueError("use and extra name fewer than two emotions")
        known = [word for word in self.extra if word in get_args(Emotion)]
        if known:
            raise ValueError(f"extra is for emotions beyond the usual eight; put {', '.join(known)} into use")
        return self

    @model_validator(mode="after")
    def _merges_lead_to_classes(self) -> Self:
        for emotion, target in self.merge.items():
            if target not in self.classes:
                raise ValueError(f"merge counts {emotion} as {target}, which is not in use; add it there")
            if target in self.merge:
                raise ValueError(f"merge counts {emotion} as {target}, which is itself counted as {self.merge[target]}")
        return self


class Download(Settings):
    """Where recordings come from: a folder that holds <corpus>/…, or null; Kaggle; whether a part of them is enough."""

    local_dir: str | None
    kaggle: bool
    allow_partial: bool


class Own(Settings):
    """Recordings of one's own: their folder, and where their labels stand.

    `labels` is a CSV file, `pattern` a regular expression of paths; with neither, labels.csv in the folder, or
    else the folders' names. `emotions` translates labels into emotions.
    """

    folder: str | None
    labels: str | None
    pattern: str | None
    emotions: dict[str, Word]
    language: Annotated[str, StringConstraints(pattern="^[a-z]{2}$")]

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.labels is not None and self.pattern is not None:
            raise ValueError("labels and pattern are both given; labels come from one of them")
        return self

    @field_validator("emotions", mode="before")
    @classmethod
    def _labels_are_text(cls, emotions: Any) -> Any:
        other = [label for label in emotions if not isinstance(label, str)] if isinstance(emotions, dict) else []
        if other:  # 01 would have become 1, and no false
            raise ValueError(f"{other[0]!r} is no text; put a label that YAML takes for something else into quotes")
        return emotions

    @field_validator("pattern")
    @classmethod
    def _readable(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groupindex if pattern is not None else {"emotion": 1}
        except re.error as error:
            raise ValueError(f"is no regular expression ({error})") from None
        if "emotion" not in groups:
            raise ValueError("has no group (?P<emotion>…)")
        return pattern


class Preprocess(Settings):
    """From a recording to a clip: rate in Hz, levels in dB, times in seconds."""

    sample_rate: Annotated[int, Field(ge=8000, le=48000)]
    denoise: Annotated[float, Field(ge=0, le=1)]
    trim_db: Annotated[float, Field(gt=0)] | None
    normalise: Literal["peak", "rms", "loudness", "none"]
    level_db: Annotated[float, Field(le=0)]
    min_seconds: Positive
    max_unusable: Annotated[float, Field(ge=0, le=1)]


class Stress(Settings):
    """How some test clips are altered, to see what disturbs the models; levels in dB, times in seconds."""

    clips: Annotated[int, Field(ge=0)]
    noise_snr_db: Many[Annotated[float, Field(ge=-40, le=80)]]
    telephone: bool
    reverberation_seconds: Many[Annotated[float, Field(ge=0.05, le=10)]]
    level_db: Many[Annotated[float, Field(ge=-60, le=60)]]


class Augment(Settings):
    """How copies are made, how many of each kind a clip gets, and which copies test models."""

    augmentations: Many[AugmentationName]
    copies: Annotated[int, Field(ge=0)]
    speeds: Count
    noise_snr_db: Range
    time_stretch_rate: Range
    pitch_shift_semitones: Range
    time_shift_share: Range
    speed_rate: Range
    stress: Stress

    def copies_of(self, augmentation: AugmentationName) -> int:
        """Count the copies that a clip gets of a kind."""
        return self.copies * (self.speeds if augmentation == "speed" else 1)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name in ("time_stretch_rate", "speed_rate"):
            rate: Range = getattr(self, name)
            if rate.low < 0.25 or rate.high > 4:
                raise ValueError(f"{name} must lie within 0.25 and 4")
        if max(abs(self.time_shift_share.low), abs(self.time_shift_share.high)) >= 1:
            raise ValueError("time_shift_share must lie within -1 and 1")
        if max(abs(self.pitch_shift_semitones.low), abs(self.pitch_shift_semitones.high)) > 24:
            raise ValueError("pitch_shift_semitones must lie within -24 and 24")
        return self


class Mfcc(Settings):
    """Mel-frequency cepstral coefficients, and how many orders of their derivatives."""

    coefficients: Annotated[int, Field(ge=1, le=128)]
    deltas: Annotated[int, Field(ge=0, le=2)]


class Mel(Settings):
    """The mel filter bank that `mel` and `mfcc` share; frequencies in Hz."""

    bands: Annotated[int, Field(ge=4, le=256)]
    low_hz: Annotated[float, Field(ge=0)]


class Chroma(Settings):
    """Pitch classes an octave."""

    bins: Annotated[int, Field(ge=1, le=96)]


class Features(Settings):
    """What is measured in each frame, and how frames are summed up in functionals; times in seconds."""

    frames: Some[FrameFeature]
    functionals: Some[Functional]
    window_seconds: Annotated[float, Field(ge=0.005, le=0.2)]
    hop_seconds: Annotated[float, Field(ge=0.001, le=0.2)]
    mfcc: Mfcc
    mel: Mel
    chroma: Chroma

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if "mfcc" in self.frames and self.mfcc.coefficients > self.mel.bands:
            raise ValueError(f"mfcc.coefficients ({self.mfcc.coefficients}) is above mel.bands ({self.mel.bands})")
        return self


class Split(Settings):
    """Who is tested on what, in how many folds, or by a published table; shares of speakers (or what is held out)."""

    hold_out: Literal["speaker", "text", "corpus", "clip"]
    folds: Count
    table: Word | None
    test: Share
    val: Share

    @model_validator(mode="after")
    def _leaves_training(self) -> Self:
        if self.table is not None and (self.folds != 1 or self.hold_out != "speaker"):
            raise ValueError("table brings its own folds of speakers; leave hold_out: speaker and folds: 1 beside it")
        if self.test + self.val >= 1:
            raise ValueError(f"test ({self.test}) and val ({self.val}) leave nothing for training")
        if self.folds > 1 and self.hold_out != "corpus" and 1 / self.folds + self.val >= 1:
            raise ValueError(f"of {self.folds} folds one tests, and val ({self.val}) leaves nothing for training")
        return self


class TrainLstm(Settings):
    """The recurrent model and its training."""

    architecture: Literal["lstm", "bilstm", "cnn_bilstm"]
    inputs: Some[FrameFeature]
    prosody: Many[FrameFeature]
    augmented: bool
    balanced: bool
    ensemble: Count
    convolutions: Annotated[tuple[Count, ...], BeforeValidator(_list)]
    stride: Count
    units: Count
    dense: Count
    functionals: Annotated[int, Field(ge=0)]
    functionals_dropout: Annotated[float, Field(ge=0, lt=1)]
    functionals_weight: Count
    movement: Many[Functional]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "adamw"]
    learning_rate: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["constant", "plateau", "cosine"]
    average: Annotated[float, Field(ge=0, lt=1)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    mixup: Annotated[float, Field(ge=0)]
    masks: bool
    patience: Count | None
    bucket_seconds: Positive
    max_seconds: Positive


class TrainBaselines(Settings):
    """Grid search of the baselines: folds of training speakers, and one grid a baseline."""

    augmented: bool
    folds: Annotated[int, Field(ge=2)]
    grids: dict[BaselineName, dict[str, Annotated[list[Any], BeforeValidator(_list), Field(min_length=1)]]]

    def grid_of(self, baseline: str) -> dict[str, list[Any]]:
        """Look up a baseline's grid.

        Raises
        ------
        UserError
            If there is none.
        """
        grids = {str(name): grid for name, grid in self.grids.items()}
        if baseline not in grids:
            known = ", ".join(grids)
            raise UserError(f"params.yaml: train_baselines.grids has no grid for {baseline!r}; known are {known}.")
        return grids[baseline]


class Probe(Settings):
    """The cheap model, a random forest, that measures leaks and shortcuts."""

    trees: Count


class Binary(Settings):
    """A task of two classes: emotions against emotions; others are left out of it."""

    positive: Some[Word]
    negative: Some[Word]

    @model_validator(mode="after")
    def _apart(self) -> Self:
        both = [word for word in self.positive if word in self.negative]
        if both:
            raise ValueError(f"positive and negative both name {', '.join(both)}")
        return self


class Evaluate(Settings):
    """How results are judged, and where runs are recorded."""

    experiment: Annotated[str, Field(min_length=1)]
    resamples: Annotated[int, Field(ge=100)]
    binary: dict[Word, Binary]


class Check(Settings):
    """When a result counts as worse than another: limits are differences of shares, `alpha` is of all tests."""

    alpha: Share
    max_drop: Annotated[float, Field(ge=0, le=1)]
    max_drop_unshown: Annotated[float, Field(ge=0, le=1)]
    max_recall_drop: Annotated[float, Field(ge=0, le=1)]
    max_ece_rise: Annotated[float, Field(ge=0, le=1)]
    max_worst_speaker_drop: Annotated[float, Field(ge=0, le=1)]
    declared: Many[Change]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max_drop > self.max_drop_unshown:
            raise ValueError(f"max_drop ({self.max_drop}) is above max_drop_unshown ({self.max_drop_unshown})")
        return self


class Params(Settings):
    """The whole of params.yaml. A stage reads its own section, and hands the library no more than that."""

    corpora: Some[str]
    baselines: Many[BaselineName]
    seed: Annotated[int, Field(ge=0)]
    seeds: Annotated[Some[Annotated[int, Field(ge=0)]], BeforeValidator(_whole_numbers)]
    emotions: Emotions
    download: Download
    own: dict[CorpusName, Own]
    preprocess: Preprocess
    augment: Augment
    features: Features
    split: Split
    train_lstm: TrainLstm
    train_baselines: TrainBaselines
    probe: Probe
    evaluate: Evaluate
    check: Check = Field(exclude=True)  # it judges results and is in none: no report shows it, no stage depends on it

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        missing = [name for name in self.baselines if name not in self.train_baselines.grids]
        if missing:
            raise ValueError(f"train_baselines.grids has no grid for {', '.join(missing)}")
        unmeasured = [name for name in self.train_lstm.inputs if name not in self.features.frames]
        if unmeasured:
            raise ValueError(f"train_lstm.inputs names {', '.join(unmeasured)}, which features.frames does not measure")
        return self


def read_params(path: Path = paths.PARAMS) -> Params:
    """Read and validate settings.

    Raises
    ------
    UserError
        If the file is missing or not YAML, or with every key that is unknown, missing or out of range.
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
