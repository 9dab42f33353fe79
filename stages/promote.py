"""Promote a recorded model to champion, unless it is significantly worse than the present one."""

from typing import Annotated

import typer

from ser.params import read_params
from ser.tracking import mlflow_runs, promotion, registry
from ser.utils.errors import UserError, handle_user_errors


@handle_user_errors
def main(run: Annotated[str, typer.Option(help="MLflow's run id of a model or an experiment.")]) -> None:
    """Promote a recorded model to champion, unless it is significantly worse on the same test clips."""
    params = read_params()
    client = mlflow_runs.connect()
    candidate, champion = registry.version_of_run(client, run), registry.champion(client)
    if champion is None:
        reason = "there was no champion"
    elif champion.number == candidate.number:
        typer.echo(f"version {candidate.number} of {registry.NAME} is the champion already")
        return
    else:
        resamples = params.evaluate.n_resamples
        accepted, reason = promotion.compare_with_champion(
            candidate.predictions, champion.predictions, resamples=resamples, seed=params.data_seed
        )
        if not accepted:
            raise UserError(
                f"version {candidate.number} of {registry.NAME} was not promoted, version {champion.number} stays the "
                f"champion: {reason}. To promote it anyway, first delete the alias {registry.CHAMPION} on MLflow's "
                "page of the model."
            )
    registry.promote(client, candidate)
    typer.echo(f"version {candidate.number} of {registry.NAME} is the champion: {reason}")


if __name__ == "__main__":
    typer.run(main)
