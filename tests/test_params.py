"""Settings are complete, correct and frozen, or the error names the key."""

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


def changed(key: str, value: Any) -> dict[str, Any]:
    """Take ordinary settings and set one key, given by its path; MISSING takes it out."""
    content = factories.ordinary()
    *sections, last = key.split(".")
    section = content
    for name in sections:
        section = section[name]
    if value is MISSING:
        del section[last]
    else:
        section[last] = value
    return content


def read(tmp_path: Path, content: Any) -> Params:
    path = tmp_path / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_params(path)


def message(tmp_path: Path, content: Any) -> str:
    with pytest.raises(UserError) as error:
        read(tmp_path, content)
    return str(error.value)


def test_the_project_s_settings_are_valid() -> None:
    """params.yaml is accepted as it stands, and every value in it arrives."""
    params = read_params(ROOT / "params.yaml")
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert params.model_dump(mode="json") | {"check": params.check.model_dump(mode="json")} == content


def test_limits_of_the_check_fit_together(tmp_path: Path) -> None:
    """A drop that need not be significant is larger than one that must be, and only known changes are accepted."""
    assert "max_uar_drop (0.2) is above max_uar_drop_not_significant (0.1)" in message(
        tmp_path, changed("check.max_uar_drop", 0.2)
    )
    assert "params.yaml: check.accepted_changes.0: " in message(tmp_path, changed("check.accepted_changes", ["model"]))


def test_limits_of_the_check_are_in_no_result() -> None:
    """What is written down of a run is what its numbers come from; how they are judged afterwards is not."""
    assert "check" not in factories.settings().model_dump()


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("trian_lstm", "did you mean train_lstm?"),
        ("seed", "did you mean data_seed?"),
        ("preprocess.sample_rat", "did you mean sample_rate?"),
        ("preprocess.normalise", "did you mean normalize?"),
        ("augment.noise_snr_db.mi", "did you mean min?"),
        ("features.mfcc.delta", "did you mean delta_order?"),
        ("split.hold_out", "known here: protocol, folds, fold_table, test_fraction, val_fraction"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest_known_one(tmp_path: Path, key: str, suggestion: str) -> None:
    """A misspelt key is refused by its full path, and the message says what it may have meant."""
    said = message(tmp_path, changed(key, 1))
    assert f"params.yaml: {key} is not a known key; {suggestion}" in said


@pytest.mark.parametrize("key", ["data_seed", "corpora", "split", "train_lstm.lstm_units", "augment.noise_snr_db.max"])
def test_a_missing_key_is_named(tmp_path: Path, key: str) -> None:
    """A key that is not there is named by its full path; no default takes its place."""
    assert f"params.yaml: {key} is missing" in message(tmp_path, changed(key, MISSING))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data_seed", "one"),
        ("data_seed", -1),
        ("preprocess.sample_rate", 100),
        ("preprocess.sample_rate", 16000.5),
        ("preprocess.denoise_strength", 1.01),
        ("preprocess.normalize", "RMS"),
        ("preprocess.target_level_db", 3),
        ("preprocess.min_duration", 0),
        ("preprocess.trim_top_db", -40),
        ("augment.copies_per_clip", -1),
        ("features.hop_seconds", 10),
        ("features.mfcc.delta_order", 3),
        ("split.protocol", "speakers"),
        ("split.test_fraction", 0),
        ("split.val_fraction", 1),
        ("train_lstm.dropout", 1),
        ("train_lstm.epochs", 0),
        ("train_lstm.epochs", 2.5),
        ("train_lstm.architecture", "gru"),
        ("train_lstm.use_augmented", "perhaps"),
        ("train_lstm.learning_rate", "fast"),
        ("train_baselines.folds", 1),
        ("train_baselines.grids.svm.C", []),
        ("train_baselines.grids.svm.C", 10),
        ("emotions.extra", "bored"),
        ("evaluate.mlflow_experiment", ""),
        ("download.data_dir", 7),
        ("split", None),
        ("check.alpha", 0),
        ("check.max_uar_drop", -0.1),
        ("check.max_ece_rise", 2),
    ],
)
def test_a_wrong_value_is_named_and_shown(tmp_path: Path, key: str, value: Any) -> None:
    """A value of the wrong type or out of range is refused by its full path, and the message shows it."""
    said = message(tmp_path, changed(key, value))
    assert said.startswith(f"{tmp_path / 'params.yaml'}: {key}: ")
    assert said.endswith(f", found {value!r}")


