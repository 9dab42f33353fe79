"""The command line answers from second to second: of files, of standard input, in tables, pages and lines of JSON."""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import predict
import ser
from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from tests.helpers.fake_model import EMOTIONS, RATE, FakeModel, call
from tests.helpers.signals import encode


class Loaded:
    """What `ser.load` gives, as far as it is used: the model whose answers are known."""

    labels = EMOTIONS
    card = SimpleNamespace(preprocess=SimpleNamespace(sample_rate=RATE), model_dump=lambda **_: {})

    def predict(self, recording: tuple[np.ndarray, int]) -> SimpleNamespace:
        found = FakeModel().judge(recording[0])
        return SimpleNamespace(label="sad", probabilities=dict(zip(EMOTIONS, found.tolist(), strict=True)), flags=())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run predict.py with options, and what it reads."""
    monkeypatch.setattr(ser, "load", lambda folder: Loaded(), raising=False)
    return lambda *options, reads=b"": CliRunner().invoke(predict.app, list(options), input=reads)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    path.write_bytes(encode(call()))
    return path


def test_a_timeline_is_told_and_saved(run: Any, recording: Path, tmp_path: Path) -> None:
    """The table goes to the terminal, and four files beside each other under the name that was asked for."""
    done = run("--file", str(recording), "--timeline", "--save", str(tmp_path / "out" / "call"))
    assert done.exit_code == 0
    assert [line.split()[3] for line in done.stdout.splitlines()[1:5]] == ["sad", "nobody", "angry", "nobody"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["call.csv", "call.html", "call.json", "call.png"]


def test_what_cannot_be_saved_is_told(run: Any, recording: Path, tmp_path: Path) -> None:
    """A folder of that name stays, and a file is no folder to save in; neither is a traceback."""
    (tmp_path / "kept.csv").mkdir()
    for name in ("kept", "call.wav/inside"):
        done = run("--file", str(recording), "--timeline", "--save", str(tmp_path / name))
        assert done.exit_code == 1
        assert f"--save {tmp_path / name}: " in done.stdout
        assert "choose another" in done.stdout
    assert (tmp_path / "kept.csv").is_dir()


def test_json_is_a_line_a_recording(run: Any, recording: Path, tmp_path: Path) -> None:
    """A recording that cannot be judged is told among the others, and the command ends with 1."""
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    done = run("--file", str(tmp_path / "bad.wav"), "--file", str(recording), "--timeline", "--json", "--hop", "0.5")
    bad, good = map(json.loads, done.stdout.splitlines())
    assert done.exit_code == 1
    assert set(bad) == {"file", "error"}
    expected = timeline.predict_timeline(recording, FakeModel(), WindowSettings(hop_seconds=0.5))
    assert good == {"file": str(recording), **expected.as_dict()}


def test_a_stream_has_the_windows_of_the_file(run: Any, recording: Path) -> None:
    """Raw samples on standard input give the timeline's windows, a line each, and a last line."""
    reads = encode(call())[44:]
    lines = [json.loads(line) for line in run("--stream", "--rate", "16000", reads=reads).stdout.splitlines()]
    assert lines[:-1] == timeline.predict_timeline(recording, FakeModel(), WindowSettings()).as_dict()["windows"]
    assert lines[-1]["final"]


def test_a_file_may_come_on_standard_input(run: Any) -> None:
    """Its name is a hyphen."""
    done = run("--file", "-", "--timeline", "--json", reads=encode(call()))
    assert json.loads(done.stdout)["seconds"] == pytest.approx(14.7)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "name one of: recordings by --file"),
        (["--stream", "--mic"], "name one of: recordings by --file"),
        (["--stream", "--rate", "5"], "--rate: found 5"),
        (["--stream", "--hop", "9"], "--hop: found 9; expected at most --window (3)"),
        (["--file", "a", "--timeline", "--window", "0"], "--window: found 0"),
        (["--mic", "--smoothing", "1"], "--smoothing: found 1"),
        (["--file", "a", "--file", "b", "--save", "c"], "--save: found 2 recordings"),
    ],
)
def test_options_that_make_no_sense_are_refused(run: Any, options: list[str], said: str) -> None:
    """With one sentence."""
    done = run(*options)
    assert done.exit_code == 1
    assert said in str(done.exception) + done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["a.wav", "--window", "3"], "--window applies only with --timeline, --save, --stream or --mic"),
        (["--file", "a.wav", "--hop", "1"], "--hop applies only with --timeline"),
        (["--dir", ".", "--smoothing", "0.5"], "--smoothing applies only with --timeline"),
        (["a.wav", "--csv", "predictions.csv"], "--csv applies only with --dir"),
        (["--mic", "--rate", "16000"], "--rate applies only with --stream"),
        (["--stream", "--save", "b"], "--save applies only with --file"),
        (["--dir", ".", "--timeline"], "--timeline applies only with --file"),
        (["--dir", ".", "--json"], "--json applies only with --file, --stream or --mic"),
        (["--dir", ".", "--transcribe"], "--transcribe applies only with --file, without --timeline or --save"),
        (["a.wav", "--timeline", "--speak"], "--speak applies only with --file, without --timeline"),
        (["a.wav", "--save", "b", "--min-confidence", "0"], "--min-confidence applies only with --dir, or with --file"),
        (["--stream", "--min-confidence", "0.5"], "--min-confidence applies only with --dir"),
    ],
)
def test_options_that_would_do_nothing_are_refused(run: Any, options: list[str], said: str) -> None:
    """Also where what was typed is the default; the sentence says where the option applies."""
    done = run(*options)
    assert done.exit_code == 1
    assert f"error: {said}" in done.stderr


def test_json_may_be_asked_for_where_there_is_nothing_else(run: Any) -> None:
    """A stream answers in lines of JSON anyway."""
    asked, unasked = (run("--stream", *options, reads=encode(call())[44:]).stdout for options in (["--json"], []))
    assert asked == unasked != ""


def test_help_names_what_is_typed(run: Any) -> None:
    """A switch takes no value, and what an option takes is called by what it is."""
    said = run("--help").stdout
    assert not re.search(r"<\w+|\b(BOOL|TEXT|PATH|FLOAT|INTEGER)\b", said)
    for words in ("[OPTIONS] [FILE]...", "--json  ", "--dir FOLDER", "--rate HZ", "--window SECONDS", "--save NAME"):
        assert words in said
