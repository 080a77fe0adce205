"""Dependent effects: multilevel and multivariate models, known covariance V, cluster-robust inference.

.. code-block:: text

    fit.py           multilevel(): arguments -> problem -> result
    sampling.py      V: variances or blocks, sampling_covariance()
    result.py        MultilevelFit: what a fit holds and can do
    robust.py        CR0, CR1, CR2, Satterthwaite, Wald (AHT)
    _terms.py        random effects as written -> groups
    _structures.py   UN CS HCS DIAG ID AR HAR CAR -> smooth coordinates
    _nested.py       likelihood of nested terms in O(k)
    _crossed.py      likelihood of crossed terms by their groups
    _blocks.py       likelihood of anything, by dense sets of linked rows
    _identify.py     can the variances be told apart?
    _problem.py      scaling, choice of engine
    _climb.py        the highest maximum, from several starts
    _search.py       bounded Newton search
    _intervals.py    profile-likelihood intervals
    _effects.py      predicted random effects
    _parameters.py   names and values of variances and correlations
    _heterogeneity.py  Q, and the shares of the random effects
    _refit.py        fitting some of the rows again
    _methods.py      the diagnostics as methods of a fit
"""
