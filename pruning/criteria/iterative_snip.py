"""Iterative SNIP (de Jorge et al., ICLR 2021, arXiv:2006.09081): SNIP again after every round."""

from __future__ import annotations

from pruning.criteria.snip import Snip


class IterativeSnip(Snip):
    """S = |theta * dL/dtheta| at the masked weights; a removed weight has theta = 0 and never returns.

    The table gives it 60 exponential rounds, as published. The authors' code draws other examples for every round; here
    the prune set is the trial's and the same for all rounds and pruners, so that comparisons are paired.
    """
