"""Say what emotion recordings sound like: python predict.py --file my_voice.wav."""

import atexit
import gc
import json as json_module
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ser import paths
from ser.utils.errors import UserError, handle_user_errors

# Help in frames calls a switch <bool>; plain help says what is to be typed.
app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@handle_user_errors
def main(
    ctx: typer.Context,
    recordings: Annotated[list[str] | None, typer.Argument(metavar="FILE", hidden=True)] = None,
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="A recording, - is standard input; repeat it, or leave out --file."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="FOLDER", help="Judge every file in a folder, on all cores.")
    ] = None,
    csv: Annotated[Path, typer.Option(metavar="FILE", help="Where the answers to --dir go.")] = Path("predictions.csv"),
    model: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="An exported model.", show_default=f"{paths.DEFAULT_MODEL} beside predict.py"
        ),
    ] = Path(__file__).parent / paths.DEFAULT_MODEL,
    min_confidence: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Below it the label is uncertain.")
    ] = 0.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of charts.")] = False,
    transcribe: Annotated[bool, typer.Option("--transcribe", help="Say what is said, too (English).")] = False,
    speak: Annotated[bool, typer.Option("--speak", help="Say the answers aloud.")] = False,
    timeline: Annotated[bool, typer.Option("--timeline", help="Of --file, from second to second.")] = False,
    save: Annotated[
        Path | None, typer.Option(metavar="NAME", help="A timeline as NAME.csv, .json, .png and .html.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Raw s16le mono on standard input.")] = False,
    rate: Annotated[int, typer.Option(metavar="HZ", help="Of --stream.")] = 16000,
    mic: Annotated[bool, typer.Option("--mic", help="Listen to the microphone.")] = False,
    window: Annotated[float, typer.Option(metavar="SECONDS", help="What is judged at a time.")] = 3.0,
    hop: Annotated[float, typer.Option(metavar="SECONDS", help="From answer to answer.")] = 1.0,
    smoothing: Annotated[float, typer.Option(metavar="SHARE", help="Of the answer before in an answer.")] = 0.5,
) -> None:
    """Say what emotion recordings sound like: label, confidence, and the probability of every emotion.

    From second to second with --timeline, --stream and --mic. Ends with exit code 1 if a recording cannot be judged.
    """
    files = [*(file or []), *(recordings or [])]
    if [bool(files), folder is not None, stream, mic].count(True) != 1:
        raise UserError("name one of: recordings by --file, a folder by --dir, --stream, --mic; --help shows more.")
    whole = bool(files) and not timeline and save is None
    _refuse_idle(ctx, files=bool(files), whole=whole)
    shape = {"window": window, "hop": hop, "smoothing": smoothing}
    if folder is not None:
        _folder(folder, csv, model=model, least=min_confidence)
    elif stream or mic:
        _live(model, rate=None if mic else rate, **shape)
    elif whole:
        _files(files, model=model, least=min_confidence, as_json=json, transcribe=transcribe, speak=speak)
    else:
        _timelines(files, model=model, as_json=json, save=save, **shape)


def _refuse_idle(ctx: typer.Context, *, files: bool, whole: bool) -> None:
    """Refuse options that were typed and would do nothing; `whole` says that each file gets one answer."""
    folder, stream = ctx.params["folder"] is not None, ctx.params["stream"]
    rules = [
        ("csv", folder, "--dir"),
        ("rate", stream, "--stream"),
        ("timeline save", files, "--file"),
        ("transcribe speak", whole, "--file, without --timeline or --save"),
        ("min_confidence", whole or folder, "--dir, or with --file without --timeline or --save"),
        ("json", not folder, "--file, --stream or --mic"),
        ("window hop smoothing", not (whole or folder), "--timeline, --save, --stream or --mic"),
    ]
    for names, useful, where in rules:
        for name in names.split():
            source = ctx.get_parameter_source(name)
            if not useful and source is not None and source.name == "COMMANDLINE":
                raise UserError(f"--{name.replace('_', '-')} applies only with {where}; leave it out here.")


