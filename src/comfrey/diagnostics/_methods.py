"""The diagnostics as methods of fits: each loads its module when it is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import pandas as pd

    from comfrey.diagnostics.blups import StudyPredictions
    from comfrey.diagnostics.influence import Influence
    from comfrey.diagnostics.leave_one_out import Cumulative, LeaveOneOut
    from comfrey.diagnostics.subsets import Subsets
    from comfrey.models._view import AnyFit
    from comfrey.models.stratified import Stratified

__all__ = ["Diagnosable", "DiagnosableStrata"]


class Diagnosable:
    """Mixin of pooled fits and regressions."""

    __slots__ = ()

    def _self(self) -> AnyFit:
        return cast("AnyFit", self)

    def influence(self) -> Influence:
        """Influence diagnostics of each study; see :func:`comfrey.diagnostics.influence.influence`."""
        from comfrey.diagnostics.influence import influence

        return influence(self._self())

    def leave_one_out(self) -> LeaveOneOut:
        """Fit again without each study; see :func:`comfrey.diagnostics.leave_one_out.leave_one_out`."""
        from comfrey.diagnostics.leave_one_out import leave_one_out

        return leave_one_out(self._self())

    def cumulative(self, order: object = None) -> Cumulative:
        """Fit with more and more studies; see :func:`comfrey.diagnostics.leave_one_out.cumulative`."""
        from comfrey.diagnostics.leave_one_out import cumulative

        return cumulative(self._self(), order)

    def subsets(self, maximum: int = 2**20 - 1, seed: int = 0) -> Subsets:
        """Fit every subset of the studies, or a sample; see :func:`comfrey.diagnostics.subsets.subsets`."""
        from comfrey.diagnostics.subsets import subsets

        return subsets(self._self(), maximum, seed)

    def blups(self) -> StudyPredictions:
        """Predict the studies' own true effects; see :func:`comfrey.diagnostics.blups.blups`."""
        from comfrey.diagnostics.blups import blups

        return blups(self._self())


class DiagnosableStrata:
    """Mixin of Mantel-Haenszel and Peto estimates."""

    __slots__ = ()

    def _self(self) -> Stratified:
        return cast("Stratified", self)

    def leave_one_out(self) -> LeaveOneOut:
        """Pool without each study; see :func:`comfrey.diagnostics.strata.leave_one_stratum_out`."""
        from comfrey.diagnostics.strata import leave_one_stratum_out

        return leave_one_stratum_out(self._self())

    def cumulative(self, order: object = None) -> Cumulative:
        """Pool more and more studies; see :func:`comfrey.diagnostics.strata.cumulative_strata`."""
        from comfrey.diagnostics.strata import cumulative_strata

        return cumulative_strata(self._self(), order)

    def subsets(self, maximum: int = 2**20 - 1, seed: int = 0) -> Subsets:
        """Pool every subset of the studies, or a sample; see :func:`comfrey.diagnostics.strata.subsets_of_strata`."""
        from comfrey.diagnostics.strata import subsets_of_strata

        return subsets_of_strata(self._self(), maximum, seed)

    @property
    def baujat(self) -> pd.DataFrame:
        """Coordinates of Baujat's plot; see :func:`comfrey.diagnostics.strata.baujat_of_strata`."""
        from comfrey.diagnostics.strata import baujat_of_strata

        return baujat_of_strata(self._self())
