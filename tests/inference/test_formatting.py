"""predict.py answers people and programs, about files, standard input and folders, and loses no recording."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import predict
from ser.audio.io import AudioError
from ser.inference import folder as folder_predictions
from ser.inference import formatting
from ser.inference.model import UNCERTAIN, Prediction
from ser.utils.errors import UserError
from tests.helpers import signals

ROOT = Path(__file__).parents[2]
ANSWER = Prediction("sad", 0.7, {"neutral": 0.1, "sad": 0.7, "angry": 0.2}, 2.5, ("quiet",))


class Judge:
    """Answers the same of everything, but of what is called bad."""

    labels = tuple(ANSWER.probabilities)

    def predict(self, recording: Any) -> Prediction:
        if "bad" in str(recording):
            raise AudioError("is broken")
        return ANSWER


def told(name: str = "a.wav", *, least: float = 0) -> formatting.PredictionOutcome:
    return formatting.predict_or_error(Judge(), Path(name), name=name, least=least)  # type: ignore[arg-type]


def test_a_chart_ranks_the_emotions() -> None:
    """The label and its confidence head the bars, the longest first; flags are explained."""
    lines = formatting.chart(told()).splitlines()
    assert lines[0] == "a.wav: sad (70.0%), 2.5 s"
    assert [line.split()[0] for line in lines[1:4]] == ["sad", "angry", "neutral"]
    assert [line.count("█") for line in lines[1:4]] == [21, 6, 3]
    assert lines[4].startswith("  quiet: ")
    assert formatting.chart(told("bad.wav")) == "bad.wav: is broken"


def test_a_line_of_json_holds_all() -> None:
    """Programs get the whole answer, or the reason why there is none, on one line."""
    found = json.loads(formatting.json_line(told(), text="hello"))
    assert found == {
        "file": "a.wav",
        "label": "sad",
        "confidence": 0.7,
        "probabilities": ANSWER.probabilities,
        "seconds": 2.5,
        "flags": ["quiet"],
        "text": "hello",
    }
    assert json.loads(formatting.json_line(told("bad\udcff.wav"))) == {"file": "bad�.wav", "error": "is broken"}


@pytest.mark.parametrize(("least", "label"), [(0.69, "sad"), (0.7, "sad"), (0.71, UNCERTAIN)])
def test_too_little_confidence_is_uncertain(least: float, label: str) -> None:
    """Below the least confidence the label is uncertain; the probabilities stay."""
    assert told(least=least).label == label
    assert told(least=least).answer == ANSWER


def test_a_folder_becomes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file has a row, in order, also bad ones and those in folders; hidden ones and the table have none."""
    monkeypatch.setattr(folder_predictions, "load", lambda model: Judge())
    folder_predictions._loaded.cache_clear()
    for name in ("b/one.wav", "a.wav", "bad.txt", ".hidden/x.wav", "out.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    counts = folder_predictions.predict_folder(Path("models/exported/lstm"), tmp_path, tmp_path / "out.csv", least=0.5)
    assert counts == folder_predictions.FolderSummary(3, 1, {"bad.txt": "is broken"})
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    assert [row["file"] for row in rows] == ["a.wav", "b/one.wav", "bad.txt"]
    assert [row["label"] for row in rows] == ["sad", "sad", ""]
    assert [row["error"] for row in rows] == ["", "", "is broken"]
    assert (rows[0]["p_sad"], rows[0]["flags"], rows[0]["seconds"]) == ("0.700000", "quiet", "2.500")
    folder_predictions._loaded.cache_clear()


@pytest.mark.parametrize(("bad", "more"), [(0, []), (5, []), (7, ["2 more, see the column error of {table}"])])
def test_files_of_a_folder_without_an_answer_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bad: int, more: list[str]
) -> None:
    """The first five on standard error, each with its reason; of the others it says where to find them."""
    monkeypatch.setattr(folder_predictions, "load", lambda model: Judge())
    folder_predictions._loaded.cache_clear()
    (tmp_path / "voices").mkdir()
    for name in ("good", *(f"bad{n}" for n in range(bad))):
        (tmp_path / "voices" / f"{name}.wav").write_bytes(b"x")
    table = str(tmp_path / "out.csv")
    done = CliRunner().invoke(predict.app, ["--dir", str(tmp_path / "voices"), "--csv", table])
    named = [f"bad{n}.wav: is broken" for n in range(min(bad, 5))]
    said = [line for line in done.stderr.splitlines() if "bad" in line or "more" in line]
    assert said == [*named, *(line.format(table=table) for line in more)]
    assert done.stdout == f"{bad + 1} files, {bad} without an answer: {table}\n"
    assert done.exit_code == (1 if bad else 0)
    folder_predictions._loaded.cache_clear()