@pytest.mark.parametrize(
    "key",
    [
        "augment.noise_snr_db.min",
        "preprocess.trim_top_db",
        "train_lstm.learning_rate",
        "train_lstm.max_seconds",
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_must_be_finite(tmp_path: Path, key: str, value: float) -> None:
    """YAML's .nan and .inf are no settings: they would be found out hours later, or never."""
    content = changed(key, value)
    if key.endswith("min") and value == float("inf"):
        content["augment"]["noise_snr_db"]["max"] = value
    assert f"params.yaml: {key}: " in message(tmp_path, content)


@pytest.mark.parametrize(
    ("key", "name", "position"),
    [
        ("emotions.use", "joyful", 0),
        ("augment.augmentations", "reverb", 0),
        ("features.frame_features", "mfccs", 0),
        ("features.functionals", "average", 0),
        ("baselines", "svc", 0),
    ],
)
def test_an_unknown_name_in_a_list_is_named(tmp_path: Path, key: str, name: str, position: int) -> None:
    """A name that nothing answers to is refused by its place, and the known ones are listed."""
    content = changed(key, [name, *read_list(key)])
    said = message(tmp_path, content)
    assert f"params.yaml: {key}.{position}: " in said
    assert said.endswith(f"found {name!r}")
    assert repr(read_list(key)[0]) in said


def read_list(key: str) -> list[str]:
    value: Any = factories.ordinary()
    for name in key.split("."):
        value = value[name]
    return list(value)


@pytest.mark.parametrize(
    "key",
    [
        "corpora",
        "baselines",
        "emotions.use",
        "augment.augmentations",
        "features.frame_features",
        "train_lstm.conv_filters",
    ],
)
def test_a_name_instead_of_a_list_is_explained(tmp_path: Path, key: str) -> None:
    """`-S corpora=tess` gives a string; the message says how to write a list."""
    assert f"params.yaml: {key}: must be a list; write [tess], found 'tess'" in message(tmp_path, changed(key, "tess"))


@pytest.mark.parametrize("key", ["train_lstm.conv_filters", "train_baselines.grids.svm.C"])
def test_a_number_instead_of_a_list_is_explained(tmp_path: Path, key: str) -> None:
    """Whoever has one number writes it without brackets; nobody has to know what a tuple is."""
    assert f"params.yaml: {key}: must be a list; write [1], found 1" in message(tmp_path, changed(key, 1))
    assert f"params.yaml: {key}: must be a list, found None" in message(tmp_path, changed(key, None))


@pytest.mark.parametrize(
    "key", ["corpora", "baselines", "emotions.use", "augment.augmentations", "features.frame_features"]
)
def test_a_list_names_nothing_twice(tmp_path: Path, key: str) -> None:
    """A repeated name is refused: it would be counted twice."""
    said = message(tmp_path, changed(key, [*read_list(key), read_list(key)[0]]))
    assert f"params.yaml: {key}: names something twice" in said


@pytest.mark.parametrize("key", ["corpora", "features.frame_features", "features.functionals"])
def test_a_list_that_must_not_be_empty(tmp_path: Path, key: str) -> None:
    """No corpus, or nothing measured, is no run."""
    assert f"params.yaml: {key}: must not be empty, found []" in message(tmp_path, changed(key, []))


@pytest.mark.parametrize("key", ["baselines", "augment.augmentations"])
def test_a_list_that_may_be_empty(tmp_path: Path, key: str) -> None:
    """A run without baselines or copies is a run."""
    section, _, name = key.rpartition(".")
    params = read(tmp_path, changed(key, []))
    assert getattr(getattr(params, section) if section else params, name) == ()


@pytest.mark.parametrize(
    "key", ["noise_snr_db", "time_stretch_rate", "pitch_shift_semitones", "time_shift_fraction", "speed_factor"]
)
def test_a_range_is_ordered(tmp_path: Path, key: str) -> None:
    """A range whose minimum is above its maximum is refused, with both."""
    said = message(tmp_path, changed(f"augment.{key}", {"min": 0.6, "max": 0.5}))
    assert f"params.yaml: augment.{key}: min (0.6) is above max (0.5)" in said


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        ("time_stretch_rate", 0.1, 1),
        ("time_stretch_rate", 1, 5),
        ("speed_factor", 0.1, 1),
        ("time_shift_fraction", 0, 1),
    ],
)
def test_a_range_is_possible(tmp_path: Path, key: str, low: float, high: float) -> None:
    """A clip is neither stretched beyond recognition nor shifted out of itself."""
    assert f"{key} must lie within" in message(tmp_path, changed(f"augment.{key}", {"min": low, "max": high}))


