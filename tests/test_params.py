"""Test that settings are complete, valid and immutable, and that errors name the key, the value and a fix."""

from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from ser.params import Params, read_params
from ser.utils.errors import UserError
from tests.helpers import factories

ROOT = Path(__file__).parents[1]
MISSING = object()
NAN, INF = float("nan"), float("inf")


def changed(key: str, value: Any) -> dict[str, Any]:
    """Set one key of valid settings, given by its path; MISSING removes it."""
    content = factories.ordinary()
    *sections, last = key.split(".")
    section = reduce(getitem, sections, content)
    if value is MISSING:
        del section[last]
    else:
        section[last] = value
    return content


def value_of(key: str) -> Any:
    return reduce(getitem, key.split("."), factories.ordinary())


def read(tmp_path: Path, content: Any) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_params(path)


def message(tmp_path: Path, content: Any) -> str:
    with pytest.raises(UserError) as error:
        read(tmp_path, content)
    return str(error.value)


def test_params_yaml_is_valid() -> None:
    """All values are read; the limits of the regression check are not recorded with results."""
    params = read_params(ROOT / "params.yaml")
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert "check" not in params.model_dump()
    assert params.model_dump(mode="json") | {"check": params.check.model_dump(mode="json")} == content


def test_settings_are_immutable() -> None:
    """Lists are tuples."""
    params = read_params(ROOT / "params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.augment.noise_snr_db.min = 0.0
    assert isinstance(params.corpora, tuple)


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("trian_lstm", "did you mean train_lstm?"),
        ("seed", "did you mean data_seed?"),
        ("preprocess.normalise", "did you mean normalize?"),
        ("augment.noise_snr_db.mi", "did you mean min?"),
        ("custom_corpora.mine.foldr", "did you mean folder?"),
        ("split.hold_out", "protocol, folds, fold_table, test_fraction, val_fraction"),
    ],
)
def test_unknown_key_is_an_error(tmp_path: Path, key: str, suggestion: str) -> None:
    """The error suggests the most similar key, or lists all keys."""
    text = message(tmp_path, changed(key, 1))
    assert f"params.yaml: {key} is not a known key" in text and suggestion in text


@pytest.mark.parametrize("key", ["data_seed", "split", "augment.noise_snr_db.max"])
def test_missing_key_is_an_error(tmp_path: Path, key: str) -> None:
    """There are no defaults."""
    assert f"params.yaml: {key} is missing" in message(tmp_path, changed(key, MISSING))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data_seed", -1),
        ("model_seeds", []),
        ("preprocess.sample_rate", 100),
        ("preprocess.denoise_strength", 1.01),
        ("preprocess.target_level_db", 3),
        ("preprocess.min_duration", 0),
        ("preprocess.trim_top_db", -40),
        ("preprocess.trim_top_db", NAN),
        ("augment.copies_per_clip", -1),
        ("augment.noise_snr_db.min", NAN),
        ("features.hop_seconds", 10),
        ("features.mfcc.delta_order", 3),
        ("split.protocol", "speakers"),
        ("split.test_fraction", 0),
        ("split.val_fraction", 1),
        ("train_lstm.dropout", 1),
        ("train_lstm.epochs", 0),
        ("train_lstm.epochs", 2.5),
        ("train_lstm.use_augmented", "perhaps"),
        ("train_lstm.learning_rate", INF),
        ("train_lstm.max_seconds", NAN),
        ("train_baselines.folds", 1),
        ("train_baselines.grids.svm.C", []),
        ("emotions.extra", "bored"),
        ("evaluate.mlflow_experiment", ""),
        ("download.data_dir", 7),
        ("custom_corpora.mine.language", "english"),
        ("split", None),
        ("check.alpha", 0),
        ("check.max_uar_drop", -0.1),
        ("check.max_ece_rise", 2),
        ("corpora", []),
        ("features.frame_features", []),
        ("features.functionals", []),
    ],
)
def test_invalid_value_is_an_error(tmp_path: Path, key: str, value: Any) -> None:
    """The error has the key and the value."""
    text = message(tmp_path, changed(key, value))
    assert text.startswith(f"{tmp_path / 'params.yaml'}: {key}: ")
    assert text.endswith(f", found {value!r}")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("emotions.use", "joyful"),
        ("augment.augmentations", "reverb"),
        ("features.functionals", "average"),
        ("check.accepted_changes", "model"),
    ],
)
def test_unknown_name_in_a_list_is_an_error(tmp_path: Path, key: str, name: str) -> None:
    """The error has the position, the name and the known names."""
    names = value_of(key)
    text = message(tmp_path, changed(key, [name, *names]))
    assert f"params.yaml: {key}.0: " in text
    assert text.endswith(f"found {name!r}")
    assert repr((names or ["models"])[0]) in text