@pytest.mark.parametrize("table", ["voices", "voices/a.flac", "voices/answers"])
def test_answers_overwrite_nothing_but_a_table(tmp_path: Path, table: str) -> None:
    """Not a folder, not a recording: what stands there stays."""
    (tmp_path / "voices" / "answers").mkdir(parents=True)
    (tmp_path / "voices" / "a.flac").write_bytes(b"x")
    done = CliRunner().invoke(predict.app, ["--dir", str(tmp_path / "voices"), "--csv", str(tmp_path / table)])
    assert done.exit_code == 1
    assert f"{table} is there already and is no .csv file" in done.stderr
    assert (tmp_path / "voices" / "a.flac").read_bytes() == b"x"
    assert (tmp_path / "voices" / "answers").is_dir()


@pytest.mark.parametrize(("folder", "reason"), [("none", "is no folder"), ("empty", "holds no files")])
def test_no_recordings_are_an_error(tmp_path: Path, folder: str, reason: str) -> None:
    """A folder that is not there, or is empty, is said."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=reason):
        formatting.recordings_in(tmp_path / folder, but=tmp_path / "out.csv")


def command(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "", "COLUMNS": "200", "NO_COLOR": "1"}
    program = [sys.executable, str(ROOT / "predict.py"), *arguments]
    return subprocess.run(program, env=env, capture_output=True, text=True, check=False, **more)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "name one of: recordings by --file"),
        (["--file", "a.wav", "--dir", "b"], "name one of: recordings by --file"),
        (
            ["--file", "a.wav", "--model", "nowhere"],
            "nowhere is not there: run `make repro` first, or name another by --model",
        ),
        (["--file", "a.wav", "--model", "tests"], "tests has no model in it (no card.json): name another by --model"),
    ],
)
def test_the_command_says_in_a_sentence_what_is_missing(arguments: list[str], reason: str) -> None:
    """Wrong use ends with exit code 1 and a sentence, not with a traceback."""
    done = command(*arguments, cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert reason in done.stderr


def test_transcripts_need_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the packages of the extra are missing, the error names the file that installs them."""
    from ser.inference import speech_to_text

    for package in ("speech_recognition", "pyttsx3"):
        monkeypatch.setitem(sys.modules, package, None)
    for call in (
        lambda: speech_to_text.transcribe(signals.encode(signals.sine(200))),
        lambda: speech_to_text.speak("sad"),
    ):
        with pytest.raises(UserError, match=r"requirements-voice\.txt"):
            call()


def test_a_transcript_is_what_the_recogniser_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recording reaches the recogniser as 16 kHz audio that it can read."""
    from ser.audio import io as audio_io
    from ser.inference import speech_to_text

    heard: list[Any] = []

    class File:
        def __init__(self, stream: Any) -> None:
            heard.append(audio_io.decode(stream.read()))

        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None: ...

    recogniser = SimpleNamespace(record=lambda source: "sound", recognize_sphinx=lambda sound: f"hello {sound}")
    fake = SimpleNamespace(
        Recognizer=lambda: recogniser, AudioFile=File, UnknownValueError=OSError, RequestError=OSError
    )
    monkeypatch.setitem(sys.modules, "speech_recognition", fake)
    assert speech_to_text.transcribe(signals.encode(signals.sine(200, rate=8000), rate=8000)) == "hello sound"
    [(samples, rate)] = heard
    assert (samples.shape, rate) == ((16000, 1), 16000)
