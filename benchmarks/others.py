"""Times other Python programs, in their own environment: others.py FOLDER < list of [id, program, expression]."""

import importlib.metadata
import json
import sys
import warnings
from pathlib import Path

import meta_analyze as ma
import numpy as np
from pymare import Dataset
from pymare.estimators import VarianceBasedLikelihoodEstimator
from timing import seconds

warnings.simplefilter("ignore")
NAMES = {"ma": ma, "Dataset": Dataset, "REML": lambda: VarianceBasedLikelihoodEstimator(method="REML")}


def main():
    folder, work, times = Path(sys.argv[1]), json.load(sys.stdin), {}
    for case, program, expression in work:
        path = folder / f"{case}.csv"
        header = path.read_text(encoding="utf-8").partition("\n")[0].strip().split(",")
        table = np.loadtxt(path, delimiter=",", skiprows=1)
        names = {**NAMES, **{name: table[:, header.index(name)].copy() for name in ("yi", "vi")}}
        code = compile(expression, case, "eval")
        try:
            times[f"{case}/{program}"] = seconds(lambda names=names, code=code: eval(code, names))  # noqa: S307
        except Exception as error:  # noqa: BLE001  # reported in the table
            times[f"{case}/{program}"] = f"{type(error).__name__}: {error}"
        print(case, program, times[f"{case}/{program}"], file=sys.stderr)
    versions = {name: importlib.metadata.version(name) for name in ("PyMetaAnalysis", "PyMARE", "numpy", "scipy")}
    json.dump({"times": times, "versions": versions}, sys.stdout)


if __name__ == "__main__":
    main()
