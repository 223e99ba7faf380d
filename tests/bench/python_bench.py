"""Python processes of up to 2 GB: what malloc_trim(0) returns beside what was predicted."""
from measure import Table
from test_heap_truth import python_trims


def run(tree):
    table = Table("Python: predicted and real drop of RSS by malloc_trim(0)", "objects", "predicted", "real", "off by")
    for megabytes, keep in ((200, 0.1), (1000, 0.5), (2000, 0.1), (2000, 0.5)):
        predicted, real = python_trims(tree, megabytes, keep)
        table.row(f"{megabytes} MB, {keep:.0%} kept", f"{predicted:,}", f"{real:,}", f"{predicted - real:,}")
