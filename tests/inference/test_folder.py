"""The predictions of a folder are written as a CSV file with a row for each file."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import predict
from ser.inference import folder as folder_predictions
from ser.utils.errors import UserError
from tests.inference.test_formatting import ConstantModel


@pytest.fixture(autouse=True)
def _constant_model(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(folder_predictions, "load", lambda model: ConstantModel())
    yield
    folder_predictions._load_once.cache_clear()


def run(folder: Path, output: Path) -> Result:
    return CliRunner().invoke(predict.app, ["--dir", str(folder), "--csv", str(output)])


def test_each_file_has_a_row(tmp_path: Path) -> None:
    """Rows are sorted and include files of subfolders and invalid files, but not hidden files and the output."""
    for name in ("b/one.wav", "a.wav", "bad.txt", ".hidden/x.wav", "out.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    summary = folder_predictions.predict_folder(Path("model"), tmp_path, tmp_path / "out.csv", min_confidence=0.5)
    assert summary == folder_predictions.FolderSummary(3, 1, {"bad.txt": "is broken"})
    rows = list(csv.DictReader((tmp_path / "out.csv").open(encoding="utf-8")))
    expected = [("a.wav", "sad", ""), ("b/one.wav", "sad", ""), ("bad.txt", "", "is broken")]
    assert [(row["file"], row["label"], row["error"]) for row in rows] == expected
    assert (rows[0]["prob_sad"], rows[0]["flags"], rows[0]["duration"]) == ("0.700000", "quiet", "2.500")


@pytest.mark.parametrize("n_failed", [0, 7])
def test_failed_files_are_listed(tmp_path: Path, n_failed: int) -> None:
    """Standard error has the first five errors and the number of the others, and the exit code is 1."""
    (tmp_path / "voices").mkdir()
    for name in ("good", *(f"bad{n}" for n in range(n_failed))):
        (tmp_path / "voices" / f"{name}.wav").write_bytes(b"x")
    result = run(tmp_path / "voices", tmp_path / "out.csv")
    lines = [line.split(":")[0] for line in result.stderr.splitlines() if "bad" in line or "more" in line]
    assert lines == ([*(f"bad{n}.wav" for n in range(5)), "2 more errors"] if n_failed else [])
    assert result.stdout == f"{n_failed + 1} files, {n_failed} failed: {tmp_path / 'out.csv'}\n"
    assert result.exit_code == (1 if n_failed else 0)


@pytest.mark.parametrize("output", ["voices", "voices/a.flac"])
def test_only_csv_files_are_overwritten(tmp_path: Path, output: str) -> None:
    """A folder or a recording at the output stays."""
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "a.flac").write_bytes(b"x")
    result = run(tmp_path / "voices", tmp_path / output)
    assert result.exit_code == 1
    assert f"{output}: exists and is not a CSV file" in result.stderr
    assert (tmp_path / "voices" / "a.flac").read_bytes() == b"x"


@pytest.mark.parametrize(("folder", "message"), [("none", "not a folder"), ("empty", "has no files")])
def test_folders_without_files_are_rejected(tmp_path: Path, folder: str, message: str) -> None:
    """The error names the folder."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=f"{folder}: {message}"):
        folder_predictions.list_recordings(tmp_path / folder, exclude=tmp_path / "out.csv")