def test_shares_leave_something_for_training(tmp_path: Path) -> None:
    """Test and validation together must be less than everything."""
    sizes = {"folds": 1, "fold_table": None, "test_fraction": 0.6, "val_fraction": 0.4}
    split = {"protocol": "speaker_independent"} | sizes
    said = message(tmp_path, changed("split", split))
    assert "params.yaml: split: test_fraction (0.6) and val_fraction (0.4) leave nothing for training" in said
    said = message(tmp_path, changed("split", split | {"folds": 2, "test_fraction": 0.1, "val_fraction": 0.5}))
    assert "params.yaml: split: with 2 folds, val_fraction (0.5) leaves nothing for training" in said


@pytest.mark.parametrize(("key", "value"), [("split.folds", 5), ("split.protocol", "random")])
def test_a_published_table_brings_its_own_folds(tmp_path: Path, key: str, value: Any) -> None:
    """Folds that somebody published are of speakers and as many as they are; another number or kind is refused."""
    content = changed("split.fold_table", "emobox")
    assert read(tmp_path, content).split.fold_table == "emobox"
    content["split"][key.removeprefix("split.")] = value
    assert "params.yaml: split: fold_table defines its own speaker folds" in message(tmp_path, content)


@pytest.mark.parametrize(
    ("key", "value"), [("model_seeds", []), ("model_seeds", [1, 1]), ("model_seeds", [-1]), ("model_seeds", 1)]
)
def test_seeds_are_a_list_of_different_numbers(tmp_path: Path, key: str, value: Any) -> None:
    """A run has a seed at least, and none twice, which would count a model twice."""
    assert f"params.yaml: {key}" in message(tmp_path, changed(key, value))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1, "such as [1], found 1"),
        (7, "such as [7], found 7"),
        ("1,2", "such as [1], found '1,2'"),
        (["a", 2], "such as [1], found ['a', 2]"),
        ([1.5], "such as [1], found [1.5]"),
        ([True], "such as [1], found [True]"),
        (None, "such as [1], found None"),
        ({"a": 1}, "such as [1]"),
    ],
)
def test_seeds_that_are_no_list_of_numbers_are_explained(tmp_path: Path, value: Any, said: str) -> None:
    """Whoever has one seed writes it without brackets; the message says in plain words what is expected."""
    assert message(tmp_path, changed("model_seeds", value)) == (
        f"{tmp_path / 'params.yaml'}: model_seeds: must be a list of whole numbers, {said}"
    )


def test_a_binary_task_has_two_sides(tmp_path: Path) -> None:
    """A side without emotions, or an emotion on both, is refused before anything is trained."""
    task = {"positive": ["happy", "calm"], "negative": ["calm", "sad"]}
    said = message(tmp_path, changed("evaluate.binary_tasks", {"valence": task}))
    assert "params.yaml: evaluate.binary_tasks.valence: positive and negative both name calm" in said
    said = message(tmp_path, changed("evaluate.binary_tasks", {"valence": task | {"negative": []}}))
    assert "params.yaml: evaluate.binary_tasks.valence.negative: " in said
    assert read(tmp_path, changed("evaluate.binary_tasks", {})).evaluate.binary_tasks == {}


def test_mfcc_needs_as_many_mel_bands(tmp_path: Path) -> None:
    """A cosine transform of 64 bands has 64 coefficients at most."""
    content = changed("features.mfcc.n_mfcc", 65)
    content["features"]["mel"]["n_mels"] = 64
    said = message(tmp_path, content)
    assert "params.yaml: features: mfcc.n_mfcc (65) is above mel.n_mels (64)" in said


def test_every_baseline_has_a_grid(tmp_path: Path) -> None:
    """A baseline without a grid is found before anything is trained."""
    assert "train_baselines.grids has no grid for knn" in message(
        tmp_path, changed("train_baselines.grids.knn", MISSING)
    )


def test_the_grid_of_a_baseline(tmp_path: Path) -> None:
    """A grid is looked up by name; for another name the error lists those that have one."""
    content = changed("train_baselines.grids", {"svm": {"C": [1, 10]}, "knn": {"weights": ["distance"]}})
    section = read(tmp_path, content | {"baselines": ["knn"]}).train_baselines
    assert section.grid_of("svm") == {"C": [1, 10]}
    with pytest.raises(UserError, match=r"no grid for 'svc'; known are knn, svm"):
        section.grid_of("svc")


