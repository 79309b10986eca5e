"""The table: one row per thing measured, beside its goal."""

import statistics

COLUMNS = ["restante", "postfix", "exim", "sendmail", "smtp-sink"]
PEERS = ["postfix", "exim", "sendmail"]


class Row:
    """Figures of one thing by server. `more` says whether more is better; each goal is (words, test of this row)."""

    def __init__(self, what, unit, more, goals=(), note=""):
        self.what, self.unit, self.more, self.goals, self.note = what, unit, more, list(goals), note
        self.figures = {}

    def add(self, server, figure):
        self.figures.setdefault(server, [])
        if figure is not None:
            self.figures[server].append(figure)

    def median(self, server):
        figures = self.figures.get(server)
        return statistics.median(figures) if figures else None

    def best_peer(self):
        known = [figure for figure in map(self.median, PEERS) if figure is not None]
        return (max if self.more else min)(known) if known else None

    def times_better(self, other):
        """How many times better than that figure restante is; None when one of them is not known."""
        ours = self.median("restante")
        if not ours or not other:
            return None
        return ours / other if self.more else other / ours

    def cell(self, server):
        figures = self.figures.get(server)
        if figures is None:
            return "-"
        if not figures:
            return "failed"
        spread = f" ({short(min(figures))}-{short(max(figures))})" if len(figures) > 1 else ""
        return short(statistics.median(figures)) + spread

    def verdicts(self):
        for words, test in self.goals:
            met = test(self)
            yield f"{words}: {'not measured' if met is None else 'met' if met else 'NOT MET'}"


def short(figure):
    return f"{figure:.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def against_postfix(factor):
    return f">= {factor}x Postfix", lambda row: at_least(row.times_better(row.median("postfix")), factor)


def against_best(factor=1.0):
    words = f">= {factor:g}x the best durable peer" if factor > 1 else "not behind the best durable peer"
    return words, lambda row: at_least(row.times_better(row.best_peer()), factor)


def against_ceiling(factor=1.0):
    return "not slower than smtp-sink", lambda row: at_least(row.times_better(row.median("smtp-sink")), factor)


def below(limit, words):
    return words, lambda row: None if row.median("restante") is None else row.median("restante") < limit


def above(limit, words):
    return words, lambda row: None if row.median("restante") is None else row.median("restante") >= limit


def at_least(figure, limit):
    return None if figure is None else figure >= limit


class Table:
    def __init__(self):
        self.rows = []

    def section(self, title, rows):
        """Prints the rows and keeps them for the end."""
        self.rows += rows
        print(f"\n{title}")
        widths = [max([len(name), *(len(row.cell(name)) for row in rows)]) for name in COLUMNS]
        first = max([4, *(len(f"{row.what}, {row.unit}") for row in rows)])
        heads = [name.rjust(width) for name, width in zip(COLUMNS, widths)]
        print(f"{'':{first}}  {'  '.join(heads)}   /postfix  /best  /sink")
        for row in rows:
            cells = [row.cell(name).rjust(width) for name, width in zip(COLUMNS, widths)]
            ratios = [row.times_better(other) for other in (row.median("postfix"), row.best_peer(), row.median("smtp-sink"))]
            ratios = [f"{ratio:.2f}x" if ratio else "-" for ratio in ratios]
            name = f"{row.what}, {row.unit}"
            print(f"{name:{first}}  {'  '.join(cells)}   {ratios[0]:>8}  {ratios[1]:>5}  {ratios[2]:>5}")
            for line in [*row.verdicts(), *([row.note] if row.note else [])]:
                print(f"{'':{first}}    {line}")
        print(end="", flush=True)

    def summary(self):
        verdicts = [(row, verdict) for row in self.rows for verdict in row.verdicts()]
        missed = [(row, verdict) for row, verdict in verdicts if verdict.endswith("NOT MET")]
        unknown = [(row, verdict) for row, verdict in verdicts if verdict.endswith("not measured")]
        print(f"\n{len(verdicts) - len(missed) - len(unknown)} of {len(verdicts)} goals met, {len(unknown)} not measured")
        for row, verdict in missed + unknown:
            print(f"  {row.what}, {row.unit}: {verdict}")
