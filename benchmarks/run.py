"""Times Comfrey beside other programs in one run, and writes docs/benchmarks.md.

make benchmarks                     five to ten minutes
python benchmarks/run.py --full     also what takes R minutes (some minutes more)
python benchmarks/run.py --only fit_10 many      some cases, printed and not written
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # before NumPy is loaded

import argparse  # noqa: E402
import json  # noqa: E402
import platform  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import tracemalloc  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import scipy  # noqa: E402
from cases import CASES, numpy_pass  # noqa: E402
from data import write  # noqa: E402
from report import markdown  # noqa: E402
from timing import seconds  # noqa: E402

import comfrey as cf  # noqa: E402

HERE = Path(__file__).parent
BUILD = HERE.parent / "build"
DATA = BUILD / "benchmarks"
PYTHON = BUILD / "benchmarks-venv" / "bin" / "python"


def say(words):
    print(words, file=sys.stderr, flush=True)


def quiet(*command, **options):
    """Run a command and say whether it went well."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, **options)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def find_metafor():
    """R with metafor: as it is, or from Debian where we may install it. Returns why there is none, else ''."""
    if not quiet("Rscript", "-e", "library(metafor)"):
        if not (shutil.which("apt-get") and os.geteuid() == 0):
            return "R with metafor is not here, and cannot be installed from Debian without root"
        say("installing r-cran-metafor from Debian")
        quiet("apt-get", "update", "-q")
        packages = ("r-cran-metafor", "r-cran-lme4", "r-cran-biasedurn", "r-cran-numderiv")
        if not quiet("apt-get", "install", "-y", "-q", "--no-install-recommends", *packages):
            return "R with metafor could not be installed from Debian"
    return ""


def find_openblas():
    """A fast BLAS for R, unpacked beside the data and not installed; None where it cannot be had."""
    folder = BUILD / "benchmarks-openblas"
    found = sorted(folder.glob("usr/lib/*/openblas-pthread/libblas.so.3"))
    if not found and shutil.which("apt-get") and shutil.which("dpkg"):
        folder.mkdir(parents=True, exist_ok=True)
        quiet("apt-get", "download", "libopenblas0-pthread", cwd=folder)
        for package in folder.glob("libopenblas0-pthread*.deb"):
            quiet("dpkg", "-x", str(package), str(folder))
        found = sorted(folder.glob("usr/lib/*/openblas-pthread/libblas.so.3"))
    return found[0] if found else None


def time_metafor(cases, blas, label):
    """Time the R expressions of the cases; with another BLAS than R's own where one is given."""
    quote = json.dumps  # R reads the same escapes
    lines = [f"time_case({quote(c.id)}, {quote(c.before)}, {quote(c.metafor)})" for c in cases]
    (DATA / "cases.R").write_text("\n".join(lines) + "\n", encoding="utf-8")
    say(f"timing metafor ({label}): {len(cases)} cases")
    environment = {**os.environ, **({"LD_PRELOAD": str(blas)} if blas else {})}
    command = ("Rscript", str(HERE / "metafor.R"), str(DATA))
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    times, versions = {}, {}
    share = {c.id: c.share for c in cases}
    for line in done.stdout.splitlines():
        kind, *rest = line.split("\t")
        if kind == "version":
            versions[rest[0]] = rest[1]
        elif kind == "time":
            times[rest[0]] = float(rest[1]) / share[rest[0]]
        elif kind == "error":
            say(f"metafor, {rest[0]}: {rest[1]}")
    return times, versions


