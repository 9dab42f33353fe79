"""Serve a model on this computer: a page to record or drop a voice, and answers for programs. No stage of the DAG."""

from pathlib import Path
from typing import Annotated

import typer
from threadpoolctl import threadpool_limits

from ser import load, parallel, paths, service
from ser.errors import one_sentence
from ser.windowed import Windowed

DEFAULTS = service.Limits()


@one_sentence
def main(
    model: Annotated[Path, typer.Option(help="an exported model")] = paths.DEFAULT_MODEL,
    host: Annotated[str, typer.Option(help="the address; 0.0.0.0 lets others in")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 is any that is free")] = 8000,
    megabytes: Annotated[float, typer.Option(help="of an upload, at most")] = DEFAULTS.megabytes,
    minutes: Annotated[float, typer.Option(help="of a recording, at most")] = DEFAULTS.minutes,
    seconds: Annotated[float, typer.Option(help="until an answer, at most")] = DEFAULTS.seconds,
    waiting: Annotated[int, typer.Option(help="requests that may wait, at most")] = DEFAULTS.waiting,
) -> None:
    """Serve a model on this computer: a page to record or drop a voice, and answers for programs."""
    workers = parallel.workers()
    limits = service.Limits(megabytes=megabytes, minutes=minutes, seconds=seconds, workers=workers, waiting=waiting)
    served = Windowed(load(model))
    served.warm()
    with threadpool_limits(1):
        service.run(service.application(served, limits=limits), host=host, port=port, started=typer.echo)


if __name__ == "__main__":
    typer.run(main)
