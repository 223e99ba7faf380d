"""Paired measurements: both sides in every round, their order alternating, medians of the
rounds' ratios. What differs between machines and minutes then cancels out."""
import statistics


def paired(rounds, first, second):
    """[(first(), second())] of every round; each is a dict of figures or a number."""
    pairs = []
    for n in range(rounds):
        if n % 2:
            b = second()
            a = first()
        else:
            a = first()
            b = second()
        pairs.append((a, b))
    return pairs


def column(pairs, key=None):
    """The pairs of one figure."""
    return [(a[key], b[key]) for a, b in pairs] if key else pairs


def medians(pairs):
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def ratio(pairs):
    """Median of second over first."""
    return statistics.median(b / a for a, b in pairs)


def noise(pairs):
    """How far the first side, measured again and again, strays from its own median: quartiles, as a share."""
    values = sorted(a for a, _ in pairs)
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / statistics.median(values)


class Table:
    """Lines of one benchmark, printed as they come."""

    def __init__(self, title, *heads):
        self.widths = [42] + [max(17, len(head) + 2) for head in heads[1:]]
        print(f"\n{title}\n")
        self.row(*heads)
        print("  " + "─" * sum(self.widths))

    def row(self, *cells):
        print("  " + "".join(f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}"
                             for i, (cell, w) in enumerate(zip(cells, self.widths))), flush=True)
