"""Say what emotion recordings sound like: python predict.py --file my_voice.wav."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ser.errors import InputError, one_sentence


@one_sentence
def main(
    file: Annotated[list[str] | None, typer.Option(help="A recording; repeat for more. - is standard input.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="Judge every file in a folder, on all cores.")] = None,
    csv: Annotated[Path, typer.Option(help="Where the answers to --dir go.")] = Path("predictions.csv"),
    model: Annotated[Path, typer.Option(help="Folder of an exported model.")] = Path("models/lstm"),
    min_confidence: Annotated[float, typer.Option(min=0, max=1, help="Below it the label is uncertain.")] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of charts.")] = False,
    transcribe: Annotated[bool, typer.Option("--transcribe", help="Say what is said, too (English).")] = False,
    speak: Annotated[bool, typer.Option("--speak", help="Say the answers aloud.")] = False,
) -> None:
    """Say what emotion recordings sound like: label, confidence, and the probability of every emotion.

    Ends with exit code 1 if a recording could not be judged.
    """
    if (file is None) == (folder is None):
        raise InputError("name recordings by --file, or a folder by --dir; --help shows more.")
    if folder is not None:
        _folder(folder, csv, model=model, least=min_confidence)
    else:
        _files(file or [], model=model, least=min_confidence, as_json=json, transcribe=transcribe, speak=speak)


def _folder(folder: Path, csv: Path, *, model: Path, least: float) -> None:
    from ser.answer_tables import judge_folder

    counts = judge_folder(model, folder, csv, least=least)
    typer.echo(f"{counts['files']} files, {counts['failed']} without an answer: {csv}")
    raise typer.Exit(1 if counts["failed"] else 0)


def _files(files: list[str], *, model: Path, least: float, as_json: bool, transcribe: bool, speak: bool) -> None:
    from ser import answering, load, voice

    loaded, failed = load(model), False
    for name in files:
        recording = sys.stdin.buffer.read() if name == "-" else Path(name)
        told = answering.ask(loaded, recording, name=name, least=least)
        failed = failed or told.answer is None
        text = voice.transcribe(recording) if transcribe and told.answer else None
        typer.echo(answering.json_line(told, text=text) if as_json else answering.chart(told, text=text))
        if speak:
            voice.speak(told.label or told.error)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
