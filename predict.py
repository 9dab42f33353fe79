"""Predict the emotion of recordings with an exported model: python predict.py --file my_voice.wav."""

import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ser import paths
from ser.utils import garbage
from ser.utils.errors import UserError, handle_user_errors

# Rich help would show <bool> for flags.
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@handle_user_errors
def main(
    ctx: typer.Context,
    recordings: Annotated[list[str] | None, typer.Argument(metavar="FILE", hidden=True)] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Recording, or - for standard input; repeatable; --file can be omitted."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="FOLDER", help="Predict all files of a folder, on all cores.")
    ] = None,
    csv: Annotated[Path, typer.Option(metavar="FILE", help="Output of --dir.")] = Path("predictions.csv"),
    model: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Exported model.", show_default=f"{paths.DEFAULT_MODEL} next to predict.py"
        ),
    ] = Path(__file__).parent / paths.DEFAULT_MODEL,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, metavar="PROBABILITY", help="Below it the label is uncertain.")
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per line instead of charts.")] = False,
    transcribe: Annotated[bool, typer.Option("--transcribe", help="Also transcribe the speech (English).")] = False,
    speak: Annotated[bool, typer.Option("--speak", help="Speak the predictions aloud.")] = False,
    timeline: Annotated[bool, typer.Option("--timeline", help="Predict --file over time.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="NAME", help="Save the timeline as NAME.csv, .json, .png and .html.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Predict raw s16le mono from standard input.")] = False,
    rate: Annotated[int, typer.Option(metavar="HZ", help="Sample rate of --stream.")] = 16000,
    mic: Annotated[bool, typer.Option("--mic", help="Predict the microphone.")] = False,
    window: Annotated[float, typer.Option(metavar="SECONDS", help="Window length.")] = 3.0,
    hop: Annotated[float, typer.Option(metavar="SECONDS", help="Hop length.")] = 1.0,
    smoothing: Annotated[float, typer.Option(metavar="WEIGHT", help="Weight of the previous windows.")] = 0.5,
) -> None:
    """Predict the emotion of recordings: label, confidence, and the probability of each emotion.

    Predict over time with --timeline, --stream and --mic. The exit code is 1 if a recording cannot be used.
    """
    files = [*(file or []), *(recordings or [])]
    if [bool(files), folder is not None, stream, mic].count(True) != 1:
        raise UserError("choose one of --file, --dir, --stream and --mic; see --help.")
    per_file = bool(files) and not timeline and save is None
    _reject_unused_options(ctx, files=bool(files), per_file=per_file)
    windows = {"window": window, "hop": hop, "smoothing": smoothing}
    if folder is not None:
        _predict_folder(folder, csv, model=model, min_confidence=min_confidence)
    elif stream or mic:
        _predict_stream(model, rate=None if mic else rate, **windows)
    elif per_file:
        _predict_files(
            files, model=model, min_confidence=min_confidence, as_json=json, transcribe=transcribe, speak=speak
        )
    else:
        _predict_timelines(files, model=model, as_json=json, save=save, **windows)


def _reject_unused_options(ctx: typer.Context, *, files: bool, per_file: bool) -> None:
    """Raise an error if an option of the command line has no effect; `per_file`: one prediction per file."""
    folder, stream = ctx.params["folder"] is not None, ctx.params["stream"]
    rules = [
        ("csv", folder, "--dir"),
        ("rate", stream, "--stream"),
        ("timeline save", files, "--file"),
        ("transcribe speak", per_file, "--file, without --timeline or --save"),
        ("min_confidence", per_file or folder, "--dir, or with --file without --timeline or --save"),
        ("json", not folder, "--file, --stream or --mic"),
        ("window hop smoothing", not (per_file or folder), "--timeline, --save, --stream or --mic"),
    ]
    for names, used, where in rules:
        for name in names.split():
            source = ctx.get_parameter_source(name)
            if not used and source is not None and source.name == "COMMANDLINE":
                raise UserError(f"--{name.replace('_', '-')} applies only with {where}; omit it.")


def _predict_folder(folder: Path, csv: Path, *, model: Path, min_confidence: float) -> None:
    from ser.inference.folder import predict_folder

    summary = predict_folder(model, folder, csv, min_confidence=min_confidence)
    for name, error in summary.errors.items():
        typer.echo(f"{name}: {error}", err=True)
    if more := summary.n_failed - len(summary.errors):
        typer.echo(f"{more} more errors: see the column error of {csv}", err=True)
    typer.echo(f"{summary.n_files} files, {summary.n_failed} failed: {csv}")
    raise typer.Exit(1 if summary.n_failed else 0)


def _predict_files(
    files: list[str], *, model: Path, min_confidence: float, as_json: bool, transcribe: bool, speak: bool
) -> None:
    from ser import load
    from ser.inference import formatting, speech_to_text

    loaded, failed = load(model), False
    write = formatting.format_json if as_json else formatting.format_chart
    for name in files:
        recording = _read(name)
        outcome = formatting.predict_or_error(loaded, recording, name=name, min_confidence=min_confidence)
        failed = failed or outcome.prediction is None
        transcript = speech_to_text.transcribe(recording) if transcribe and outcome.prediction else None
        typer.echo(write(outcome, transcript=transcript))
        if speak:
            speech_to_text.speak(outcome.label or outcome.error)
    raise typer.Exit(1 if failed else 0)


def _read(name: str) -> Path | bytes:
    return sys.stdin.buffer.read() if name == "-" else Path(name)


def _predict_stream(model: Path, *, rate: int | None, **windows: float) -> None:
    """Predict standard input with a sample rate in Hz, or the microphone (None)."""
    from ser.inference import streaming

    loaded, settings = _load(model, **windows)
    loaded.warm_up()
    if rate is None:
        blocks = streaming.microphone(rate=loaded.rate)
    elif sys.stdin.isatty():
        command = f"ffmpeg -v error -i FILE -f s16le -ac 1 -ar {rate} - |"
        raise UserError(f"--stream: standard input is a terminal; expected raw samples, such as from {command}")
    else:
        blocks = streaming.read_pcm(sys.stdin.buffer, rate=rate, to=loaded.rate)
    for line in streaming.json_lines(blocks, loaded, settings):
        typer.echo(line)


def _load(model: Path, **windows: float) -> tuple[Any, Any]:
    from ser import load
    from ser.inference.sliding_window import WindowSettings

    settings = WindowSettings(**windows)  # an error before the model is loaded
    return load(model), settings


def _predict_timelines(files: list[str], *, model: Path, as_json: bool, save: Path | None, **windows: float) -> None:
    if save is not None and len(files) > 1:
        raise UserError(f"--save: found {len(files)} recordings; expected one.")
    loaded, settings = _load(model, **windows)
    failed = [not _predict_timeline(name, loaded, settings, as_json=as_json, save=save) for name in files]
    raise typer.Exit(1 if any(failed) else 0)


def _predict_timeline(name: str, model: Any, settings: Any, *, as_json: bool, save: Path | None) -> bool:
    """Print the timeline of a recording, or the error; return whether there is a timeline."""
    from ser.inference import timeline

    try:
        source = _read(name)
        result = timeline.predict_timeline(source, model, settings)
        saved = [] if save is None else _save(result, save, source, name=Path(name).name, settings=settings)
    except UserError as error:
        typer.echo(json_module.dumps({"file": name, "error": str(error)}) if as_json else f"{name}: {error}")
        return False
    typer.echo(timeline.to_json(result, file=name) if as_json else f"{name}: {timeline.to_text(result)}")
    typer.echo("".join(f"{path}\n" for path in saved), nl=False, err=True)
    return True


def _save(result: Any, stem: Path, source: Path | bytes, *, name: str, settings: Any) -> list[Path]:
    from ser.inference import timeline
    from ser.serving import timeline_page

    try:
        pages = timeline_page.save(result, stem, recording=source, name=name, settings=settings)
        return [*timeline.save(result, stem, name=name), *pages]
    except OSError as error:
        problem = f"{error.filename or ''} cannot be written ({error.strerror or error})"
        raise UserError(f"--save {stem}: {problem}; choose another name.") from None


if __name__ == "__main__":
    garbage.collect_rarely()
    app()
