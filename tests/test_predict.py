"""predict.py predicts files, standard input and streams, and rejects invalid options."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import predict
import ser
from ser.inference import timeline
from ser.inference.sliding_window import WindowSettings
from tests.helpers.fake_model import FakeModel, call
from tests.helpers.signals import encode

ROOT = Path(__file__).parents[1]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run predict.py with options and standard input."""
    monkeypatch.setattr(ser, "load", lambda folder: FakeModel(), raising=False)
    return lambda *options, stdin=b"": CliRunner().invoke(predict.app, list(options), input=stdin)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "call.wav"
    path.write_bytes(encode(call()))
    return path


def test_timelines_are_printed_and_saved(run: Any, recording: Path, tmp_path: Path) -> None:
    """The table is printed, and four files are written."""
    result = run("--file", str(recording), "--timeline", "--save", str(tmp_path / "out" / "call"))
    assert result.exit_code == 0
    assert [line.split()[3] for line in result.stdout.splitlines()[1:5]] == ["sad", "no", "angry", "no"]
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["call.csv", "call.html", "call.json", "call.png"]


def test_unwritable_outputs_are_errors(run: Any, recording: Path) -> None:
    """A file as folder is an error without a traceback."""
    result = run("--file", str(recording), "--timeline", "--save", str(recording / "inside"))
    assert result.exit_code == 1
    assert f"--save {recording / 'inside'}: " in result.stdout


def test_json_has_a_line_per_recording(run: Any, recording: Path, tmp_path: Path) -> None:
    """An invalid recording has an error, and the exit code is 1."""
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    result = run("--file", str(tmp_path / "bad.wav"), "--file", str(recording), "--timeline", "--json", "--hop", "0.5")
    bad, good = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 1
    assert set(bad) == {"file", "error"}
    expected = timeline.predict_timeline(recording, FakeModel(), WindowSettings(hop=0.5))
    assert good == {"file": str(recording), **expected.as_dict()}


def test_a_stream_has_the_windows_of_the_file(run: Any, recording: Path) -> None:
    """Raw samples have the windows of the timeline, one per line, and its summary in the final line."""
    result = run("--stream", "--rate", "16000", stdin=encode(call())[44:])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    expected = timeline.predict_timeline(recording, FakeModel(), WindowSettings()).as_dict()
    assert lines[:-1] == expected.pop("windows")
    assert lines[-1] == {"final": True} | expected


def test_a_hyphen_is_standard_input(run: Any) -> None:
    """The content of a file is read from standard input."""
    result = run("--file", "-", "--timeline", "--json", stdin=encode(call()))
    assert json.loads(result.stdout)["seconds"] == pytest.approx(14.7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "--file, --dir, --stream and --mic"),
        ("--stream --mic", "--file, --dir, --stream and --mic"),
        ("--stream --rate 5", "--rate: found 5; expected 4000 to 384000 Hz"),
        ("--file a --timeline --window 0", "window: found 0"),
        ("--mic --smoothing 1", "smoothing: found 1"),
        ("--file a --file b --save c", "--save: found 2 recordings"),
        # Options without effect, even with their default value.
        ("a.wav --window 3", "--window applies only with --timeline, --save, --stream or --mic"),
        ("a.wav --csv predictions.csv", "--csv applies only with --dir"),
        ("--mic --rate 16000", "--rate applies only with --stream"),
        ("--stream --save b", "--save applies only with --file"),
        ("--dir . --json", "--json applies only with --file, --stream or --mic"),
        ("a.wav --timeline --speak", "--speak applies only with --file, without --timeline"),
        ("a.wav --save b --min-confidence 0", "--min-confidence applies only with --dir, or with --file"),
    ],
)
def test_invalid_options_are_rejected(run: Any, options: str, message: str) -> None:
    """The error names the option, and the exit code is 1."""
    result = run(*options.split())
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr


def test_missing_models_are_errors() -> None:
    """The command ends with exit code 1 and a message instead of a traceback."""
    command = [sys.executable, "predict.py", "--file", "a.wav", "--model", "nowhere"]
    result = subprocess.run(command, cwd=ROOT, env={"PATH": ""}, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: nowhere: not found")


def test_help_names_options_and_values(run: Any) -> None:
    """Flags have no value, and values have names instead of types."""
    text = run("--help").stdout
    assert not re.search(r"<\w+|\b(BOOL|TEXT|PATH|FLOAT|INTEGER)\b", text)
    assert all(option in text for option in ("--json  ", "--dir FOLDER", "--rate HZ"))
