"""Serve a model over HTTP: a web page to record or upload a voice, and a JSON API. Not a stage of the DAG."""

from pathlib import Path
from typing import Annotated

import typer
from threadpoolctl import threadpool_limits

from ser import load, paths
from ser.serving import app
from ser.utils import parallel
from ser.utils.errors import handle_user_errors

DEFAULTS = app.Limits()


@handle_user_errors
def main(
    model: Annotated[Path, typer.Option(help="Folder of an exported model.")] = paths.DEFAULT_MODEL,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 allows access from the network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 selects a free one.")] = 8000,
    megabytes: Annotated[float, typer.Option(help="Maximum size of an upload.")] = DEFAULTS.megabytes,
    minutes: Annotated[float, typer.Option(help="Maximum duration of a recording.")] = DEFAULTS.minutes,
    seconds: Annotated[float, typer.Option(help="Maximum time until the response.")] = DEFAULTS.seconds,
    max_queued: Annotated[int, typer.Option(help="Maximum number of queued requests.")] = DEFAULTS.max_queued,
) -> None:
    """Serve a model over HTTP: a web page to record or upload a voice, and a JSON API."""
    workers = parallel.n_workers()
    limits = app.Limits(megabytes=megabytes, minutes=minutes, seconds=seconds, workers=workers, max_queued=max_queued)
    loaded = load(model)
    loaded.warm_up()
    with threadpool_limits(1):
        app.run(app.create_app(loaded, limits=limits), host=host, port=port, started=typer.echo)


if __name__ == "__main__":
    typer.run(main)
