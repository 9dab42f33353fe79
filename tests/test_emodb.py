"""Test the example of docs/adding-a-corpus.md: its code defines a corpus that the stages process as described."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ser.labels import EMOTIONS as CANONICAL
from tests.helpers import signals

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "adding-a-corpus.md").read_text(encoding="utf-8")
SEXES = {"03": "m", "08": "f", "10": "m", "13": "f", "16": "f"}
EMOTIONS = {"W": "angry", "L": "bored", "E": "disgust", "A": "fearful", "F": "happy", "T": "sad", "N": "neutral"}
SENTENCES = ("a01", "b10")
N_BORED = len(SEXES) * len(SENTENCES)


class Project:
    """A copy of this project with the module of the example and some recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ser", "stages", "tools"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
        (folder / "ser" / "corpora" / "emodb.py").write_text("".join(blocks), encoding="utf-8")
        names = [f"wav/{speaker}{text}{code}a.wav" for speaker in SEXES for text in SENTENCES for code in EMOTIONS]
        signals.write_recordings(folder / "corpora" / "emodb", names)
        self.write_params()
        self.download_output = self.run("-m", "stages.download", "--corpus", "emodb")
        for stage in ("preprocess", "augment", "featurize"):
            self.run("-m", f"stages.{stage}", "--corpus", "emodb")

    def write_params(self, **emotions: object) -> None:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params["corpora"] = ["emodb"]
        params["download"] |= {"data_dir": "corpora", "allow_incomplete": True}
        params["preprocess"]["denoise_strength"] = 0  # slow, and not needed here
        params["emotions"] = {"use": list(CANONICAL), "extra": [], "merge": {}} | emotions
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
        """Run the stage split; return its output, the splits and the excluded clips."""
        self.write_params(**emotions)
        output = self.run("-m", "stages.split")
        return output, pd.read_csv(self.folder / "data/splits.csv"), pd.read_csv(self.folder / "data/excluded.csv")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project(tmp_path_factory.mktemp("emodb"))


def test_recordings_are_parsed(project: Project) -> None:
    """Each file is a clip with the labels of its name; the incomplete corpus is reported."""
    clips = pd.read_parquet(project.folder / "data/interim/emodb.parquet").set_index("clip_id")
    assert len(clips) == len(SEXES) * len(SENTENCES) * len(EMOTIONS)
    for clip_id, clip in clips.iterrows():
        speaker, text, code = re.fullmatch(r"emodb/wav/(\d\d)(...)(.)a", clip_id).groups()
        expected = (f"emodb-{speaker}", SEXES[speaker], text, EMOTIONS[code], "de")
        assert (clip.speaker, clip.sex, clip.sentence, clip.emotion, clip.language) == expected
    assert "emodb: Berlin Database of Emotional Speech (EMO-DB). Licence: CC0" in project.download_output
    assert "70 of 535 recordings, 5 of 10 speakers, 7 of 7 emotions" in project.download_output


def test_additional_emotion_is_excluded(project: Project) -> None:
    """The message is that of the page."""
    output, splits, excluded = project.split()
    [message] = re.findall(r"^81 of 535 clips are in no split: .*$", PAGE, flags=re.MULTILINE)
    n_clips = len(SEXES) * len(SENTENCES) * len(EMOTIONS)
    assert message.replace("81", str(N_BORED)).replace("535", str(n_clips)) in output
    assert (len(excluded), set(excluded.clip_id.str[-2])) == (N_BORED, {"L"})
    assert set(splits.emotion) == set(EMOTIONS.values()) - {"bored"}


def test_additional_emotion_is_a_class_or_merged(project: Project) -> None:
    """The settings are those of the commands of the page."""
    assert "-S 'emotions.extra=[bored]'" in PAGE
    assert "-S '+emotions.merge={bored: neutral}'" in PAGE
    output, splits, excluded = project.split(extra=["bored"])
    assert "in no split" not in output and excluded.empty
    assert all("bored" in set(clips.emotion) for _, clips in splits.groupby("split"))
    _, splits, excluded = project.split(merge={"bored": "neutral"})
    assert excluded.empty
    assert set(splits.emotion[splits.clip_id.str[-2] == "L"]) == {"neutral"}
    assert (splits.emotion == "neutral").sum() == 2 * N_BORED


def test_page_about_corpora_has_the_corpus(project: Project) -> None:
    """It has a section, and a column for the additional emotion."""
    page = project.run("-c", "from tools.make_corpora import corpora_markdown as page; print(page())")
    assert "## `emodb`" in page
    assert "disgust | surprised | bored |" in page
    assert "| `emodb` | yes | none | yes | yes | yes | yes | yes | none | yes |" in page