NAMES = ["corpora", "baselines", "emotions.use", "augment.augmentations", "features.frame_features"]


@pytest.mark.parametrize("key", [*NAMES, "train_lstm.conv_filters", "train_baselines.grids.svm.C"])
@pytest.mark.parametrize(("value", "example"), [("tess", "; write [tess]"), (1, "; write [1]"), (None, "")])
def test_value_instead_of_a_list_is_an_error(tmp_path: Path, key: str, value: Any, example: str) -> None:
    """The error shows how to write a list."""
    text = message(tmp_path, changed(key, value))
    assert f"params.yaml: {key}: must be a list{example}, found {value!r}" in text


@pytest.mark.parametrize("key", [*NAMES, "model_seeds"])
def test_duplicates_are_an_error(tmp_path: Path, key: str) -> None:
    """They would be counted twice."""
    assert f"params.yaml: {key}: " in message(tmp_path, changed(key, [*value_of(key), value_of(key)[0]]))


def test_some_lists_may_be_empty(tmp_path: Path) -> None:
    """A run needs no baselines and no augmentation."""
    params = read(tmp_path, changed("augment.augmentations", []) | {"baselines": []})
    assert params.augment.augmentations == params.baselines == ()


@pytest.mark.parametrize(("value", "example"), [(7, 7), ("1,2", 1), ([1.5], 1), ([True], 1), (None, 1), ({"a": 1}, 1)])
def test_model_seeds_are_a_list_of_integers(tmp_path: Path, value: Any, example: int) -> None:
    """The error shows how to write a single seed."""
    text = message(tmp_path, changed("model_seeds", value))
    assert "params.yaml: model_seeds: " in text and f"such as [{example}]" in text


TASK = {"positive": ["happy", "calm"], "negative": ["calm", "sad"]}
SPLIT = {"protocol": "speaker_independent", "folds": 1, "fold_table": None, "test_fraction": 0.6, "val_fraction": 0.4}
EMOTIONS = {"use": ["neutral", "sad"], "extra": [], "merge": {}}
CUSTOM = {"folder": None, "labels": None, "pattern": None, "emotions": {}, "language": "en"}


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        *(
            (f"augment.{name}", {"min": 0.6, "max": 0.5}, f"augment.{name}: min (0.6) is above max (0.5)")
            for name in ("noise_snr_db", "time_stretch_rate", "pitch_shift_semitones", "time_shift_fraction")
        ),
        ("augment.time_stretch_rate", {"min": 1, "max": 5}, "time_stretch_rate must lie within"),
        ("augment.speed_factor", {"min": 0.1, "max": 1}, "speed_factor must lie within"),
        ("augment.time_shift_fraction", {"min": 0, "max": 1}, "time_shift_fraction must lie within"),
        ("split", SPLIT, "split: test_fraction (0.6) and val_fraction (0.4) leave nothing for training"),
        ("split", SPLIT | {"folds": 2, "test_fraction": 0.1, "val_fraction": 0.5}, "val_fraction (0.5) leaves nothing"),
        ("evaluate.binary_tasks", {"valence": TASK}, "binary_tasks.valence: positive and negative both contain calm"),
        ("evaluate.binary_tasks", {"valence": TASK | {"negative": []}}, "evaluate.binary_tasks.valence.negative: "),
        ("features.mfcc.n_mfcc", 65, "features: mfcc.n_mfcc (65) is above mel.n_mels (64)"),
        ("train_baselines.grids.knn", MISSING, "train_baselines.grids has no grid for knn"),
        ("train_lstm.spectral_features", ["chroma"], "train_lstm.spectral_features: chroma not in"),
        ("check.max_uar_drop", 0.2, "max_uar_drop (0.2) is above max_uar_drop_not_significant (0.1)"),
        ("emotions", EMOTIONS | {"use": ["happy"]}, "fewer than two emotions"),
        ("emotions", EMOTIONS | {"extra": ["calm"]}, "move calm to use"),
        ("emotions", EMOTIONS | {"merge": {"calm": "happy"}}, "merge maps calm to happy, which is not in use"),
        ("emotions", EMOTIONS | {"merge": {"calm": "neutral", "neutral": "sad"}}, "itself merged into sad"),
        ("custom_corpora.mine", CUSTOM | {"pattern": "(?P<emotion>"}, "is not a regular expression"),
        ("custom_corpora.mine", CUSTOM | {"pattern": r"(\w+)"}, "has no group"),
        ("custom_corpora.mine", CUSTOM | {"pattern": "(?P<emotion>a)", "labels": "x.csv"}, "labels and pattern"),
        ("custom_corpora.mine", CUSTOM | {"emotions": {1: "happy"}}, "custom_corpora.mine.emotions: 1 is not text"),
    ],
)
def test_inconsistent_values_are_an_error(tmp_path: Path, key: str, value: Any, text: str) -> None:
    """The error names the values that contradict each other."""
    content = changed(key, value)
    content["features"]["mel"]["n_mels"] = 64
    if key == "train_lstm.spectral_features":
        content["features"]["frame_features"] = ["mel", "pitch", "rms", "zcr", "spectral"]
    assert text in message(tmp_path, content)


