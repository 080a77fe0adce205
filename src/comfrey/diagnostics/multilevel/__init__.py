"""Diagnostics of multilevel fits, by effects or by clusters: influence, leave-one-out, cumulative, subsets.

.. code-block:: text

    influence.py    MultilevelInfluence: residuals and deletion diagnostics
    series.py       MultilevelLeaveOneOut, MultilevelCumulative
    subsets.py      MultilevelSubsets
    _units.py       what is left out or added together
    _refits.py      the model in many sets of rows, as columns of numbers
    _deletion.py    coefficients without each unit: by refits, or by updates of low rank
    _working.py     parts of M and of its inverse
    _measures.py    from coefficients without each unit to diagnostics
"""
