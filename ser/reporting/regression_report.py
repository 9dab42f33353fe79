"""Report a regression check in a terminal, and as Markdown for a pull request."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ser.evaluation.regression_check import RegressionReport

HEADINGS = ("Regression check: passed", "Regression check: worse", "Regression check: could not compare")
"""By exit code."""
COMPARED = "Test clips, {0.after} compared with {0.before}."
NAMES = {"uar": "UAR", "ece": "ECE", "uar_worst_speaker": "UAR of the worst speaker"}


def markdown(report: RegressionReport, *, pictures: Sequence[str] = ()) -> str:
    """Write a comment for a pull request; `pictures` are URLs of figures to show below it."""
    lines = [f"## {HEADINGS[report.code]}", "", COMPARED.format(report), ""]
    for heading, sentences in _sections(report).items():
        lines += [f"**{heading}**", "", *(f"- {sentence}" for sentence in sentences), ""]
    if report.rows:
        lines += [_table(report).to_markdown(index=False, disable_numparse=True), ""]
    lines += [f"![{url.rsplit('/', 1)[-1]}]({url})" for url in pictures]
    return "\n".join(lines).rstrip() + "\n"


def console_report(report: RegressionReport) -> str:
    """Write the same for a terminal."""
    lines = [COMPARED.format(report), ""]
    if report.rows:
        lines += [_table(report).to_markdown(index=False, tablefmt="simple", disable_numparse=True), ""]
    for heading, sentences in _sections(report).items():
        lines += [f"{heading}:", *(f"  {sentence}" for sentence in sentences), ""]
    return "\n".join([*lines, HEADINGS[report.code]])


def _sections(report: RegressionReport) -> dict[str, list[str]]:
    sections = {"Worse": report.regressions, "Not compared": report.missing, "Notes": report.notes}
    return {heading: sentences for heading, sentences in sections.items() if sentences}


def _table(report: RegressionReport) -> pd.DataFrame:
    table = report.table
    formats = {"before": "{:.3f}", "after": "{:.3f}", "change": "{:+.3f}", "p": "{:.2g}"}
    texts = {
        name: [form.format(value) if np.isfinite(value) else "" for value in table[name]]
        for name, form in formats.items()
    }
    limits = zip(table.ci_low, table.ci_high, strict=True)
    interval = [f"[{low:+.3f}, {high:+.3f}]" if np.isfinite(low) else "" for low, high in limits]
    columns = ["model", "number", "before", "after", "change", "interval", "p", "verdict"]
    return table.assign(**texts, interval=interval, number=table.number.replace(NAMES))[columns]
