"""Which outputs of two runs are the same, and by how much numbers differ. Hashes and numbers in, tables out."""

from collections.abc import Mapping

import pandas as pd

IDENTICAL, CHANGED, REMOVED, ADDED = "identical", "differs", "was not made again", "is new"


def compare_hashes(before: Mapping[str, str], after: Mapping[str, str]) -> pd.DataFrame:
    """Compare outputs by their hashes.

    Parameters
    ----------
    before, after
        {path: hash}.

    Returns
    -------
    DataFrame
        A row an output: path, before, after (hashes, empty where there is none) and verdict, one of `IDENTICAL`,
        `CHANGED`, `REMOVED` and `ADDED`.
    """
    rows = []
    for path in sorted({*before, *after}):
        old, new = before.get(path, ""), after.get(path, "")
        verdict = ADDED if not old else REMOVED if not new else IDENTICAL if old == new else CHANGED
        rows.append((path, old, new, verdict))
    return pd.DataFrame(rows, columns=["path", "before", "after", "verdict"])


def compare_numbers(before: Mapping[str, float], after: Mapping[str, float]) -> pd.DataFrame:
    """List the numbers that differ, the largest change first.

    Returns
    -------
    DataFrame
        number, before, after (NaN where there is none) and change.
    """
    both = pd.DataFrame({"before": pd.Series(before, dtype=float), "after": pd.Series(after, dtype=float)})
    both["change"] = both.after - both.before
    differing = both[both.before != both.after]
    order = differing.change.abs().sort_values(ascending=False, kind="stable", na_position="first").index
    return differing.loc[order].rename_axis("number").reset_index()


def format_diff(hashes: pd.DataFrame, numbers: Mapping[str, pd.DataFrame]) -> str:
    """Write what is the same and what is not.

    Parameters
    ----------
    hashes
        As `compare_hashes` makes it.
    numbers
        {what they are of: as `compare_numbers` makes it}.
    """
    lines = [f"{row.verdict:<20}{row.path}" for row in hashes.itertuples()]
    same = int((hashes.verdict == IDENTICAL).sum())
    if len(hashes):
        lines += ["", f"{same} of {len(hashes)} outputs are identical."]
    for what, table in numbers.items():
        lines += ["", _say_numbers(what, table)]
    return "\n".join(lines)


def _say_numbers(what: str, table: pd.DataFrame) -> str:
    if table.empty:
        return f"{what}: every number is the same."
    shown = table.head(20)
    rest = f"\n… and {len(table) - len(shown)} more" if len(table) > len(shown) else ""
    text = shown.to_markdown(index=False, tablefmt="simple", floatfmt=".4f")
    return f"{what}: {len(table)} numbers differ\n{text}{rest}"
