"""Make a recorded model the champion, unless it is worse than the present one."""

from typing import Annotated

import typer

from ser.params import read_params
from ser.tracking import mlflow_runs, promotion, registry
from ser.utils.errors import UserError, handle_user_errors


@handle_user_errors
def main(run: Annotated[str, typer.Option(help="The id of a model's run in MLflow, or of an experiment's.")]) -> None:
    """Make a recorded model the champion, unless it is worse than the present one on the same test clips."""
    params = read_params()
    client = mlflow_runs.connect()
    candidate, champion = registry.version_of_run(client, run), registry.champion(client)
    if champion is None:
        reason = "there was no champion"
    elif champion.number == candidate.number:
        typer.echo(f"version {candidate.number} of {registry.NAME} is the champion already")
        return
    else:
        resamples = params.evaluate.resamples
        may, reason = promotion.compare_with_champion(
            candidate.predictions, champion.predictions, resamples=resamples, seed=params.seed
        )
        if not may:
            raise UserError(
                f"version {champion.number} of {registry.NAME} stays the champion, version {candidate.number} does not "
                f"take its place: {reason}. To crown it all the same, delete the alias {registry.CHAMPION} on "
                "MLflow's page of the model first."
            )
    registry.promote(client, candidate)
    typer.echo(f"version {candidate.number} of {registry.NAME} is the champion: {reason}")


if __name__ == "__main__":
    typer.run(main)