def _folder(folder: Path, csv: Path, *, model: Path, least: float) -> None:
    from ser.inference.folder import predict_folder

    counts = predict_folder(model, folder, csv, least=least)
    for name, error in counts.errors.items():
        typer.echo(f"{name}: {error}", err=True)
    if more := counts.failed - len(counts.errors):
        typer.echo(f"{more} more, see the column error of {csv}", err=True)
    typer.echo(f"{counts.files} files, {counts.failed} without an answer: {csv}")
    raise typer.Exit(1 if counts.failed else 0)


def _files(files: list[str], *, model: Path, least: float, as_json: bool, transcribe: bool, speak: bool) -> None:
    from ser import load
    from ser.inference import formatting, speech_to_text

    loaded, failed = load(model), False
    for name in files:
        recording = sys.stdin.buffer.read() if name == "-" else Path(name)
        told = formatting.predict_or_error(loaded, recording, name=name, least=least)
        failed = failed or told.answer is None
        text = speech_to_text.transcribe(recording) if transcribe and told.answer else None
        typer.echo(formatting.json_line(told, text=text) if as_json else formatting.chart(told, text=text))
        if speak:
            speech_to_text.speak(told.label or told.error)
    raise typer.Exit(1 if failed else 0)


def _live(model: Path, *, rate: int | None, **shape: float) -> None:
    """Answer while the sound comes: from standard input at a rate in Hz, or from the microphone where it is None."""
    from ser import load
    from ser.inference import streaming
    from ser.inference.sliding_window import WindowSettings
    from ser.inference.window_model import WindowModel

    layout, judge = WindowSettings.of_options(**shape, mark="--"), WindowModel(load(model))
    judge.warm()
    blocks = streaming.microphone(to=judge.rate) if rate is None else _piped(rate, to=judge.rate)
    for line in streaming.lines(blocks, judge, layout):
        typer.echo(line)


def _piped(rate: int, *, to: int) -> Any:
    from ser.inference import streaming

    if sys.stdin.isatty():
        raise UserError(
            "--stream: standard input is the keyboard; expected raw samples, such as from "
            f"ffmpeg -v error -i FILE -f s16le -ac 1 -ar {rate} - |"
        )
    return streaming.pcm(sys.stdin.buffer, rate=rate, to=to)


def _timelines(files: list[str], *, model: Path, as_json: bool, save: Path | None, **shape: float) -> None:
    from ser import load
    from ser.inference.sliding_window import WindowSettings
    from ser.inference.window_model import WindowModel

    if save is not None and len(files) > 1:
        raise UserError(f"--save: found {len(files)} recordings; expected one, or their files would be the same.")
    layout, judge = WindowSettings.of_options(**shape, mark="--"), WindowModel(load(model))
    # Not any() of a generator, which would stop at the first.
    failed = [not _timeline(name, judge, layout, as_json=as_json, save=save) for name in files]
    raise typer.Exit(1 if any(failed) else 0)


def _timeline(name: str, judge: Any, layout: Any, *, as_json: bool, save: Path | None) -> bool:
    """Tell a recording's timeline, and whether there is one."""
    from ser.audio import ffmpeg
    from ser.inference import timeline

    recording = sys.stdin.buffer.read() if name == "-" else Path(name)
    try:
        with ffmpeg.open_with_ffmpeg(recording) as source:
            found = timeline.predict_timeline(source, judge, layout)
            written = [] if save is None else _saved(found, save, source, name=Path(name).name, layout=layout)
    except UserError as error:
        typer.echo(json_module.dumps({"file": name, "error": str(error)}) if as_json else f"{name}: {error}")
        return False
    typer.echo(timeline.to_json(found, file=name) if as_json else f"{name}: {timeline.to_text(found)}")
    typer.echo("".join(f"{path}\n" for path in written), nl=False, err=True)
    return True


def _saved(found: Any, stem: Path, source: Path | bytes, *, name: str, layout: Any) -> list[Path]:
    from ser.inference import timeline
    from ser.serving import timeline_page

    try:
        pages = timeline_page.save(found, stem, recording=source, name=name, layout=layout)
        return [*timeline.save(found, stem, name=name), *pages]
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"--save {stem}: {error.filename or ''} cannot be written ({reason}); choose another."
        ) from None


if __name__ == "__main__":
    # Garbage collections would take a third of the start: while librosa is imported, and when Python ends.
    gc.set_threshold(100_000)
    atexit.register(gc.freeze)
    app()
