"""Measure speaker leakage, augmentation leakage and corpus shortcuts with random forests."""

import typer

from ser import paths
from ser.dataset.clips import read_clips
from ser.evaluation import leakage
from ser.features.store import read_functionals
from ser.params import read_params
from ser.utils.errors import handle_user_errors
from ser.utils.files import write_text


@handle_user_errors
def main() -> None:
    """Measure speaker leakage, augmentation leakage and corpus shortcuts with random forests.

    Reads data/features/functionals; writes reports/leakage.csv: probe, corpus, uar, clips, speakers, classes, note.
    """
    params = read_params()
    functionals = [paths.functionals(corpus) for corpus in sorted(params.corpora)]
    clips = read_clips(functionals)
    vectors = read_functionals(functionals, clip_ids=list(clips.clip_id))
    table = leakage.run_leakage_checks(
        clips, vectors, emotions=params.emotions, n_estimators=params.leakage.n_estimators, seed=params.data_seed
    )
    write_text(paths.LEAKAGE_CSV, table.to_csv(index=False, lineterminator="\n"))
    typer.echo("\n".join(leakage.describe_leakage(table)))


if __name__ == "__main__":
    typer.run(main)
