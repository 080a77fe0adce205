"""The diagnostics as methods of a multilevel fit: each loads its module when it is first called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from comfrey.diagnostics.multilevel.influence import MultilevelInfluence
    from comfrey.diagnostics.multilevel.series import MultilevelCumulative, MultilevelLeaveOneOut
    from comfrey.diagnostics.multilevel.subsets import MultilevelSubsets
    from comfrey.models.multilevel.result import MultilevelFit

__all__ = ["Diagnosable"]


class Diagnosable:
    """Mixin of multilevel fits."""

    __slots__ = ()

    def _self(self) -> MultilevelFit:
        return cast("MultilevelFit", self)

    def influence(self, cluster: Any = None, *, reestimate: bool = True) -> MultilevelInfluence:
        """Influence diagnostics; see :func:`comfrey.diagnostics.multilevel.influence.influence`."""
        from comfrey.diagnostics.multilevel.influence import influence

        return influence(self._self(), cluster, reestimate=reestimate)

    def leave_one_out(self, cluster: Any = None) -> MultilevelLeaveOneOut:
        """Fit again without each effect or cluster; see :mod:`comfrey.diagnostics.multilevel.series`."""
        from comfrey.diagnostics.multilevel.series import leave_one_out

        return leave_one_out(self._self(), cluster)

    def cumulative(self, order: Any = None, cluster: Any = None) -> MultilevelCumulative:
        """Fit with more and more effects or clusters; see :mod:`comfrey.diagnostics.multilevel.series`."""
        from comfrey.diagnostics.multilevel.series import cumulative

        return cumulative(self._self(), order, cluster)

    def subsets(self, cluster: Any = None, maximum: int = 2**10 - 1, seed: int = 0) -> MultilevelSubsets:
        """Fit subsets of the effects or clusters; see :func:`comfrey.diagnostics.multilevel.subsets.subsets`."""
        from comfrey.diagnostics.multilevel.subsets import subsets

        return subsets(self._self(), cluster, maximum, seed)
