"""The verdict of a comparison with an earlier result, in words: for a terminal, and as Markdown for a pull request."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ser.evaluation.regression_check import RegressionReport

HEADINGS = {
    0: "Regression check: passed",
    1: "Regression check: worse",
    2: "Regression check: could not compare",
}


def markdown(verdict: RegressionReport, *, pictures: Sequence[str] = ()) -> str:
    """Write a comment for a pull request; `pictures` are addresses of pictures to show below it."""
    lines = [f"## {HEADINGS[verdict.code]}", "", _sides(verdict), ""]
    for heading, sentences in _sections(verdict):
        lines += [f"**{heading}**", "", *(f"- {sentence}" for sentence in sentences), ""]
    if verdict.rows:
        lines += [_table(verdict).to_markdown(index=False, disable_numparse=True), ""]
    lines += [f"![{address.rsplit('/', 1)[-1]}]({address})" for address in pictures]
    return "\n".join(lines).rstrip() + "\n"


def console_report(verdict: RegressionReport) -> str:
    """Write the same for a terminal."""
    lines = [_sides(verdict), ""]
    if verdict.rows:
        lines += [_table(verdict).to_markdown(index=False, tablefmt="simple", disable_numparse=True), ""]
    for heading, sentences in _sections(verdict):
        lines += [f"{heading}:", *(f"  {sentence}" for sentence in sentences), ""]
    return "\n".join([*lines, HEADINGS[verdict.code]])


def _sides(verdict: RegressionReport) -> str:
    return f"Test clips, {verdict.after} compared with {verdict.before}."


def _sections(verdict: RegressionReport) -> Iterator[tuple[str, list[str]]]:
    sections = {"Worse": verdict.regressions, "Not compared": verdict.missing, "Notes": verdict.notes}
    return ((heading, sentences) for heading, sentences in sections.items() if sentences)


def _table(verdict: RegressionReport) -> pd.DataFrame:
    table = verdict.table
    shown = table[["model", "number"]].replace("uar", "UAR").replace("ece", "ECE")
    shown = shown.replace("uar_worst_speaker", "UAR of the worst speaker")
    for column in ("before", "after"):
        shown[column] = [f"{value:.3f}" for value in table[column]]
    shown["change"] = [f"{value:+.3f}" for value in table.change]
    both = zip(table.ci_low, table.ci_high, strict=True)
    shown["interval"] = [f"[{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else "" for low, high in both]
    shown["p"] = [f"{p:.2g}" if np.isfinite(p) else "" for p in table.p]
    return shown.assign(verdict=table.verdict)