def time_python(cases):
    """Time PyMetaAnalysis and PyMARE in their own environment. Returns times, versions, and why there are none."""
    if not PYTHON.exists():
        say("making an environment for PyMetaAnalysis and PyMARE")
        quiet(sys.executable, "-m", "venv", str(PYTHON.parents[1]))
    probe = "import meta_analyze, pymare"
    if not quiet(str(PYTHON), "-c", probe):
        quiet(str(PYTHON), "-m", "pip", "install", "-q", "PyMetaAnalysis", "PyMARE")
        if not quiet(str(PYTHON), "-c", probe):
            return {}, {}, "PyMetaAnalysis and PyMARE could not be had from PyPI"
    work = [(c.id, program, expression) for c in cases for program, expression in c.python.items()]
    say(f"timing PyMetaAnalysis and PyMARE: {len(work)} cases")
    command = (str(PYTHON), str(HERE / "others.py"), str(DATA))
    done = subprocess.run(command, input=json.dumps(work), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return {}, {}, "PyMetaAnalysis and PyMARE did not run"
    found = json.loads(done.stdout)
    return found["times"], found["versions"], ""


def peak_memory(call):
    """The most memory that a call has at once, in bytes."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def processor():
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also what takes R minutes")
    parser.add_argument("--only", nargs="+", metavar="CASE", help="some cases; nothing is written")
    parser.add_argument("--alone", action="store_true", help="time Comfrey alone; nothing is written")
    chosen = parser.parse_args()
    start, load = time.time(), os.getloadavg()
    cases = [c for c in CASES if not chosen.only or c.id in chosen.only]
    DATA.mkdir(parents=True, exist_ok=True)
    found = {c.id: {} for c in cases}
    memory = {}
    for case in cases:
        columns = case.make()
        if case.metafor or case.python:
            write(DATA / f"{case.id}.csv", columns)
        call = case.ours(columns)
        found[case.id]["Comfrey"] = seconds(call)
        if case.id == "many":
            found[case.id]["NumPy pass"] = seconds(numpy_pass(columns))
        if case.id.endswith("100000"):
            memory[case.id] = peak_memory(call)
        say(f"{case.title}: {found[case.id]['Comfrey']:.3g} s")
    versions = {
        "Comfrey": cf.__version__, "Python": platform.python_version(), "NumPy": np.__version__,
        "SciPy": scipy.__version__,
    }  # fmt: skip
    words = []
    if not chosen.alone:
        others(cases, found, versions, words, full=chosen.full)
    machine = f"{processor()}, {os.cpu_count()} cores, {platform.system()}; load {load[0]:.1f} before the run and " \
              f"{os.getloadavg()[0]:.1f} after it; the run took {(time.time() - start) / 60:.0f} minutes"  # fmt: skip
    (DATA / "times.json").write_text(json.dumps({"times": found, "versions": versions}, indent=1), encoding="utf-8")
    text = markdown(cases, found, memory, versions, machine, words, full=chosen.full)
    if chosen.only or chosen.alone:
        print(text)
    else:
        (HERE.parent / "docs" / "benchmarks.md").write_text(text, encoding="utf-8")
        say("docs/benchmarks.md is written")


def others(cases, found, versions, words, *, full):
    """Time the other programs, as far as they can be had."""
    times, theirs, problem = time_python([c for c in cases if c.python])
    words += [problem] if problem else []
    versions.update({name: v for name, v in theirs.items() if name.startswith("Py")})
    for key, value in times.items():
        case, _, program = key.partition("/")
        if isinstance(value, float):
            found[case][program] = value
        else:
            words.append(f"{program}, {case}: {value}")
    problem = find_metafor()
    if problem:
        words.append(problem)
        return
    run = [c for c in cases if c.metafor and (full or not c.slow)]
    skipped = [c.title for c in cases if c.metafor and c.slow and not full]
    if skipped:
        words.append(f"These take R minutes and are timed with --full alone: {'; '.join(skipped)}.")
    blas = find_openblas()
    if blas is None:
        words.append("OpenBLAS could not be had: metafor ran with R's own BLAS alone.")
    else:
        times, theirs = time_metafor(run, blas, "OpenBLAS")
        for case, value in times.items():
            found[case]["metafor"] = value
    times, theirs = time_metafor([c for c in run if c.stock or blas is None], None, "R's own BLAS")
    for case, value in times.items():
        found[case]["metafor, R's BLAS"] = value
    versions.update({name: theirs[name] for name in ("R", "metafor") if name in theirs})


if __name__ == "__main__":
    main()