@pytest.mark.parametrize("group", ["emotion", "label", "Emotion_Label", "class_"])
def test_pattern_with_a_synonym_of_emotion(tmp_path: Path, group: str) -> None:
    """The group of the emotion may have any name that the column of a table may have."""
    content = changed("custom_corpora.mine", CUSTOM | {"pattern": f"(?P<{group}>a)"})
    assert read(tmp_path, content).custom_corpora["mine"].pattern == f"(?P<{group}>a)"


@pytest.mark.parametrize("change", [{"folds": 5}, {"protocol": "random"}])
def test_fold_table_requires_one_fold_by_speaker(tmp_path: Path, change: dict[str, Any]) -> None:
    """It defines the number of folds and their speakers."""
    content = changed("split.fold_table", "emobox")
    assert read(tmp_path, content).split.fold_table == "emobox"
    content["split"] |= change
    assert "params.yaml: split: fold_table" in message(tmp_path, content)


def test_grid_of_a_baseline(tmp_path: Path) -> None:
    """For another name, the error lists the baselines with a grid."""
    content = changed("train_baselines.grids", {"svm": {"C": [1, 10]}, "knn": {"weights": ["distance"]}})
    section = read(tmp_path, content | {"baselines": ["knn"]}).train_baselines
    assert section.grid_of("svm") == {"C": [1, 10]}
    with pytest.raises(UserError, match=r"'svc'.* knn, svm"):
        section.grid_of("svc")


def test_classes_are_used_and_extra_emotions(tmp_path: Path) -> None:
    """Emotions may be merged into extra ones."""
    content = changed("emotions", {"use": ["sad"], "extra": ["bored"], "merge": {"happy": "bored"}})
    assert read(tmp_path, content).emotions.classes == ("sad", "bored")


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    """Each has the path of the file."""
    content = changed("preprocess.denoise_strength", 2)
    content["split"]["test_fractions"] = content["split"].pop("test_fraction")
    text = message(tmp_path, content)
    for part in ("preprocess.denoise_strength: ", "split.test_fraction is missing", "split.test_fractions is not a"):
        assert f"{tmp_path / 'params.yaml'}: {part}" in text


@pytest.mark.parametrize(
    ("content", "text"),
    [("", ": the file: "), ("- 1\n- 2\n", ": the file: "), ("data_seed: 1\ncorpora: [tess\nsplit: {", "line 3")],
)
def test_other_file_is_an_error(tmp_path: Path, content: str, text: str) -> None:
    """The file must be YAML with a mapping."""
    assert text in message(tmp_path, content)


def test_unreadable_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may be missing, or not be UTF-8."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"params\.yaml was not found"):
        read_params()
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes() + "# Ausdrücke\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml"):
        read_params()