@pytest.mark.parametrize(
    ("emotions", "said"),
    [
        ({"use": ["happy"], "extra": []}, "use and extra name fewer than two emotions"),
        ({"use": ["happy", "sad"], "extra": ["calm"]}, "put calm into use"),
    ],
)
def test_emotions_are_classes(tmp_path: Path, emotions: dict[str, list[str]], said: str) -> None:
    """There are two at least, and extra ones are none of the usual."""
    assert said in message(tmp_path, changed("emotions", emotions | {"merge": {}}))
    content = changed("emotions", {"use": ["sad"], "extra": ["bored"], "merge": {"happy": "bored"}})
    assert read(tmp_path, content).emotions.classes == ("sad", "bored")


def test_own_recordings(tmp_path: Path) -> None:
    """A misspelt key of one's own recordings is named, and so are a pattern that is none and two places of labels."""
    mine = factories.ordinary()["custom_corpora"]["mine"]
    assert "custom_corpora.us.foldr is not a known key; did you mean folder?" in message(
        tmp_path,
        changed("custom_corpora", {"us": {key.replace("folder", "foldr"): value for key, value in mine.items()}}),
    )
    for key, value, said in (
        ("pattern", "(?P<emotion>", "is not a regular expression"),
        ("pattern", r"(\w+)", "has no group"),
        ("language", "english", "language: "),
        (
            "emotions",
            {1: "happy"},
            "custom_corpora.us.emotions: 1 is not text; quote labels that YAML reads as something else",
        ),
    ):
        assert said in message(tmp_path, changed("custom_corpora", {"us": mine | {key: value}}))
    both = mine | {"pattern": "(?P<emotion>a)", "labels": "x.csv"}
    assert "labels and pattern are both set" in message(tmp_path, changed("custom_corpora", {"us": both}))


@pytest.mark.parametrize(
    ("use", "merge"),
    [
        (["calm", "sad"], {"calm": "neutral"}),  # calm would stay a class
        (["neutral", "calm", "sad"], {"calm": "neutral", "neutral": "sad"}),  # calm would be all of neutral
    ],
)
def test_a_merge_leads_to_a_class(tmp_path: Path, use: list[str], merge: dict[str, str]) -> None:
    """A merge that would be passed over, or whose target is merged away itself, is refused."""
    assert "params.yaml: emotions: merge" in message(
        tmp_path, changed("emotions", {"use": use, "extra": [], "merge": merge})
    )


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    """Two faults give one error with two sentences, so that a file is mended in one go."""
    content = changed("preprocess.denoise_strength", 2)
    content["split"]["test_fractions"] = content["split"].pop("test_fraction")
    said = message(tmp_path, content)
    for part in (
        "preprocess.denoise_strength: ",
        "split.test_fraction is missing",
        "split.test_fractions is not a known key; did you mean test_fraction?",
    ):
        assert f"{tmp_path / 'params.yaml'}: {part}" in said


@pytest.mark.parametrize("content", ["", "- 1\n- 2\n", "data_seed"])
def test_a_file_of_something_else(tmp_path: Path, content: str) -> None:
    """An empty file, or one that holds a list or a word, is refused as a whole."""
    assert "params.yaml: the file: " in message(tmp_path, content)


def test_not_yaml(tmp_path: Path) -> None:
    """A file that is not YAML is refused with the line where it ends to be."""
    said = message(tmp_path, "data_seed: 1\ncorpora: [tess\nsplit: {")
    assert said.startswith(f"{tmp_path / 'params.yaml'} is not YAML: ")
    assert "line 3" in said


def test_not_text(tmp_path: Path) -> None:
    """A file that is not UTF-8, as some editors save it, is refused by its name."""
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes() + "# Ausdrücke\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml"):
        read_params(path)


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the project's root the message says where to go."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"params\.yaml was not found; run from the project's root"):
        read_params()


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after it was read."""
    params = read_params(ROOT / "params.yaml")
    with pytest.raises(ValidationError, match="frozen"):
        params.split.test_fraction = 0.5
    with pytest.raises(ValidationError, match="frozen"):
        params.augment.noise_snr_db.min = 0.0
    assert isinstance(params.corpora, tuple)
