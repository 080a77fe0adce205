"""The table of docs/benchmarks.md."""

PROGRAMS = ("metafor", "metafor, R's BLAS", "PyMetaAnalysis", "PyMARE", "NumPy pass")

HEAD = """# Benchmarks

Made by `make benchmarks` (`python benchmarks/run.py{full}`); do not edit.

Each time is the median of several warm runs, in seconds of processor time with one thread: the machine may be shared,
and clock time would measure its other work. What takes more than four seconds was run once. Beside each other
program's time stands its ratio to Comfrey's. metafor ran twice: with OpenBLAS in place of R's own BLAS, and with R's
own, as Debian installs it. Data are simulated and seeded (`benchmarks/data.py`) but for
the BCG trials and the depression network. One NumPy pass: inverse-variance means and Q of all sets, vectorised.
"""


def time_of(value):
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def ratio_of(value):
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def verdicts(case, times):
    """What was asked for, and whether it is met."""
    ours, found = times["Comfrey"], []
    if case.within:
        found.append((f"under {time_of(case.within)}", said(ours <= case.within)))
    for program, least in case.at_least.items():
        words = f"{least:,.0f} times {program}" if least > 1 else f"within {1 / least:.0f} times one {program}"
        own = f"{program}, R's BLAS"
        met = [times[name] / ours >= least for name in (program, own) if name in times]
        if len(met) == 2 and met[0] != met[1]:
            found.append((words, f"{said(met[0])} with OpenBLAS, {said(met[1])} with R's own BLAS"))
        else:
            found.append((words, said(met[0]) if met else "not measured"))
    return found


def said(met):
    return "yes" if met else "**no**"


def markdown(cases, found, memory, versions, machine, words, *, full):
    """Write the page: how it was measured, the table, what was left out."""
    head = ["work", "Comfrey", *(f"{name} (ratio)" for name in PROGRAMS), "asked for", "met"]
    rows = []
    for case in cases:
        times = found[case.id]
        cells = [case.title, time_of(times["Comfrey"])]
        for name in PROGRAMS:
            have = name in times
            cells.append(f"{time_of(times[name])} ({ratio_of(times[name] / times['Comfrey'])})" if have else "")
        asked = verdicts(case, times)
        cells.append("; ".join(text for text, _ in asked))
        cells.append("; ".join(met for _, met in asked))
        rows.append(cells)
    notes = [f"- {case.title}: {case.note}; its time is taken for all of the work in proportion." for case in cases
             if case.note and "metafor" in found[case.id]]  # fmt: skip
    notes += [
        f"- {case.title}: at most {memory[case.id] / 2**20:.0f} MiB at once." for case in cases if case.id in memory
    ]
    notes += [f"- {line}" for line in words]
    lines = [
        *HEAD.format(full=" --full" if full else "").split("\n"),
        f"Machine: {machine}.",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()) + ".",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(cells) + " |" for cells in rows),
        "",
        *notes,
        "",
    ]
    return "\n".join(lines)
