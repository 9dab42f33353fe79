"""The worked example of docs/adding-a-corpus.md works: its code is the corpus, and a run does what the page says."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ser.labels import EMOTIONS as EIGHT
from tests.helpers import signals

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding-a-corpus.md").read_text(encoding="utf-8")
SEXES = {"03": "m", "08": "f", "10": "m", "13": "f", "16": "f"}
EMOTIONS = {"W": "angry", "L": "bored", "E": "disgust", "A": "fearful", "F": "happy", "T": "sad", "N": "neutral"}
TEXTS = ("a01", "b10")
BORED = len(SEXES) * len(TEXTS)


class Project:
    """A copy of this project that has the example's corpus, and some of its recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ser", "stages", "tools"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
        (folder / "ser" / "corpora" / "emodb.py").write_text("".join(blocks), encoding="utf-8")
        files = [f"wav/{who}{text}{code}a.wav" for who in SEXES for text in TEXTS for code in EMOTIONS]
        signals.write_recordings(folder / "corpora" / "emodb", files)

    def settle(self, **emotions: object) -> None:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["corpora"] = ["emodb"]
        params["download"] |= {"data_dir": "corpora", "allow_incomplete": True}
        params["preprocess"]["denoise_strength"] = 0  # slow, and not needed here
        params["emotions"] = {"use": list(EIGHT), "extra": [], "merge": {}} | emotions
        params["augment"]["augmentations"] = []
        params["augment"]["robustness"]["n_clips"] = 0
        params["features"] |= {"frame_features": ["rms"], "functionals": ["mean"]}
        params["train_lstm"]["spectral_features"] = ["rms"]
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")

    def run(self, *command: str) -> str:
        done = subprocess.run([sys.executable, *command], cwd=self.folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def split(self, **emotions: object) -> tuple[str, pd.DataFrame, pd.DataFrame]:
        """Split with these settings: what was said, and the tables of clips in a split and in none."""
        self.settle(**emotions)
        said = self.run("-m", "stages.split")
        return said, pd.read_csv(self.folder / "data/splits.csv"), pd.read_csv(self.folder / "data/excluded.csv")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("emodb"))
    project.settle()
    project.downloaded = project.run("-m", "stages.download", "--corpus", "emodb")
    for stage in ("preprocess", "augment", "featurize"):
        project.run("-m", f"stages.{stage}", "--corpus", "emodb")
    return project


def test_the_example_reads_the_files(project: Project) -> None:
    """Every file becomes a clip with the label, speaker, sex, sentence and language that its name says."""
    clips = pd.read_parquet(project.folder / "data/interim/emodb.parquet").set_index("clip_id")
    assert len(clips) == len(SEXES) * len(TEXTS) * len(EMOTIONS)
    for clip_id, clip in clips.iterrows():
        who, text, code = re.fullmatch(r"emodb/wav/(\d\d)(...)(.)a", clip_id).groups()
        expected = (f"emodb-{who}", SEXES[who], text, EMOTIONS[code], "de")
        assert (clip.speaker, clip.sex, clip.sentence, clip.emotion, clip.language) == expected


def test_the_download_counts_what_is_there(project: Project) -> None:
    """A part of the corpus is said to be one, after title, licence and citation."""
    assert "emodb: Berlin Database of Emotional Speech (EMO-DB). Licence: CC0" in project.downloaded
    assert "70 of 535 recordings, 5 of 10 speakers, 7 of 7 emotions" in project.downloaded


def test_another_emotion_is_left_out_and_reported(project: Project) -> None:
    """Unless settings name it, the clips of an emotion beyond the eight are in no split, and the run says so."""
    said, rows, left_out = project.split()
    assert f"{BORED} clips are in no split: emotions: bored is none of this run's (data/excluded.csv)" in said
    assert set(left_out.clip_id.str[-2]) == {"L"}
    assert len(left_out) == BORED
    assert set(rows.emotion) == set(EMOTIONS.values()) - {"bored"}


def test_another_emotion_becomes_a_class(project: Project) -> None:
    """Named in emotions.extra, it is one in every split."""
    said, rows, left_out = project.split(extra=["bored"])
    assert "in no split" not in said
    assert len(left_out) == 0
    assert all("bored" in set(clips.emotion) for _, clips in rows.groupby("split"))


def test_another_emotion_is_counted_as_a_usual_one(project: Project) -> None:
    """Merged, its clips have the label of the other."""
    _, rows, left_out = project.split(merge={"bored": "neutral"})
    assert len(left_out) == 0
    assert set(rows.emotion[rows.clip_id.str[-2] == "L"]) == {"neutral"}
    assert (rows.emotion == "neutral").sum() == 2 * BORED


def test_the_page_about_corpora_has_it(project: Project) -> None:
    """A corpus without an address to fetch from, and with an emotion of its own, gets a section and a column."""
    page = project.run("-c", "from tools.make_corpora import corpora_markdown as page; print(page())")
    assert "## `emodb`" in page
    assert "disgust | surprised | bored |" in page
    assert "| `emodb` | yes | none | yes | yes | yes | yes | yes | none | yes |" in page


def test_the_commands_are_those_of_the_page() -> None:
    """What is tested here as settings stands in the page as overrides."""
    assert "-S 'emotions.extra=[bored]'" in PAGE
    assert "-S '+emotions.merge={bored: neutral}'" in PAGE
