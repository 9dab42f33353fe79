"""Judge every model's predictions, rank the models, draw what they confuse, and record all of it in MLflow."""

from pathlib import Path
from typing import Annotated

import typer

from ser import evaluation, probes, reports, tracking
from ser.errors import one_sentence
from ser.params import read_params


@one_sentence
def main(
    show: Annotated[bool, typer.Option("--show", help="Only show the leaderboard of the last evaluation.")] = False,
) -> None:
    """Judge every model's predictions, rank the models, draw what they confuse, and record all of it in MLflow.

    Reads data/predictions and reports/probe.csv; writes metrics/metrics.json and reports/.
    """
    if not show:
        params = read_params()
        models, settings = ["lstm", *params.baselines], params.evaluate
        judged = evaluation.judge_all(
            Path("data/predictions"), models, settings, emotions=params.emotions, seed=params.seed
        )
        leaks = probes.probe_sentences(evaluation.read_probe(Path("reports/probe.csv")))
        evaluation.write(judged, corpora=params.corpora, split=params.split, lstm=params.train_lstm, leaks=leaks)
        tracking.record(
            settings.experiment,
            evaluation.records(judged, settings=params.model_dump(mode="json")),
            board=judged.board,
            reports=sorted(Path("reports").glob("leaderboard.*")),
            tags={"corpora": ",".join(sorted(params.corpora)), "protocol": params.split.hold_out},
            description=Path("reports/leaderboard.md").read_text(encoding="utf-8"),
        )
    # The stage after this one ends a run by showing it.
    typer.echo(reports.terminal(Path("reports")) if show else "Leaderboard           reports/leaderboard.md")


if __name__ == "__main__":
    typer.run(main)
